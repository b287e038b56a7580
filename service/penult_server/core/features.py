"""What feature is computed, and the fingerprint that names it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from penult_server.core.preprocess import PLAIN, Preprocess, TestTimeAugmentation

Pooling = Literal["default", "avg", "max", "avg_max", "token"]
FeatureDType = Literal["float32", "float16"]


@dataclasses.dataclass(frozen=True, slots=True)
class OutputSpec:
    """Which activation of a backbone becomes the vector; hashable, so that runners are kept by it."""

    layer: str = ""
    pooling: Pooling = "default"


DEFAULT_OUTPUT = OutputSpec()
_PLAIN_VIEW = "scale 1, crop 0, flip 0"


@dataclasses.dataclass(frozen=True, slots=True)
class FeatureOptions:
    """Everything a caller can choose about a feature. An empty backbone means the server's default."""

    backbone: str = ""
    output: OutputSpec = DEFAULT_OUTPUT
    tta: TestTimeAugmentation = PLAIN
    l2_normalize: bool = False
    dtype: FeatureDType = "float32"

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> FeatureOptions:
        """From what dataclasses.asdict gave, also by way of JSON."""
        tta = facts["tta"]
        return cls(
            **{
                **facts,
                "output": OutputSpec(**facts["output"]),
                "tta": TestTimeAugmentation(**{**tta, "scales": tuple(tta["scales"])}),
            }
        )


@dataclasses.dataclass(frozen=True, slots=True)
class BackboneIdentity:
    """The part of a fingerprint that a loaded backbone brings.

    `weights_sha256` is over the tensors, not the file. `numerics` is empty for providers whose
    features agree with eager float32 torch, else their name, because they move features.
    """

    architecture: str
    weights_sha256: str
    preprocess: Preprocess
    numerics: str = ""


# Every message of a stream asks, and hardly any asks for something new.
@functools.lru_cache(maxsize=1024)
def fingerprint(identity: BackboneIdentity, options: FeatureOptions) -> str:
    """sha256 hex over all that decides a feature's values. Vectors are comparable when theirs are equal."""
    facts: dict[str, Any] = {
        "version": 1,
        "identity": dataclasses.asdict(identity),
        "exif": "upright",
        "output": dataclasses.asdict(options.output),
        "tta": dataclasses.asdict(options.tta),
        "l2": options.l2_normalize,
        "dtype": options.dtype,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def view_fingerprints(identity: BackboneIdentity, tta: TestTimeAugmentation) -> list[str]:
    """One for each view of an image, in the order of core.preprocess.plan_views, as of a feature of its own.

    That of a plain view is the fingerprint of a plain feature. Other layers, poolings, norms and dtypes
    are not views.
    """
    plain = fingerprint(identity, FeatureOptions())
    names = [
        f"scale {scale:.6g}, crop {crop}, flip {flip:d}"
        for scale in tta.scales
        for crop in range(5 if tta.five_crops else 1)
        for flip in ((False, True) if tta.flip else (False,))
    ]
    return [
        plain if name == _PLAIN_VIEW else hashlib.sha256(f"{plain}: {name}".encode()).hexdigest()
        for name in names
    ]


def finish_features(raw: np.ndarray, views: int, options: FeatureOptions) -> np.ndarray:
    """Averages the views of each image, then normalises and casts.

    Args:
        raw: float32 (N * views, dim), the views of an image next to each other. NaN rows stay NaN.
        views: views per image.
        options: asks for L2 normalisation and the dtype.

    Returns:
        (N, dim) of `options.dtype`, C-contiguous. A zero vector stays zero.
    """
    features = raw.reshape(-1, views, raw.shape[-1]).mean(axis=1) if views > 1 else raw
    if options.l2_normalize:
        norms = np.linalg.norm(features, axis=1, keepdims=True)
        features = features / np.where(norms == 0, 1, norms)
    with np.errstate(over="ignore"):  # float16 overflows to inf, which the caller can see
        return np.ascontiguousarray(features, dtype=options.dtype)
