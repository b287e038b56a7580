"""What calls return: small frozen dataclasses and numpy arrays, never protobuf messages."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.floating[Any]]
"""(N, dim), float32 or float16 as asked for."""

OnError = Literal["raise", "skip", "return"]
FeatureDType = Literal["float32", "float16"]
Pooling = Literal["default", "avg", "max", "avg_max", "token"]
State = Literal["available", "loading", "ready", "failed"]
Source = Literal["bundled", "directory", "imported", "timm", "torchvision", "fine_tuned"]


@dataclasses.dataclass(frozen=True, slots=True)
class ItemError:
    """Why the image at position `index` (from 0, in the order given) has no feature.

    `reason` is stable, such as `IMAGE_CORRUPT`, or `FILE_UNREADABLE` for a file that this machine
    could not read. `name` is the path of the image where it has one.
    """

    index: int
    reason: str
    message: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name or f'image {self.index}'}: {self.message} [{self.reason}]"


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class FeatureBatch:
    """Features together with what they are.

    Attributes:
        features: (N, dim) float32 or float16. Rows of failed images are NaN, or left out with
            `on_error="skip"`.
        names: for each row the path of its image, "" for images without one.
        fingerprint: sha256 hex over all that decides the values; features are comparable when
            theirs are equal. Empty where no image was given.
        backbone: the backbone that was used.
        errors: the images that failed, by position.
        first_index: position of the first image of this batch among all images of the call.
    """

    features: Features
    names: tuple[str, ...]
    fingerprint: str
    backbone: str
    errors: tuple[ItemError, ...] = ()
    first_index: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Preprocess:
    """The exact steps from an upright RGB image to an input tensor.

    Sizes are (height, width) in pixels; `resize` has one number where it is the length of the short
    side. `mean` and `std` apply per channel after scaling to 0..1.
    """

    input_size: tuple[int, int]
    resize: tuple[int, ...]
    crop_mode: str
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Backbone:
    """A pretrained network without its classifier.

    A list fills only `name`, `architecture`, `source` and `state` of a backbone that was never
    loaded: there `preprocess` is None and numbers are 0. `device` ... `memory_bytes` are known while
    it is ready, `fingerprint` (for default options) once its weights have been read.

    Attributes:
        dim: length of the default feature.
        parameter_count: the classifier left out.
        provider: execution provider, "torch" or "openvino"; `provider_cosine` is its worst cosine
            to eager float32 torch, measured at load (0 unless measured), `provider_note` says why
            it was picked.
        layers: names accepted as `layer` in `extract`.
        error: what went wrong at the last load; empty unless the state is "failed".
    """

    name: str
    architecture: str
    source: str
    state: str
    dim: int = 0
    preprocess: Preprocess | None = None
    fingerprint: str = ""
    licence: str = ""
    parameter_count: int = 0
    device: str = ""
    provider: str = ""
    provider_cosine: float = 0.0
    provider_note: str = ""
    memory_bytes: int = 0
    layers: tuple[str, ...] = ()
    error: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Health:
    """Whether the server works: `serving` only after a real forward pass. `status` is gRPC's word for it."""

    serving: bool
    status: str

    def __bool__(self) -> bool:
        return self.serving
