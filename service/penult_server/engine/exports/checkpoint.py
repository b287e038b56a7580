"""The format `checkpoint`: the tensors of timm's (or torchvision's) own model, the head in its last layer.

`timm.create_model(architecture, num_classes=N, checkpoint_path=file)` loads it. What the file cannot say,
labels and preprocess, is in its safetensors metadata under "penult".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import timm
import torch
from torch import nn
from torchvision import models

from penult_server.core.errors import FailedPrecondition
from penult_server.engine.backbones.torchvision_source import PREFIX
from penult_server.engine.exports.base import Exported, ExportFormat, export_format


@export_format("checkpoint")
class Checkpoint(ExportFormat):
    """Linear heads that do not scale each feature to length 1: no last layer could do that."""

    suffix = ".safetensors"

    def write(self, model: Exported, file: Path) -> None:
        """See ExportFormat."""
        folded = model.head.linear()
        if folded is None or folded.l2:
            what = "scales features to length 1" if folded else "is not linear"
            raise FailedPrecondition(
                "EXPORT_NOT_LINEAR",
                f"a {model.head.kind} head that {what} is no last layer of a network",
                hint='train a linear head with normalisation="standardize", or export as onnx',
            )
        trunk = model.built.network.trunk
        tensors = dict(trunk.model.state_dict())
        expected = _whole(model).state_dict()
        weight, bias = torch.from_numpy(folded.weight), torch.from_numpy(folded.bias)
        for name in trunk.classifiers:
            for part, value in (("weight", weight), ("bias", bias)):
                like = expected.get(f"{name}.{part}")
                if like is None or like.numel() != value.numel():
                    raise _unsupported(model)
                # Copies: a distilled model has two classifiers, and safetensors takes no shared memory.
                tensors[f"{name}.{part}"] = value.reshape(like.shape).clone()
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        # One entry only: safetensors writes several in any order, and a model has the same bytes each time.
        safetensors.torch.save_file(contiguous, file, {"penult": json.dumps(model.card)})
        # Some networks do more to the scores than the head did, such as SqueezeNet's last ReLU.
        if not np.allclose(
            self.run(model, file, (noise := _noise(model))), _answers(model, noise), atol=1e-3
        ):
            raise _unsupported(model)

    def run(self, model: Exported, file: Path, pictures: np.ndarray) -> np.ndarray:
        """See ExportFormat."""
        network = _whole(model, file).eval()
        with torch.inference_mode():
            logits = network(model.built.network.normalise(torch.from_numpy(pictures)))
        return (logits.sigmoid() if model.head.multi_label else logits.softmax(1)).numpy()


def _unsupported(model: Exported) -> FailedPrecondition:
    return FailedPrecondition(
        "EXPORT_UNSUPPORTED",
        f"the last layer of {model.built.facts.architecture} cannot be this head",
        hint="export as onnx or arrays",
    )


def _noise(model: Exported) -> np.ndarray:
    size = model.built.facts.preprocess.input_size
    return np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)


def _answers(model: Exported, pictures: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return model.head.probabilities(model.built.network(torch.from_numpy(pictures)).numpy())


def _whole(model: Exported, file: Path | None = None) -> nn.Module:
    """The library's own model with as many classes, with the tensors of the file if one is given."""
    name, classes = model.built.facts.architecture, len(model.head.classes)
    if not name.startswith(PREFIX):
        return timm.create_model(name, num_classes=classes, checkpoint_path=str(file) if file else "")
    options: dict[str, Any] = {"weights": None, "num_classes": classes}
    whole: nn.Module = models.get_model(name.removeprefix(PREFIX), **options)
    if file:
        whole.load_state_dict(safetensors.torch.load_file(file))
    return whole
