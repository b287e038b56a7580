"""Models as files, from a real server."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import openvino
import pytest
import timm
from PIL import Image

import penult
from penult.v1 import model_pb2, model_pb2_grpc
from tests.e2e.test_models import LABELS, SECONDS, fill
from tests.pictures import coloured_png


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[penult.Client]:
    """With one head that any format can hold, as version 1, and one with L2, as version 2."""
    with penult.Client(server.target) as client:
        fill(client, "export-colours")
        for normalisation in ("standardize", "l2"):
            client.models.train_head(
                "exported", dataset="export-colours", head="nearest_centroid", normalisation=normalisation
            ).result(timeout=SECONDS)
        yield client
        client.models.delete("exported")
        client.datasets.delete("export-colours")


def test_an_onnx_file_says_what_the_server_says(client: penult.Client, tmp_path: Path) -> None:
    path = client.models.export("exported", tmp_path, timeout=SECONDS)
    assert path == tmp_path / "exported-2.onnx"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    (job,) = client.jobs.list(kind="export_model", subject="exported")
    assert isinstance(job.output, penult.ModelExport)
    assert job.output.size_bytes == path.stat().st_size
    assert 0 < job.output.max_difference < 1e-4

    # A square PNG of the crop's size before the crop leaves resizing out of it.
    photo = Image.open(io.BytesIO(coloured_png("green", 7))).convert("RGB").resize((256, 256))
    said = client.models.predict("exported", [photo])[0]
    graph = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    crop = np.asarray(photo)[16:240, 16:240]
    (probabilities,) = graph([crop[None]])[0]
    assert LABELS[int(probabilities.argmax())] == said.label == "green"
    assert abs(float(probabilities.max()) - said.probability) < 1e-4


def test_timm_loads_a_checkpoint_and_arrays_need_nothing(client: penult.Client, tmp_path: Path) -> None:
    path = client.models.export(
        "exported@1", tmp_path / "x.safetensors", format="checkpoint", timeout=SECONDS
    )
    network: Any = timm.create_model("tf_efficientnet_lite0", num_classes=3, checkpoint_path=str(path))
    assert network.get_classifier().weight.abs().sum() > 0
    path = client.models.export("exported@1", tmp_path, format="arrays", timeout=SECONDS)
    with zipfile.ZipFile(path) as archive:
        card = json.loads(archive.read("model.json"))
    assert (card["name"], card["version"], tuple(card["labels"])) == ("exported", 1, LABELS)
    assert card["lineage"]["dataset"] == "export-colours"
    assert card["preprocess"]["input_size"] == [224, 224]
    assert "evaluation" in card["evidence"]


def test_what_cannot_be_exported_says_what_can(client: penult.Client, tmp_path: Path) -> None:
    with pytest.raises(penult.JobFailed) as failed:
        client.models.export("exported@2", tmp_path, format="checkpoint", timeout=SECONDS)
    assert (failed.value.reason, "standardize" in failed.value.hint) == ("EXPORT_NOT_LINEAR", True)
    unknown: Any = "onxx"
    with pytest.raises(penult.InvalidArgument) as refused:
        client.models.export("exported", tmp_path, format=unknown)
    assert (refused.value.reason, "onnx" in refused.value.hint) == ("FORMAT_UNKNOWN", True)
    both = client.models.ensemble("exported-both", ["exported@1", "exported@2"])
    with pytest.raises(penult.FailedPrecondition) as ensemble:
        client.models.export(both.reference, tmp_path)
    assert ensemble.value.reason == "EXPORT_ENSEMBLE"
    client.models.delete("exported-both")
    with pytest.raises(penult.NotFound):
        client.models.export("nothing", tmp_path)
    with pytest.raises(penult.InvalidArgument) as unwritable:
        client.models.export("exported@1", tmp_path / "no" / "x.zip", format="arrays", timeout=SECONDS)
    assert unwritable.value.reason == "OUT_UNWRITABLE"
    assert list(tmp_path.iterdir()) == []


def test_the_asyncio_client_exports_too(client: penult.Client, server: Any, tmp_path: Path) -> None:
    async def export() -> Path:
        async with penult.AsyncClient(server.target) as other:
            return await other.models.export("exported@1", tmp_path, format="arrays", timeout=SECONDS)

    assert asyncio.run(export()) == tmp_path / "exported-1.zip"


def test_a_file_of_no_job_is_not_found(client: penult.Client, server: Any) -> None:
    wanted = model_pb2.DownloadExportRequest(job_id="../penult.db")
    with grpc.insecure_channel(server.target) as channel, pytest.raises(grpc.RpcError) as missing:
        list(model_pb2_grpc.ModelServiceStub(channel).DownloadExport(wanted))
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND
