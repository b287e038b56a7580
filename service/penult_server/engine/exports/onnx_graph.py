"""The format `onnx`: one graph from pictures to probabilities, for ONNX Runtime, OpenVINO, TensorRT.

Input `pictures`: uint8 (N, H, W, 3) RGB, resized and cropped as the metadata says; scaling and
normalisation are inside. Output `probabilities`: float32 (N, classes). Labels, preprocess and lineage
are metadata properties.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import openvino
import torch

from penult_server.engine.exports.base import Exported, ExportFormat, export_format
from penult_server.engine.exports.classifier import Classifier

_OPSET = 17
_AXES = {"pictures": {0: "N"}, "probabilities": {0: "N"}}


@export_format("onnx")
class OnnxGraph(ExportFormat):
    """Every head that is a torch layer."""

    suffix = ".onnx"

    def write(self, model: Exported, file: Path) -> None:
        """See ExportFormat."""
        classifier = Classifier(model.built.network, model.head)
        pictures = torch.zeros(2, *model.built.facts.preprocess.input_size, 3, dtype=torch.uint8)
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # tracing warns of shapes that are constants here
            # The tracing exporter takes 1.4 s for lite0 where the newer one takes 34, with equal results.
            torch.onnx.export(
                classifier, (pictures,), str(file), dynamo=False, opset_version=_OPSET,
                input_names=["pictures"], output_names=["probabilities"], dynamic_axes=_AXES,
            )  # fmt: skip
        graph = onnx.load(str(file))
        facts = {**{key: model.card[key] for key in ("labels", "preprocess")}, "penult": model.card}
        onnx.helper.set_model_props(graph, {key: json.dumps(value) for key, value in facts.items()})
        onnx.checker.check_model(graph, full_check=True)
        onnx.save(graph, str(file))

    def run(self, model: Exported, file: Path, pictures: np.ndarray) -> np.ndarray:
        """See ExportFormat."""
        compiled = openvino.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return np.array(compiled([pictures])[0])
