"""The contracts between core and what computes or lasts. Nothing else crosses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from penult_server.core.archives import ReceivedFile
from penult_server.core.backbones import BackboneFacts, BackboneSummary, ImportRecord, LoadReport
from penult_server.core.batching import Priority
from penult_server.core.features import OutputSpec
from penult_server.core.images import ItemError, SourceImage
from penult_server.core.preprocess import Preprocess, TestTimeAugmentation


class ImagePreprocessor(Protocol):
    """Turns one image into the pixels a backbone sees. Called from many threads at once."""

    def __call__(self, image: SourceImage, preprocess: Preprocess, tta: TestTimeAugmentation) -> np.ndarray:
        """Decodes, turns upright, converts to RGB, resizes and crops.

        Returns:
            uint8 (views, height, width, 3), C-contiguous, not yet normalised.

        Raises:
            ImageError: this image cannot be used. Nothing else is raised, whatever the bytes are.
        """
        ...


class BackboneCatalog(Protocol):
    """All backbones that the server can name. Blocking; called off the event loop."""

    def summaries(self) -> Sequence[BackboneSummary]:
        """Every known name, sorted; local ones and those of the hubs."""
        ...

    def describe(self, name: str) -> BackboneFacts:
        """Facts without weights. Raises NotFound with near matches."""
        ...

    def check_checkpoint(self, path: Path, architecture: str) -> None:
        """Raises InvalidArgument or DataLoss unless the file's tensors fit the architecture."""
        ...


class LoadedBackbone(Protocol):
    """A backbone in memory, on a device."""

    facts: BackboneFacts
    report: LoadReport

    def dim(self, output: OutputSpec) -> int:
        """Length of the feature for this output. Raises InvalidArgument for one it cannot give."""
        ...

    def check(self) -> bool:
        """A real forward pass, blocking. True when the device gives the features that it gave at load."""
        ...

    def close(self) -> None:
        """Frees its memory. It must not be in use."""
        ...


class BackboneLoader(Protocol):
    """Puts backbones into memory. Blocking; called off the event loop."""

    def load(self, facts: BackboneFacts) -> LoadedBackbone:
        """Reads, places, checks and warms up. Raises a PenultError that says what to do."""
        ...

    def memory_budget(self) -> int:
        """Bytes that all backbones together may hold on the device."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class RawFeatures:
    """What the engine makes of some images.

    `values` is float32 (N * views, dim), the views of an image next to each other; rows of images
    that failed are NaN, and `errors` names those by their position among the N.
    """

    values: np.ndarray
    errors: list[ItemError]


class FeatureEngine(Protocol):
    """Decodes, batches and computes."""

    async def compute(
        self,
        backbone: LoadedBackbone,
        images: Sequence[SourceImage],
        tta: TestTimeAugmentation,
        output: OutputSpec,
        priority: Priority,
    ) -> RawFeatures:
        """Features of every image. Cancelling the caller drops what is not computed yet."""
        ...


class ImportedBackbones(Protocol):
    """Keeps imported checkpoints. Blocking; called off the event loop."""

    def find(self, name: str) -> ImportRecord | None:
        """The import under this name, if there is one."""
        ...

    def begin(self, size_bytes: int) -> CheckpointUpload:
        """A place for the bytes of one upload. Raises ResourceExhausted where the disk is too full."""
        ...


class CheckpointUpload(ReceivedFile, Protocol):
    """A checkpoint that is being received. Invisible until `commit`."""

    path: Path

    def commit(self, record: ImportRecord) -> None:
        """Makes it durable and visible, at once and as a whole."""
        ...

    def discard(self) -> None:
        """Removes it, unless it was committed."""
        ...
