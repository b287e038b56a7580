"""A weights file on the server's disk, and what stands beside it."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penult_server.core.backbones import BackboneSource
from penult_server.core.errors import DataLoss, InvalidArgument
from penult_server.engine.backbones.architecture import Architecture
from penult_server.engine.backbones.checkpoint import check_sha256, read_tensors
from penult_server.engine.backbones.source import Origin
from penult_server.engine.backbones.timm_source import TimmSource, timm_architecture
from penult_server.engine.backbones.torchvision_source import TorchvisionSource, torchvision_architecture
from penult_server.engine.backbones.trunk import Trunk
from penult_server.engine.backbones.weights import fit

SUFFIXES = (".safetensors", ".pth")
"""Of weights files, the preferred one first."""


@dataclass(frozen=True)
class LocalFile:
    """A checkpoint. `sha256` is checked at load where it is known; an empty licence means unknown."""

    path: Path
    architecture: str
    licence: str
    sha256: str = ""

    def origin(self, source: BackboneSource) -> Origin:
        """How to build it. Raises what `find_architecture` raises."""
        architecture = find_architecture(self.architecture)
        return Origin(source, architecture, self.licence or "unknown", load=lambda: self._load(architecture))

    def _load(self, architecture: Architecture) -> Trunk:
        if self.sha256:
            check_sha256(self.path, self.sha256)
        trunk = architecture.trunk()
        fit(trunk, read_tensors(self.path), self.path.name)
        return trunk


def read_sidecar(path: Path) -> dict[str, Any]:
    """The JSON object beside a checkpoint, empty where there is no such file.

    Raises:
        DataLoss: SIDECAR_DAMAGED, it is no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataLoss(
            "SIDECAR_DAMAGED", f"{path.name} is no JSON: {error}", hint="correct or delete it"
        ) from error
    if not isinstance(content, dict):
        raise DataLoss("SIDECAR_DAMAGED", f"{path.name} is no JSON object", hint="correct or delete it")
    return content


def known_architecture(name: str) -> Architecture | None:
    """The architecture of this name in timm, else in torchvision, else None."""
    return timm_architecture(name) or torchvision_architecture(name)


def find_architecture(name: str) -> Architecture:
    """The architecture of this name in timm, else in torchvision.

    Raises:
        InvalidArgument: ARCHITECTURE_UNKNOWN with near matches.
    """
    if (architecture := known_architecture(name)) is not None:
        return architecture
    near = difflib.get_close_matches(name, architecture_names(), n=5)
    raise InvalidArgument(
        "ARCHITECTURE_UNKNOWN",
        f"no architecture {name[:80]!r} in timm or torchvision"
        + (f"; near: {', '.join(near)}" if near else ""),
        field="architecture",
        hint="name the timm or torchvision model whose tensors these are",
        near_matches=", ".join(near),
    )


def architecture_names() -> list[str]:
    """Every architecture that has published weights, sorted."""
    sources = (TimmSource(allow_download=False), TorchvisionSource(allow_download=False))
    return sorted({row.architecture for source in sources for row in source.summaries()})


def guess_architecture(stem: str) -> str:
    """The architecture that a file's name starts with, or "".

    `resnet50-0676ba61` and `resnet50_a1_0-14fe96d1` are how torchvision and timm name files; the
    longest known beginning wins.
    """
    name = stem
    while name:
        if known_architecture(name) is not None:
            return name
        name = re.sub(r"(^|[-_.])[^-_.]*$", "", name)
    return ""
