from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penult_server.core.preprocess import (
    PLAIN,
    CropMode,
    Preprocess,
    TestTimeAugmentation,
    View,
    border_colour,
    plan_views,
    resize_from_crop_pct,
)

CENTRE = Preprocess((224, 224), (256, 256), "center", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
SIDES = st.integers(1, 20_000)


def test_short_side_is_resized_and_the_middle_cut_out() -> None:
    # torchvision truncates the long side: 256 * 640 / 427 = 383.7
    assert plan_views((427, 640), CENTRE, PLAIN) == [View((256, 383), 16, 80, flip=False)]
    assert plan_views((640, 427), CENTRE, PLAIN) == [View((383, 256), 80, 16, flip=False)]


def test_squash_ignores_the_aspect_ratio() -> None:
    squash = dataclasses.replace(CENTRE, crop_mode="squash")
    assert plan_views((100, 900), squash, PLAIN) == [View((256, 256), 16, 16, flip=False)]


def test_border_keeps_the_whole_picture() -> None:
    border = dataclasses.replace(CENTRE, crop_mode="border", resize=(224, 224))
    assert plan_views((100, 200), border, PLAIN) == [View((112, 224), -56, 0, flip=False)]


@pytest.mark.parametrize(("missing", "before"), [(1, 0), (2, 1), (3, 1), (5, 2), (7, 3)])
def test_an_odd_border_is_wider_after_the_picture(missing: int, before: int) -> None:
    small = dataclasses.replace(CENTRE, resize=(224 - missing, 224 - missing))
    (view,) = plan_views((500, 500), small, PLAIN)
    assert (view.top, view.left) == (-before, -before)


@pytest.mark.parametrize(("surplus", "offset"), [(1, 0), (2, 1), (3, 2), (5, 2), (7, 4)])
def test_an_odd_surplus_is_halved_to_even(surplus: int, offset: int) -> None:
    larger = dataclasses.replace(CENTRE, resize=(224 + surplus, 224 + surplus))
    (view,) = plan_views((500, 500), larger, PLAIN)
    assert (view.top, view.left) == (offset, offset)


def test_views_come_in_the_order_scales_crops_flip() -> None:
    tta = TestTimeAugmentation(flip=True, five_crops=True, scales=(1.0, 1.25))
    views = plan_views((400, 400), CENTRE, tta)
    assert len(views) == tta.views == 20
    assert [view.resized[0] for view in views] == [256] * 10 + [320] * 10
    assert [view.flip for view in views] == [False, True] * 10
    assert [(v.top, v.left) for v in views[:10:2]] == [(16, 16), (0, 0), (0, 32), (32, 0), (32, 32)]


def test_a_small_scale_does_not_shrink_below_the_crop() -> None:
    for mode in ("center", "squash"):
        preprocess = dataclasses.replace(CENTRE, crop_mode=mode)
        (view,) = plan_views((400, 400), preprocess, TestTimeAugmentation(scales=(0.5,)))
        assert view.resized == (224, 224)


def test_border_colour_is_the_mean_only_for_border() -> None:
    assert border_colour(CENTRE) == (0, 0, 0)
    border = dataclasses.replace(CENTRE, crop_mode="border", mean=(0.485, 0.456, 0.406))
    assert border_colour(border) == (124, 116, 104)


def test_resize_from_crop_pct_rounds_down_as_timm() -> None:
    assert resize_from_crop_pct((224, 299), 0.875) == (256, 341)
    assert resize_from_crop_pct((224, 224), 0.9) == (248, 248)


@given(
    height=SIDES,
    width=SIDES,
    mode=st.sampled_from(["center", "squash", "border"]),
    resize=st.tuples(st.integers(32, 512), st.integers(32, 512)),
    scale=st.floats(0.25, 3),
    five_crops=st.booleans(),
)
def test_every_view_shows_some_of_the_picture(
    height: int, width: int, mode: CropMode, resize: tuple[int, int], scale: float, five_crops: bool
) -> None:
    preprocess = dataclasses.replace(CENTRE, crop_mode=mode, resize=resize)
    tta = TestTimeAugmentation(five_crops=five_crops, scales=(scale,))
    views = plan_views((height, width), preprocess, tta)
    assert len(views) == tta.views
    for view in views:
        assert min(view.resized) >= 1
        assert -224 < view.top < view.resized[0]
        assert -224 < view.left < view.resized[1]
        # A picture that covers the crop at scale 1 needs no border.
        if mode != "border" and min(resize) >= 224:
            assert view.top >= 0
            assert view.left >= 0
