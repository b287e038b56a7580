"""All backbones by name: which source has one, what it is, and the network itself."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penult_server.core.backbones import BackboneFacts, BackboneSummary
from penult_server.core.errors import FailedPrecondition, InvalidArgument, NotFound
from penult_server.core.own_backbones import OwnBackbones
from penult_server.engine.backbones.architecture import anatomy
from penult_server.engine.backbones.bundled import BundledSource
from penult_server.engine.backbones.checkpoint import read_tensors
from penult_server.engine.backbones.directory import DirectorySource
from penult_server.engine.backbones.fine_tuned import FineTunedSource, LinkedBackbones
from penult_server.engine.backbones.imported import ImportedSource
from penult_server.engine.backbones.local_file import (
    architecture_names,
    find_architecture,
    known_architecture,
)
from penult_server.engine.backbones.network import Network
from penult_server.engine.backbones.source import Origin, Source
from penult_server.engine.backbones.timm_source import TimmSource
from penult_server.engine.backbones.torchvision_source import TorchvisionSource
from penult_server.engine.backbones.trunk import Trunk
from penult_server.engine.backbones.weights import fit, weights_sha256

_DIRECTORIES = ("checkpoint_dir", "imported_dir")


@dataclasses.dataclass(frozen=True)
class BuiltBackbone:
    """A backbone with its weights: `network` on the CPU in eval mode, `weights_sha256` over its tensors.

    `architecture_key` rebuilds it with `find_architecture`, preprocessing included.
    """

    facts: BackboneFacts
    network: Network
    weights_sha256: str
    architecture_key: str


class Catalog:
    """Implements core.ports.BackboneCatalog. Where two sources know a name, the more local one has it."""

    def __init__(
        self,
        checkpoint_dir: Path | None,
        imported_dir: Path | None,
        *,
        allow_download: bool,
        own: OwnBackbones | None = None,
    ) -> None:
        """`allow_download`: False never leaves the machine; hub names then work from the local cache only.

        `own` finds those of fine-tuned models.
        """
        self._sources: list[Source] = []
        if own is not None:
            self._sources.append(FineTunedSource(own))
        if imported_dir is not None:
            self._sources.append(ImportedSource(imported_dir))
        if checkpoint_dir is not None:
            self._sources.append(DirectorySource(checkpoint_dir))
        self._sources += [BundledSource(), TimmSource(allow_download), TorchvisionSource(allow_download)]

    def summaries(self) -> Sequence[BackboneSummary]:
        """Every listed name, sorted. Hub names carry their tag, as in `resnet50.a1_in1k`."""
        by_name: dict[str, BackboneSummary] = {}
        for source in self._sources:
            for summary in source.summaries():
                by_name.setdefault(summary.name, summary)
        return [by_name[name] for name in sorted(by_name)]

    def describe(self, name: str) -> BackboneFacts:
        """Facts that need no weights.

        Raises:
            NotFound: BACKBONE_UNKNOWN with near matches.
            FailedPrecondition: nothing says its architecture, or that gives no single vector an image.
            InvalidArgument, DataLoss: what stands beside a local file is wrong.
        """
        return _facts(name, self._find(name))

    def build(self, name: str) -> BuiltBackbone:
        """The backbone with its weights. Slow: reads files, maybe from a hub.

        Raises:
            NotFound: BACKBONE_UNKNOWN with near matches.
            Unavailable: WEIGHTS_UNREACHABLE, neither cached nor to be had from the hub.
            DataLoss: WEIGHTS_DAMAGED.
            FailedPrecondition: WEIGHTS_MISFIT names tensors; BUNDLE_MISSING says what to install.
        """
        origin = self._find(name)
        return _built(_facts(name, origin), origin, origin.load())

    def untrained(self, name: str) -> BuiltBackbone:
        """The backbone with random weights from torch's generator. Raises as `describe` does."""
        origin = self._find(name)
        return _built(_facts(name, origin), origin, origin.architecture.trunk())

    def check_checkpoint(self, path: Path, architecture: str) -> None:
        """Puts the file into the architecture and forgets it again.

        Raises:
            InvalidArgument: ARCHITECTURE_UNKNOWN, BACKBONE_UNSUPPORTED, WEIGHTS_NOT_PLAIN or WEIGHTS_MISFIT.
            DataLoss: WEIGHTS_DAMAGED.
        """
        found = find_architecture(architecture)
        tensors = read_tensors(path)
        try:
            fit(found.trunk(), tensors, "the checkpoint")
        except FailedPrecondition as error:
            raise InvalidArgument(
                error.reason, error.message, field="header.architecture", hint=error.hint, **error.metadata
            ) from error

    def _find(self, name: str) -> Origin:
        for source in self._sources:
            if (origin := source.find(name)) is not None:
                return origin
        names = {row.name for row in self.summaries()}.union(architecture_names())
        near = difflib.get_close_matches(name[:200], sorted(names), n=5)
        known = " with published weights" if known_architecture(name) is not None else ""
        raise NotFound(
            "BACKBONE_UNKNOWN",
            f"no backbone {name[:80]!r}{known}" + (f"; near: {', '.join(near)}" if near else ""),
            hint="list the backbones, or give weights by the checkpoint directory or import_checkpoint",
            near_matches=", ".join(near),
        )


def _built(facts: BackboneFacts, origin: Origin, trunk: Trunk) -> BuiltBackbone:
    network = Network(trunk, facts.preprocess, anatomy(origin.architecture)).requires_grad_(False)
    return BuiltBackbone(facts, network, weights_sha256(trunk), origin.architecture.key)


def _facts(name: str, origin: Origin) -> BackboneFacts:
    found = anatomy(origin.architecture)
    return BackboneFacts(
        name=origin.name or name,
        architecture=origin.architecture.name,
        source=origin.source,
        dim=found.dim,
        preprocess=origin.architecture.preprocess,
        licence=origin.licence,
        parameter_count=found.parameter_count,
        layers=found.layers,
        revision=origin.revision,
    )


def open_catalog(arguments: Mapping[str, Any], directory: Path) -> Catalog:
    """The catalog of a worker: that of the server that gave these arguments, with paths as text.

    `own` in them names folders of the job's `directory` that hold backbones of fine-tuned models.
    """
    paths = [Path(path) if (path := arguments.get(key)) else None for key in _DIRECTORIES]
    folders = {name: directory / folder for name, folder in arguments.get("own", {}).items()}
    return Catalog(*paths, allow_download=bool(arguments.get("allow_download")), own=LinkedBackbones(folders))
