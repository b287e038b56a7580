"""Heads as core knows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penult_server.engine import heads  # noqa: F401 - registers the kinds of head
from penult_server.engine.heads.files import load_head
from penult_server.engine.heads.head import Head
from penult_server.engine.heads.registry import validate


class EngineHeads:
    """Implements core.model_ports.Heads."""

    def validate(self, head: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """See core.model_ports.Heads."""
        return validate(head, parameters)

    def load(self, directory: Path) -> Head:
        """See core.model_ports.Heads."""
        return load_head(directory).head
