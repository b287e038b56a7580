"""Messages of ModelService: requests from arguments, results from responses."""

from __future__ import annotations

import dataclasses
import datetime
import math
import warnings
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2

from penult._batches import Answered, errors_part
from penult._chunks import Chunk
from penult._datasets import new_request_id, split_number
from penult._evaluations import evidence
from penult._stream import Request
from penult.errors import Internal, InvalidArgument, ItemFailed, SkippedImages
from penult.model_types import Lineage, Model, ModelFile, ModelKind, Prediction, PredictionBatch, Schedule
from penult.tta import TTA, tta_message
from penult.types import ItemError, OnError
from penult.v1 import model_pb2 as pb
from penult.v1 import model_version_pb2 as version_pb

PAGE_SIZE = 500
_KINDS: dict[version_pb.ModelKind, ModelKind] = {
    version_pb.MODEL_KIND_HEAD: "head",
    version_pb.MODEL_KIND_ENSEMBLE: "ensemble",
    version_pb.MODEL_KIND_FINE_TUNED: "fine_tuned",
}


def train_request(
    name: str,
    dataset: str,
    head: str,
    backbone: str | None,
    augment: TTA,
    parameters: Mapping[str, Any],
) -> pb.TrainHeadRequest:
    """The request of a training. Raises InvalidArgument for a parameter that is no JSON."""
    return pb.TrainHeadRequest(
        name=name,
        dataset=dataset,
        head=head,
        parameters=as_struct(parameters),
        backbone=backbone or "",
        augment=tta_message(augment),
        request_id=new_request_id(),
    )


def finetune_request(
    name: str, dataset: str, backbone: str | None, init_from: str | None, settings: Mapping[str, Any]
) -> pb.FineTuneRequest:
    """The request of a fine-tuning. Raises InvalidArgument for a setting that is no JSON."""
    return pb.FineTuneRequest(
        name=name,
        dataset=dataset,
        backbone=backbone or "",
        init_from=init_from or "",
        settings=as_struct(settings),
        request_id=new_request_id(),
    )


def as_struct(parameters: Mapping[str, Any]) -> struct_pb2.Struct:
    """Parameters as a message. Raises InvalidArgument for what is no JSON."""
    struct = struct_pb2.Struct()
    try:
        struct.update({key: list(v) if isinstance(v, tuple) else v for key, v in parameters.items()})
    except (ValueError, TypeError) as error:
        raise InvalidArgument(
            f"parameters {parameters!r} are no JSON: {error}",
            reason="PARAMETER_INVALID",
            hint="give numbers, texts, True, False, None, lists and dicts",
        ) from None
    return struct


def from_struct(message: struct_pb2.Struct) -> dict[str, Any]:
    """As JSON; whole numbers, which a Struct cannot tell from others, as such."""
    return {
        key: int(value) if isinstance(value, float) and _is_whole(value) else value
        for key, value in json_format.MessageToDict(message).items()
    }


def schedule(message: pb.DrawScheduleResponse) -> Schedule:
    """The schedule without its message."""
    return Schedule(tuple(message.factors), message.peak_rate or None, message.png)


def model_file(message: pb.ModelFile) -> ModelFile:
    """The description of a file without its message."""
    return ModelFile(message.name, message.size_bytes, message.sha256)


def evaluate_request(name: str, dataset: str, split: str) -> pb.EvaluateModelRequest:
    """The request of an evaluation. Raises InvalidArgument for an unknown split."""
    return pb.EvaluateModelRequest(
        model=name, dataset=dataset, split=split_number(split), request_id=new_request_id()
    )


def split_reference(reference: str) -> tuple[str, int | None]:
    """Name and number of NAME or NAME@VERSION. Raises InvalidArgument where an alias is meant."""
    name, at, version = reference.partition("@")
    if not at:
        return name, None
    if not version.isdecimal():
        raise InvalidArgument(
            f"{reference!r} does not say which version to delete",
            reason="BAD_VERSION",
            hint=f"give {name}@NUMBER, or {name} for all versions",
        )
    return name, int(version)


def stream_request(name: str, top_k: int) -> Request:
    """What makes the messages of a stream of predictions."""

    def request(chunk: Chunk, *, first: bool) -> pb.PredictStreamRequest:
        if first:
            return pb.PredictStreamRequest(model=name, top_k=top_k, images=chunk.images)
        return pb.PredictStreamRequest(images=chunk.images)

    return request


def model(message: version_pb.ModelVersion) -> Model:
    """The version without its message."""
    return Model(
        name=message.model,
        version=message.version,
        metrics=dict(message.metrics),
        kind=_KINDS.get(message.kind, "head"),
        labels=tuple(message.labels),
        multi_label=message.multi_label,
        threshold=message.threshold if message.HasField("threshold") else None,
        lineage=_lineage(message.lineage) if message.HasField("lineage") else None,
        members=tuple(message.members),
        aliases=tuple(message.aliases),
        created=message.create_time.ToDatetime(datetime.timezone.utc),
        size_bytes=message.size_bytes,
        evidence=evidence(message.evidence) if message.HasField("evidence") else None,
    )


def prediction_batch(
    response: pb.PredictResponse | pb.PredictStreamResponse, answered: Answered
) -> PredictionBatch:
    """The answer to a message. Raises Internal where it does not fit."""
    if len(response.predictions) != len(answered.names):
        raise Internal(
            f"the server sent {len(response.predictions)} predictions for {len(answered.names)} images",
            reason="BAD_RESPONSE",
        )
    return PredictionBatch(
        predictions=tuple(
            _prediction(message, name)
            for message, name in zip(response.predictions, answered.names, strict=True)
        ),
        model=f"{response.model}@{response.version}",
        errors=answered.errors,
        first_index=answered.first_index,
        count=len(answered.names),
    )


def prediction_part(batch: PredictionBatch, start: int, stop: int) -> PredictionBatch:
    """Those from `start` to `stop`, as the batch of a call of their own."""
    return dataclasses.replace(
        batch,
        predictions=batch.predictions[start:stop],
        errors=errors_part(batch.errors, start, stop),
        count=stop - start,
    )


def kept(batch: PredictionBatch, on_error: OnError) -> PredictionBatch:
    """Raises ItemFailed for "raise", drops failed images for "skip", keeps None for "return"."""
    if not batch.errors or on_error == "return":
        return batch
    if on_error == "raise":
        raise ItemFailed.of(batch.errors)
    found = tuple(prediction for prediction in batch.predictions if prediction is not None)
    return PredictionBatch(found, batch.model, batch.errors, batch.first_index, batch.count)


class Predictions:
    """One result out of many batches."""

    def __init__(self, on_error: OnError) -> None:
        self._on_error: OnError = on_error
        self.predictions: list[Any] = []
        self.errors: list[ItemError] = []
        self._seen = 0

    def add(self, batch: PredictionBatch) -> None:
        """Appends a batch. Raises ItemFailed where `on_error` is "raise" and one of its images failed."""
        self._seen += batch.count
        self.predictions += kept(batch, self._on_error).predictions
        self.errors += batch.errors

    def result(self) -> Any:
        """Everything so far; with the errors for "return". Warns of images that were skipped."""
        if self._on_error == "return":
            return self.predictions, self.errors
        if self.errors:
            warnings.warn(
                f"{len(self.errors)} of {self._seen} images skipped, the first one {self.errors[0]}",
                SkippedImages,
                stacklevel=3,
            )
        return self.predictions


def _prediction(message: pb.Prediction, name: str) -> Prediction | None:
    if not message.top:
        return None
    top = tuple((each.label, each.probability) for each in message.top)
    return Prediction(*top[0], top, message.rejected, tuple(message.labels), name)


def _lineage(message: version_pb.Lineage) -> Lineage:
    return Lineage(
        dataset=message.dataset,
        dataset_revision=message.dataset_revision,
        example_count=message.example_count,
        dataset_sha256=message.dataset_sha256,
        backbone=message.backbone,
        fingerprint=message.fingerprint,
        head=message.head,
        parameters=from_struct(message.parameters),
        augment=message.augment,
        code_version=message.code_version,
        parent=message.parent,
        job=message.job,
        start_backbone=message.start_backbone,
        start_weights_sha256=message.start_weights_sha256,
        variant=message.variant,
    )


def _is_whole(value: float) -> bool:
    return math.isfinite(value) and value.is_integer()
