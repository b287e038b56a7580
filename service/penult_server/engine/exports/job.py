"""The job kind `export_model`: writes the file, reads it back, and compares it with the server."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from penult_server.core.errors import Internal
from penult_server.core.export_model import ANSWERS, CARD, KIND, MODEL, PICTURES
from penult_server.engine import heads  # noqa: F401 - registers the kinds of head
from penult_server.engine.backbones.catalog import open_catalog
from penult_server.engine.backbones.checkpoint import file_sha256
from penult_server.engine.exports.base import Exported, find
from penult_server.engine.heads.files import load_head
from penult_server.engine.workers.kinds import job_kind
from penult_server.engine.workers.task import Task


@job_kind(KIND, resumable=False)
def export_model(task: Task, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ends in a file of the job's directory that answers as the server does, or in an error."""
    kind = find(parameters["format"])
    card = json.loads((task.directory / CARD).read_text(encoding="utf-8"))
    task.progress(0, 3, unit="steps", phase="load")
    built = open_catalog(parameters["catalog"], task.directory).build(parameters["backbone"])
    preprocess = dataclasses.asdict(built.facts.preprocess)
    card |= {
        "preprocess": preprocess,
        "architecture": built.facts.architecture,
        "licence": built.facts.licence,
    }
    model = Exported(built, load_head(task.directory / MODEL).head, card)
    file = task.directory / f"{card['name']}-{card['version']}{kind.suffix}"
    task.progress(1, 3, unit="steps", phase="write")
    kind.write(model, file)
    task.progress(2, 3, unit="steps", phase="check")
    answers = np.load(task.directory / ANSWERS)
    difference = float(np.abs(kind.run(model, file, np.load(task.directory / PICTURES)) - answers).max())
    task.log(
        f"probabilities of {len(answers)} photographs differ from the server's by {difference:.1e} at most"
    )
    if not difference <= kind.tolerance:
        raise Internal(
            "EXPORT_DIFFERS",
            f"the file is up to {difference:.1e} off the server; {kind.tolerance:.0e} is allowed",
            hint="serve with precision float32, or choose another format",
        )
    return {
        "model_export": {
            "model": card["name"],
            "version": card["version"],
            "format": parameters["format"],
            "file_name": file.name,
            "size_bytes": file.stat().st_size,
            "sha256": file_sha256(file),
            "max_difference": difference,
            "path": file.name,
        }
    }
