"""Test-time augmentation: several views of one image whose features are averaged."""

from __future__ import annotations

import dataclasses

from penult.errors import InvalidArgument
from penult.v1 import feature_pb2

DEFAULT_SCALES = (1.0, 1.25)
"""What "scales" stands for: the plain resize, and one that shows a quarter more detail."""


@dataclasses.dataclass(frozen=True, slots=True)
class TestTimeAugmentation:
    """Views of one image: the product of crops, scales and flip (Razavian et al. 2014, arXiv:1403.6382).

    Attributes:
        flip: adds the mirror image of every view.
        five_crops: centre and four corners instead of the centre alone.
        scales: factors on the resize before the crop, each in [0.5, 2].
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    flip: bool = False
    five_crops: bool = False
    scales: tuple[float, ...] = (1.0,)

    @property
    def views(self) -> int:
        """Forward passes an image costs."""
        return len(self.scales) * (5 if self.five_crops else 1) * (2 if self.flip else 1)


_PARTS: dict[str, dict[str, object]] = {
    "flip": {"flip": True},
    "five_crop": {"five_crops": True},
    "ten_crop": {"flip": True, "five_crops": True},
    "scales": {"scales": DEFAULT_SCALES},
}

TTA = TestTimeAugmentation | str | None


def parse_tta(tta: TTA) -> TestTimeAugmentation | None:
    """Reads "flip", "five_crop", "ten_crop", "scales" or several joined by "+"; None stays None.

    Raises:
        InvalidArgument: an unknown word.
    """
    if tta is None or isinstance(tta, TestTimeAugmentation):
        return tta
    chosen: dict[str, object] = {}
    for part in tta.split("+"):
        fields = _PARTS.get(part.strip().lower())
        if fields is None:
            raise InvalidArgument(
                f"unknown test-time augmentation {part.strip()!r} in {tta!r}",
                reason="TTA_UNKNOWN",
                hint=f"join any of {', '.join(_PARTS)} with +",
            )
        chosen |= fields
    return TestTimeAugmentation(**chosen)  # type: ignore[arg-type]  # _PARTS holds only its fields


def tta_message(tta: TTA) -> feature_pb2.TestTimeAugmentation | None:
    """The same as a message, None for one plain view."""
    parsed = parse_tta(tta)
    if parsed is None:
        return None
    return feature_pb2.TestTimeAugmentation(
        flip=parsed.flip,
        crops=feature_pb2.CROPS_FIVE if parsed.five_crops else feature_pb2.CROPS_UNSPECIFIED,
        scales=parsed.scales,
    )
