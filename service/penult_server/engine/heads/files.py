"""A trained head as files: numbers in `head.safetensors`, all else in `head.json` and `evidence.json`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from penult_server.core.errors import DataLoss, InvalidArgument
from penult_server.core.evidence import Evidence, from_json
from penult_server.engine.heads.head import Head
from penult_server.engine.heads.train import TrainedHead

ARRAYS = "head.safetensors"
CONFIG = "head.json"
EVIDENCE = "evidence.json"
_VERSION = 1


def save_head(directory: Path, trained: TrainedHead) -> None:
    """Writes the files into a directory that exists. They are complete when this returns, not yet synced."""
    save_file(trained.head.arrays(), directory / ARRAYS)
    config = {
        "version": _VERSION,
        "head": trained.head.config(),
        "threshold": trained.threshold,
        "parameters": dict(trained.parameters),
    }
    (directory / CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")
    evidence = json.dumps(dataclasses.asdict(trained.evidence), allow_nan=False)
    (directory / EVIDENCE).write_text(evidence, encoding="utf-8")


def load_head(directory: Path) -> TrainedHead:
    """The head that `save_head` wrote, with the same bits.

    Raises:
        DataLoss: HEAD_DAMAGED, a file is missing or not what it should be.
    """
    try:
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        if config["version"] != _VERSION:
            raise ValueError(f"version {config['version']}")
        return TrainedHead(
            Head.restore(config["head"], load_file(directory / ARRAYS)),
            config["threshold"],
            config["parameters"],
            from_json(Evidence, json.loads((directory / EVIDENCE).read_text(encoding="utf-8"))),
        )
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        SafetensorError,
        InvalidArgument,
    ) as error:
        raise DataLoss(
            "HEAD_DAMAGED",
            f"the files of this head are damaged ({type(error).__name__})",
            hint="train it again, or restore them from a backup",
        ) from error
