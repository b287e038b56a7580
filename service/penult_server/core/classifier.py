"""What a model version becomes when it is used: heads in memory, grouped by the features that they take."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from penult_server.core.errors import FailedPrecondition
from penult_server.core.model_ports import Artifacts, Heads, LoadedHead, ModelStore
from penult_server.core.models import Lineage, ModelKind, ModelReference, ModelVersion


@dataclasses.dataclass(frozen=True, slots=True)
class Leaf:
    """A trained version inside of a version, and its share of the answer; shares add up to 1."""

    version: ModelVersion
    lineage: Lineage
    share: float


def leaves(version: ModelVersion, models: ModelStore, share: float = 1.0) -> Iterator[Leaf]:
    """The trained versions that a version is made of: itself, or those of its members. Blocking."""
    if version.lineage is not None:
        yield Leaf(version, version.lineage, share)
    for member in version.members:
        part = models.resolve(ModelReference.parse(member))
        yield from leaves(part, models, share / len(version.members))


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """The heads that take the same features, with their shares."""

    backbone: str
    fingerprint: str
    heads: tuple[tuple[LoadedHead, float], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Classifier:
    """A version that is ready to use; it stays so even where the version is deleted."""

    version: ModelVersion
    parts: tuple[Part, ...]

    def probabilities(self, features: Sequence[np.ndarray]) -> np.ndarray:
        """float32 (N, classes) of finite features (N, dim), an array for each part. Blocking."""
        if len(self.parts) == len(self.parts[0].heads) == 1:
            return self.parts[0].heads[0][0].probabilities(features[0])
        total = sum(
            share * head.probabilities(rows).astype(np.float64)
            for part, rows in zip(self.parts, features, strict=True)
            for head, share in part.heads
        )
        return np.asarray(total, np.float32)


def check_fingerprint(model: str, backbone: str, wanted: str, found: str) -> None:
    """Raises FailedPrecondition where the backbone's features are not those that the head was trained on."""
    if found != wanted:
        raise FailedPrecondition(
            "FINGERPRINT_MISMATCH",
            f"model {model} was trained on features {wanted}, and backbone {backbone!r} now gives {found}",
            hint="serve the backbone with the weights, preprocessing and precision of then, or train again",
            model_fingerprint=wanted,
            backbone_fingerprint=found,
        )


class LoadedHeads:
    """Heads in memory under a bound in bytes, the least recently used dropped. Lives on one event loop."""

    def __init__(self, models: ModelStore, artifacts: Artifacts, heads: Heads, max_bytes: int) -> None:
        """`max_bytes` of files; one head stays whatever its size."""
        self._models = models
        self._artifacts = artifacts
        self._heads = heads
        self._max_bytes = max_bytes
        self._loaded: collections.OrderedDict[int, tuple[LoadedHead, int]] = collections.OrderedDict()
        self._loading: dict[int, asyncio.Task[LoadedHead]] = {}

    async def classifier(self, reference: ModelReference) -> Classifier:
        """The version that is meant, ready to use. Raises NotFound, DataLoss."""
        version, found = await asyncio.to_thread(self._resolve, reference)
        groups: dict[tuple[str, str], list[tuple[LoadedHead, float]]] = {}
        for leaf in found:
            key = leaf.lineage.backbone, leaf.lineage.fingerprint
            groups.setdefault(key, []).append((await self._head(leaf.version), leaf.share))
        return Classifier(version, tuple(Part(*key, tuple(heads)) for key, heads in groups.items()))

    def _resolve(self, reference: ModelReference) -> tuple[ModelVersion, list[Leaf]]:
        version = self._models.resolve(reference)
        return version, list(leaves(version, self._models))

    async def _head(self, version: ModelVersion) -> LoadedHead:
        # By id: the same name and number may be another version once the model was deleted and made again.
        if known := self._loaded.get(version.id):
            self._loaded.move_to_end(version.id)
            return known[0]
        task = self._loading.get(version.id)
        if task is None:
            task = self._loading[version.id] = asyncio.create_task(self._load(version))
        # Shielded: one caller that gives up must not take the load away from the others.
        return await asyncio.shield(task)

    def _read(self, version: ModelVersion) -> tuple[LoadedHead, int]:
        """A head and the bytes of its files; a fine-tuned version has those of a backbone beside them."""
        head, size = self._heads.load(self._artifacts.open(version.artifact)), version.size_bytes
        if version.kind is ModelKind.FINE_TUNED:
            files = self._artifacts.files(version.artifact)
            size = sum(file.size_bytes for name, file in files.items() if name.startswith("head."))
        return head, size

    async def _load(self, version: ModelVersion) -> LoadedHead:
        try:
            head, size = await asyncio.to_thread(self._read, version)
        finally:
            del self._loading[version.id]
        self._loaded[version.id] = head, size
        while len(self._loaded) > 1 and sum(size for _, size in self._loaded.values()) > self._max_bytes:
            self._loaded.popitem(last=False)
        return head
