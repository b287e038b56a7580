"""Models over a real server: trained on pictures of one colour, and used."""

from __future__ import annotations

import asyncio
import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import penult
from penult.v1 import model_pb2 as pb
from penult.v1 import model_pb2_grpc
from tests.pictures import coloured_png

LABELS = ("blue", "green", "red")
HEAD = "nearest_centroid"
SECONDS = 240


def fill(client: penult.Client, name: str, *, labels: tuple[str, ...] = LABELS, each: int = 8) -> None:
    """A dataset with `each` training pictures a label, and a quarter of that to test on."""
    client.datasets.create(name)
    for label in labels:
        pictures = [coloured_png(label, n) for n in range(each + each // 4)]
        splits: list[Any] = ["train"] * each + ["test"] * (each // 4)
        client.datasets.add(name, pictures, label, split=splits)


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[penult.Client]:
    with penult.Client(server.target) as client:
        yield client


@pytest.fixture(scope="module")
def colours(client: penult.Client) -> Iterator[str]:
    fill(client, "model-colours")
    yield "model-colours"
    client.datasets.delete("model-colours")


@pytest.fixture(scope="module")
def trained(client: penult.Client, colours: str) -> Iterator[penult.Model]:
    model = client.models.train_head("colours", dataset=colours, head=HEAD).result(timeout=SECONDS)
    yield model
    client.models.delete("colours")


def test_training_ends_in_a_version_with_evidence_and_lineage(
    client: penult.Client, colours: str, trained: penult.Model
) -> None:
    assert (trained.name, trained.version, trained.reference) == ("colours", 1, "colours@1")
    assert trained.labels == LABELS
    assert trained.metrics["accuracy"] == 1.0
    assert trained.evidence is not None
    assert (trained.evidence.measured_on, trained.evidence.train_count) == ("test", 24)
    assert trained.evidence.evaluation.confusion_matrix().tolist() == [[2, 0, 0], [0, 2, 0], [0, 0, 2]]
    lineage = trained.lineage
    assert lineage is not None
    dataset, backbone = client.datasets.get(colours), client.backbones.get()
    assert (lineage.dataset, lineage.dataset_revision) == (colours, dataset.revision)
    assert (lineage.example_count, lineage.backbone) == (30, backbone.name)
    assert (lineage.fingerprint, lineage.head) == (backbone.fingerprint, HEAD)
    assert lineage.parameters["normalisation"] == "l2"
    assert client.models.get("colours") == trained
    (job,) = client.jobs.list(kind="train_head", subject="colours")
    assert isinstance(job.output, penult.Model)
    assert job.output.evidence is None
    assert job.id == lineage.job


def test_predictions_in_one_call_and_by_stream_agree(client: penult.Client, trained: penult.Model) -> None:
    pictures = [coloured_png(label, 100 + n) for n in range(20) for label in LABELS]
    by_stream = client.models.predict("colours", pictures, top_k=2)
    assert [prediction.label for prediction in by_stream] == list(LABELS) * 20
    first = by_stream[0]
    assert first.top[0] == (first.label, first.probability)
    assert len(first.top) == 2
    assert not first.rejected
    one_call = client.models.predict("colours@1", pictures[:8], top_k=2)
    for one, other in zip(one_call, by_stream, strict=False):
        assert one.label == other.label
        assert one.probability == pytest.approx(other.probability, abs=1e-4)
    batches = list(client.models.predict_iter("colours", pictures))
    assert [batch.first_index for batch in batches] == [0, 16, 32, 48]
    assert {batch.model for batch in batches} == {"colours@1"}
    assert sum(prediction.top[0][1] for prediction in by_stream) > 0


async def test_callers_at_once_get_what_each_would_get_alone(server: Any, trained: penult.Model) -> None:
    pictures = [coloured_png(label, 200 + n) for n in range(7) for label in LABELS]
    async with (
        penult.AsyncClient(server.target) as client,
        penult.AsyncClient(server.target, together=False) as alone,
    ):
        said, (predictions, errors) = await asyncio.gather(
            asyncio.gather(*(client.models.predict("colours", picture) for picture in pictures)),
            client.models.predict("colours", b"no picture", on_error="return"),
        )
        apart = [await alone.models.predict("colours", picture) for picture in pictures[:3]]
    assert [one[0].label for one in said] == list(LABELS) * 7
    for together, by_itself in zip(said[:3], apart, strict=True):
        assert together[0].probability == pytest.approx(by_itself[0].probability, abs=1e-4)
    assert predictions == [None]
    assert [(error.index, error.reason) for error in errors] == [(0, "IMAGE_UNRECOGNISED")]


def test_a_bad_image_costs_itself_alone(client: penult.Client, trained: penult.Model) -> None:
    pictures: list[Any] = [coloured_png("red", n) for n in range(40)]
    pictures[3], pictures[30] = b"no picture", "missing.png"
    predictions, errors = client.models.predict("colours", pictures, on_error="return")
    assert [(error.index, error.reason) for error in errors] == [
        (3, "IMAGE_UNRECOGNISED"),
        (30, "FILE_UNREADABLE"),
    ]
    assert [n for n, prediction in enumerate(predictions) if prediction is None] == [3, 30]
    with pytest.raises(penult.ItemFailed):
        client.models.predict("colours", pictures[:5])
    with pytest.warns(penult.SkippedImages, match="1 of 5"):
        assert len(client.models.predict("colours", pictures[:5], on_error="skip")) == 4
    predictions, errors = client.models.predict("colours", [b"no picture"], on_error="return")
    assert (predictions, len(errors)) == ([None], 1)
    assert client.models.predict("colours", []) == []


def test_a_second_head_extracts_nothing(client: penult.Client, colours: str) -> None:
    first = client.models.train_head("second", dataset=colours, head=HEAD, normalisation="standardize")
    assert first.result(timeout=SECONDS).version == 1
    again = client.models.train_head("second", dataset=colours, head=HEAD)
    assert again.result(timeout=SECONDS).version == 2
    job = again.refresh()
    assert (job.metrics["features_cached"], job.metrics["features_extracted"]) == (30, 0)
    augmented = client.models.train_head("second", dataset=colours, head=HEAD, augment="flip")
    model = augmented.result(timeout=SECONDS)
    assert model.evidence is not None
    assert (model.evidence.views, model.lineage and model.lineage.augment) == (2, "flip")
    assert augmented.refresh().metrics["features_extracted"] == 30
    third = client.models.train_head("second", dataset=colours, head=HEAD, augment="flip")
    assert third.result(timeout=SECONDS).metrics == model.metrics
    assert third.refresh().metrics["features_extracted"] == 0
    assert [version.version for version in client.models.versions("second")] == [4, 3, 2, 1]
    assert client.models.delete("second") == 4
    with pytest.raises(penult.NotFound):
        client.models.get("second")


def test_an_aliased_version_stays(client: penult.Client, trained: penult.Model) -> None:
    assert client.models.set_alias("colours", "production") == {"production": 1}
    assert client.models.get("colours@production").aliases == ("production",)
    assert client.models.predict("colours@production", coloured_png("blue", 0))[0].label == "blue"
    for reference in ("colours", "colours@1"):
        with pytest.raises(penult.FailedPrecondition) as caught:
            client.models.delete(reference)
        assert caught.value.reason == "MODEL_ALIASED"
    assert client.models.remove_alias("colours", "production") == {}
    with pytest.raises(penult.NotFound) as missing:
        client.models.predict("colours@production", coloured_png("blue", 0))
    assert missing.value.reason == "MODEL_VERSION_NOT_FOUND"
    with pytest.raises(penult.InvalidArgument):
        client.models.set_alias("colours", "7")
    with pytest.raises(penult.InvalidArgument):
        client.models.delete("colours@production")


def test_evaluation_of_any_split(client: penult.Client, colours: str, trained: penult.Model) -> None:
    found = client.models.evaluate("colours", dataset=colours, timeout=SECONDS)
    assert trained.evidence is not None
    assert found == trained.evidence.evaluation
    job = client.models.evaluate("colours@1", dataset=colours, split="train", wait=False)
    assert job.result(timeout=SECONDS).count == 24
    listed = client.jobs.list(kind="evaluate_model", limit=1)[0].output
    assert isinstance(listed, penult.Evaluation)
    assert (listed.accuracy, listed.confusion) == (1.0, ())
    with pytest.raises(penult.FailedPrecondition) as caught:
        client.models.evaluate("colours", dataset=colours, split="validation")
    assert caught.value.reason == "NOTHING_TO_EVALUATE"


def test_an_ensemble_averages_probabilities_over_backbones(
    client: penult.Client, colours: str, trained: penult.Model
) -> None:
    job = client.models.train_head("other", dataset=colours, head=HEAD, backbone="tf_efficientnet_lite1")
    other = job.result(timeout=SECONDS)
    both = client.models.ensemble("both", ["colours", "other@1"])
    assert (both.kind, both.members, both.lineage) == ("ensemble", ("colours@1", "other@1"), None)
    nested = client.models.ensemble("nested", ["both", "colours"])
    pictures = [coloured_png(label, 200 + n) for n in range(20) for label in LABELS]
    answers = {
        name: [dict(one.top) for one in client.models.predict(name, pictures)]
        for name in ("colours", "other", "both", "nested")
    }
    for first, second, mean, weighted in zip(*answers.values(), strict=True):
        for label in LABELS:
            assert mean[label] == pytest.approx((first[label] + second[label]) / 2, abs=1e-4)
            assert weighted[label] == pytest.approx(0.75 * first[label] + 0.25 * second[label], abs=1e-4)
    for one, batch in zip(
        client.models.predict("both", pictures[:5]), client.models.predict("both", pictures), strict=False
    ):
        assert one.probability == pytest.approx(batch.probability, abs=1e-4)
    predictions, errors = client.models.predict("both", [b"bad", *pictures], on_error="return")
    assert (predictions[0], len(errors), len(predictions)) == (None, 1, 61)
    assert client.models.evaluate("both", dataset=colours, timeout=SECONDS).accuracy == 1.0
    with pytest.raises(penult.FailedPrecondition) as caught:
        client.models.delete("other")
    assert caught.value.reason == "MODEL_IN_USE"
    fill(client, "model-two", labels=("red", "blue"), each=4)
    client.models.train_head("two", dataset="model-two", head=HEAD).result(timeout=SECONDS)
    with pytest.raises(penult.FailedPrecondition) as differ:
        client.models.ensemble("wrong", ["colours", "two"])
    assert (differ.value.reason, "green" in differ.value.message) == ("CLASSES_DIFFER", True)
    with pytest.raises(penult.InvalidArgument):
        client.models.ensemble("wrong", ["colours", "colours@1"])
    with pytest.raises(penult.InvalidArgument):
        client.models.ensemble("wrong", ["colours"])
    assert nested.version == 1
    for name in ("nested", "both", other.name, "two"):
        client.models.delete(name)
    client.datasets.delete("model-two")


def test_two_jobs_for_one_name_end_in_two_versions(client: penult.Client, colours: str) -> None:
    jobs = [client.models.train_head("twice", dataset=colours, head=HEAD) for _ in range(2)]
    assert sorted(job.result(timeout=SECONDS).version for job in jobs) == [1, 2]
    client.models.delete("twice")


def test_what_prevents_a_training_is_said_at_once(client: penult.Client, colours: str) -> None:
    fill(client, "model-red", labels=("red",), each=4)
    client.datasets.create("model-bare")
    client.datasets.add("model-bare", [coloured_png("red", n) for n in range(3)])
    client.datasets.create("model-empty")
    before = len(client.jobs.list())
    cases: list[tuple[type[penult.PenultError], str, dict[str, Any]]] = [
        (penult.FailedPrecondition, "ONE_CLASS", {"dataset": "model-red"}),
        (penult.FailedPrecondition, "NO_LABELS", {"dataset": "model-bare"}),
        (penult.FailedPrecondition, "DATASET_EMPTY", {"dataset": "model-empty"}),
        (penult.NotFound, "DATASET_NOT_FOUND", {"dataset": "model-none"}),
        (penult.NotFound, "BACKBONE_UNKNOWN", {"dataset": colours, "backbone": "lite0"}),
        (penult.InvalidArgument, "HEAD_UNKNOWN", {"dataset": colours, "head": "nearest_centroids"}),
        (penult.InvalidArgument, "PARAMETER_UNKNOWN", {"dataset": colours, "normalization": "l2"}),
        (penult.InvalidArgument, "PARAMETER_INVALID", {"dataset": colours, "folds": 1.5}),
        (penult.InvalidArgument, "PARAMETER_INVALID", {"dataset": colours, "seed": {1, 2}}),
    ]
    for kind, reason, arguments in cases:
        with pytest.raises(kind) as caught:
            client.models.train_head("none", **{"head": HEAD, **arguments})
        assert caught.value.reason == reason, reason
    with pytest.raises(penult.InvalidArgument) as named:
        client.models.train_head("No Name", dataset=colours, head=HEAD)
    assert named.value.reason == "BAD_NAME"
    assert len(client.jobs.list()) == before
    assert "none" not in {model.name for model in client.models.list()}
    for name in ("model-red", "model-bare", "model-empty"):
        client.datasets.delete(name)


def test_a_dataset_that_changes_or_goes_changes_no_job(client: penult.Client) -> None:
    fill(client, "model-gone", each=8)
    job = client.models.train_head("gone", dataset="model-gone", head=HEAD)
    everything = [example.sha256 for example in client.datasets.examples("model-gone")]
    assert client.datasets.relabel("model-gone", dict.fromkeys(everything, "red")).changed == 20
    client.datasets.delete("model-gone")
    model = job.result(timeout=SECONDS)
    assert model.labels == LABELS
    assert (model.lineage and model.lineage.example_count, model.metrics["accuracy"]) == (30, 1.0)
    client.models.delete("gone")


def test_a_repeated_request_is_the_same_write(channel: grpc.Channel, colours: str) -> None:
    stub = model_pb2_grpc.ModelServiceStub(channel)
    request = pb.TrainHeadRequest(name="once", dataset=colours, head=HEAD, request_id="model-once")
    assert len({stub.TrainHead(request, timeout=60).job.id for _ in range(3)}) == 1
    with penult.Client(channel_target(channel)) as client:
        client.jobs.list(subject="once")[0].result(timeout=SECONDS)
        assert client.models.delete("once") == 1


def channel_target(channel: Any) -> str:
    return str(channel._channel.target().decode())


def test_pages_and_bad_requests(channel: grpc.Channel, client: penult.Client, colours: str) -> None:
    for _ in range(3):
        client.models.train_head("paged", dataset=colours, head=HEAD).result(timeout=SECONDS)
    stub = model_pb2_grpc.ModelServiceStub(channel)
    request, found = pb.ListModelVersionsRequest(name="paged", page_size=2), []
    while True:
        page = stub.ListModelVersions(request, timeout=30)
        found += [(version.version, version.HasField("evidence")) for version in page.versions]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == [(3, False), (2, False), (1, False)]
    listed = stub.ListModels(pb.ListModelsRequest(page_size=1), timeout=30)
    assert (len(listed.models), bool(listed.next_page_token)) == (1, True)
    for call, wrong in (
        (stub.ListModelVersions, pb.ListModelVersionsRequest(name="paged", page_token="?")),
        (stub.GetModel, pb.GetModelRequest(model="paged@@1")),
        (stub.Predict, pb.PredictRequest(model="paged")),
        (stub.Predict, pb.PredictRequest(model="paged", top_k=5000)),
        (stub.EvaluateModel, pb.EvaluateModelRequest(model="paged", dataset=colours, split=77)),  # type: ignore[arg-type]
    ):
        with pytest.raises(grpc.RpcError) as refused:
            call(wrong, timeout=30)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as ended:
        list(stub.PredictStream(iter(()), timeout=30))
    assert ended.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    client.models.delete("paged@2")
    assert [version.version for version in client.models.versions("paged")] == [3, 1]
    client.models.delete("paged")


def test_photos(client: penult.Client, shared_data: Path) -> None:
    """Four kinds of clothing, ten photos of each: far better than chance, and the same answers everywhere."""
    client.datasets.create("model-photos")
    for split, count in (("train", 10), ("test", 5)):
        for label in ("dress", "hat", "pants", "shoes"):
            photos = sorted((shared_data / "clothing10" / split / label).iterdir())[:count]
            client.datasets.add("model-photos", photos, label, split=split)  # type: ignore[arg-type]
    model = client.models.train_head("photos", dataset="model-photos", augment="flip").result(SECONDS)
    assert model.lineage is not None
    assert model.lineage.head == "logistic_regression"
    assert model.evidence is not None
    measured = model.evidence.evaluation
    assert measured.count == 20
    assert measured.accuracy >= 0.7
    examples = list(client.datasets.examples("model-photos", split="test"))
    files = [shared_data / "clothing10" / "test" / example.labels[0] / example.id for example in examples]
    said = client.models.predict("photos", files)
    right = [one.label == example.labels[0] for one, example in zip(said, examples, strict=True)]
    assert sum(right) == round(measured.accuracy * 20)
    wrong = {example.sha256 for example, good in zip(examples, right, strict=True) if not good}
    assert {mistake.id for mistake in measured.mistakes} == wrong
    assert said[0].name == str(files[0])
    client.models.delete("photos")
    client.datasets.delete("model-photos")


def test_command_line(server: Any, client: penult.Client, colours: str, tmp_path: Path) -> None:
    def run(*words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "penult.cli", *words, "--target", server.target],
            capture_output=True, text=True, timeout=SECONDS, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done

    trained = run("train", colours, "--model", "cli", "--head", HEAD, "-p", "normalisation=standardize")
    assert "accuracy\t1.0000" in trained.stdout
    assert "succeeded" in trained.stderr
    again = run("train", colours, "--model", "cli", "--head", HEAD, "-p", "seed=3", "--json")
    assert json.loads(again.stdout)["lineage"]["parameters"]["seed"] == 3
    assert (
        "PARAMETER_UNKNOWN"
        in run("train", colours, "--model", "cli", "-p", "sed=3", "--head", HEAD, status=1).stderr
    )
    assert "PARAMETER_INVALID" in run("train", colours, "--model", "cli", "-p", "seed", status=1).stderr
    assert run("models", "versions", "cli").stdout.startswith("cli\t2\t1.0000\t3\t")
    assert run("models", "alias", "cli", "production", "1").stdout == "production\t1\n"
    assert "aliases\tproduction" in run("models", "get", "cli@production").stdout
    assert "cli\t2\t" in run("models").stdout
    for label in LABELS:
        (tmp_path / f"{label}.png").write_bytes(coloured_png(label, 9))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    said = run("predict", "cli@production", "*.png", "--top-k", "2")
    assert [line.split("\t")[:2] for line in said.stdout.splitlines()] == [[f"{x}.png", x] for x in LABELS]
    assert "failed bad.png" in said.stderr
    run("predict", "cli", "*.png", "--out", "said.csv")
    with open(tmp_path / "said.csv", encoding="utf-8", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert (rows["red.png"]["label_1"], rows["red.png"]["rejected"]) == ("red", "0")
    assert "IMAGE_UNRECOGNISED" in rows["bad.png"]["error"]
    run("predict", "cli", "red.png", "--out", "said.json")
    assert json.loads((tmp_path / "said.json").read_text("utf-8"))[0]["top"][0]["label"] == "red"
    assert json.loads(run("predict", "cli", "red.png", "--json").stdout)[0]["path"] == "red.png"
    assert "OUT_UNKNOWN" in run("predict", "cli", "red.png", "--out", "said.xml", status=1).stderr
    assert "IMAGE_UNRECOGNISED" in run("predict", "cli", "bad.png", status=1).stderr
    figures = run("evaluate", "cli", "--report", "report.html", "--images", "*.png")
    assert "class red\tprecision 1.000" in figures.stdout
    report = (tmp_path / "report.html").read_text("utf-8")
    assert "<h1>cli@2</h1>" in report
    assert "Accuracy against images" in report
    measured = run("evaluate", "cli", "--dataset", colours, "--split", "train", "--json")
    assert json.loads(measured.stdout)["count"] == 24
    assert "members\tcli@1, cli@2" in run("models", "ensemble", "cli-both", "cli@1", "cli@2").stdout
    assert "--dataset" in run("evaluate", "cli-both", status=2).stderr
    run("models", "delete", "cli-both")
    assert "MODEL_ALIASED" in run("models", "delete", "cli", status=1).stderr
    run("models", "alias", "cli", "production", "--remove")
    assert json.loads(run("models", "delete", "cli", "--json").stdout) == {"deleted": 2}
    assert "MODEL_NOT_FOUND" in run("models", "get", "cli", status=1).stderr


def test_asyncio_does_the_same(server: Any, colours: str, trained: penult.Model) -> None:
    async def scenario() -> None:
        async with penult.AsyncClient(server.target) as client:
            job = await client.models.train_head("async", dataset=colours, head=HEAD)
            model = await job.result(timeout=SECONDS)
            assert model.metrics == trained.metrics

            async def pictures() -> Any:
                for number in range(40):
                    yield coloured_png("green", number)

            found = await client.models.predict("async", pictures(), top_k=1)
            assert [prediction.label for prediction in found] == ["green"] * 40
            assert (await client.models.predict("async", coloured_png("red", 1)))[0].label == "red"
            seen = [batch.count async for batch in client.models.predict_iter("async", pictures())]
            assert sum(seen) == 40
            measured = await client.models.evaluate("async", dataset=colours, timeout=SECONDS)
            assert measured.accuracy == 1.0
            waiting = await client.models.evaluate("async", dataset=colours, wait=False)
            assert (await waiting.result(timeout=SECONDS)).count == 6
            assert (await client.models.ensemble("async-both", ["async", "colours"])).version == 1
            assert await client.models.set_alias("async", "production", 1) == {"production": 1}
            assert (await client.models.get("async@production")).version == 1
            assert {"async", "async-both"} <= {each.name for each in await client.models.list()}
            assert len(await client.models.versions("async")) == 1
            assert await client.models.remove_alias("async", "production") == {}
            assert await client.models.delete("async-both") == 1
            assert await client.models.delete("async@1") == 1

    asyncio.run(scenario())


def test_a_multi_label_model_names_every_label(client: penult.Client) -> None:
    client.datasets.create("model-several", multi_label=True)
    for label in LABELS:
        several = [[label, "dark" if n % 2 else "bright"] for n in range(12)]
        pictures = [coloured_png(label, n) for n in range(12)]
        splits: list[Any] = ["train"] * 9 + ["test"] * 3
        client.datasets.add("model-several", pictures, several, split=splits)
    model = client.models.train_head("several", dataset="model-several", head=HEAD).result(SECONDS)
    assert model.multi_label
    assert model.labels == ("blue", "bright", "dark", "green", "red")
    assert model.metrics["mean_average_precision"] > 0.5
    assert model.evidence is not None
    assert model.evidence.evaluation.confusion == ()
    (said,) = client.models.predict("several", coloured_png("red", 2), top_k=5)
    assert said.labels == tuple(label for label, value in said.top if value >= 0.5)
    assert dict(said.top)["red"] > dict(said.top)["green"]
    measured = client.models.evaluate("several", dataset="model-several", timeout=SECONDS)
    assert measured == model.evidence.evaluation
    client.models.delete("several")
    client.datasets.delete("model-several")


def test_a_class_with_one_image_is_said_or_refused(client: penult.Client) -> None:
    fill(client, "model-single", labels=("red", "green"), each=4)
    client.datasets.add("model-single", coloured_png("blue", 1), "blue", split="train")
    model = client.models.train_head("single", dataset="model-single", head=HEAD).result(SECONDS)
    assert model.evidence is not None
    assert "classes with a single training image: blue" in model.evidence.warnings
    client.datasets.create("model-singles")
    client.datasets.add("model-singles", [coloured_png("blue", 1), coloured_png("red", 1)], ["blue", "red"])
    job = client.models.train_head("singles", dataset="model-singles", head=HEAD)
    with pytest.raises(penult.JobFailed) as failed:
        job.result(SECONDS)
    assert failed.value.reason == "CLASS_TOO_SMALL"
    assert failed.value.hint
    with pytest.raises(penult.NotFound):
        client.models.get("singles")
    client.models.delete("single")
    for name in ("model-single", "model-singles"):
        client.datasets.delete(name)
