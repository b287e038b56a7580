"""The format `arrays`: a zip of the head's numbers (safetensors) and everything else as JSON; no backbone.

For who computes features with Penult, or with timm, and wants to apply the head wherever it is.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch

from penult_server.engine.exports.base import Exported, ExportFormat, export_format
from penult_server.engine.heads.head import Head

_README = """\
head.safetensors  the numbers of the head
head.json         its kind, classes and normalisation
model.json        where it comes from, how good it is, and the preprocess and backbone of its features

A linear head is probabilities = softmax(slope * (normalise(x) @ scorer.weight.T + scorer.bias) + offset),
for several labels an image sigmoid in the place of softmax.
"""
_EPOCH = (1980, 1, 1, 0, 0, 0)


@export_format("arrays")
class Arrays(ExportFormat):
    """Every kind of head."""

    suffix = ".zip"

    def write(self, model: Exported, file: Path) -> None:
        """See ExportFormat."""
        parts = {
            "README.txt": _README.encode(),
            "head.safetensors": safetensors.numpy.save(model.head.arrays()),
            "head.json": json.dumps(model.head.config(), indent=1).encode(),
            "model.json": json.dumps(model.card, indent=1).encode(),
        }
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in parts.items():
                # Without the time of day the same model gives the same bytes.
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)

    def run(self, model: Exported, file: Path, pictures: np.ndarray) -> np.ndarray:
        """See ExportFormat."""
        with zipfile.ZipFile(file) as archive:
            arrays = safetensors.numpy.load(archive.read("head.safetensors"))
            head = Head.restore(json.loads(archive.read("head.json")), arrays)
        with torch.inference_mode():
            features = model.built.network(torch.from_numpy(pictures))
        return head.probabilities(features.numpy())
