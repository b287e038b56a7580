from __future__ import annotations

import pytest

import penult
from penult.tta import DEFAULT_SCALES, parse_tta, tta_message
from penult.v1 import feature_pb2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flip", penult.TestTimeAugmentation(flip=True)),
        ("five_crop", penult.TestTimeAugmentation(five_crops=True)),
        ("ten_crop", penult.TestTimeAugmentation(flip=True, five_crops=True)),
        ("flip+five_crop", penult.TestTimeAugmentation(flip=True, five_crops=True)),
        (" Flip + scales", penult.TestTimeAugmentation(flip=True, scales=DEFAULT_SCALES)),
    ],
)
def test_words_join(text: str, expected: penult.TestTimeAugmentation) -> None:
    assert parse_tta(text) == expected
    assert parse_tta(expected) is expected


def test_views_are_the_product() -> None:
    assert penult.TestTimeAugmentation().views == 1
    assert penult.TestTimeAugmentation(flip=True, five_crops=True, scales=(0.9, 1.0, 1.1)).views == 30


@pytest.mark.parametrize("text", ["", "flop", "flip+", "flip,scales"])
def test_unknown_words_are_refused(text: str) -> None:
    with pytest.raises(penult.InvalidArgument) as caught:
        parse_tta(text)
    assert caught.value.reason == "TTA_UNKNOWN"
    assert "five_crop" in caught.value.hint


def test_message_says_the_same() -> None:
    message = tta_message("ten_crop+scales")
    assert message is not None
    assert message.flip
    assert message.crops == feature_pb2.CROPS_FIVE
    assert tuple(message.scales) == DEFAULT_SCALES
    assert tta_message(None) is None
