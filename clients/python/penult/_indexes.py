"""Messages of IndexService about whole indexes: requests from arguments, results from responses."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format

from penult._datasets import label_tuple, new_request_id, split_number
from penult._options import feature_options
from penult.dataset_types import SplitName
from penult.errors import InvalidArgument
from penult.index_types import (
    DuplicateItem,
    DuplicateItems,
    IndexEvaluation,
    IndexStats,
    NearDuplicates,
)
from penult.v1 import index_pb2 as pb
from penult.v1 import index_resource_pb2 as resource_pb

PAGE_SIZE = 500
Step = str | tuple[str, Mapping[str, Any]]

_METRICS = {
    "cosine": resource_pb.INDEX_METRIC_COSINE,
    "inner_product": resource_pb.INDEX_METRIC_INNER_PRODUCT,
    "l2": resource_pb.INDEX_METRIC_L2,
}
_METRIC_NAMES = {number: name for name, number in _METRICS.items()}
_PHASES = {resource_pb.INDEX_PHASE_LOADING: "loading", resource_pb.INDEX_PHASE_READY: "ready"}


def create_request(
    name: str,
    backbone: str | None,
    dim: int | None,
    metric: str,
    kind: str,
    parameters: Mapping[str, Any] | None,
    steps: Iterable[Step],
    memory_mb: int,
    fingerprint: str,
    keep_images: bool,
    label_field: str,
    choices: Mapping[str, Any],
) -> pb.CreateIndexRequest:
    """The request of a new index. Raises InvalidArgument for an unknown metric."""
    if metric not in _METRICS:
        raise InvalidArgument(
            f"unknown metric {metric!r}", reason="METRIC_UNKNOWN", hint=f"one of {', '.join(_METRICS)}"
        )
    if dim is not None and (backbone is not None or choices):
        raise InvalidArgument(
            "give a backbone or dim, not both: dim is for vectors of your own", reason="DIM_GIVEN"
        )
    spec = resource_pb.IndexSpec(
        dim=dim or 0, metric=_METRICS[metric], kind=kind, memory_bytes=memory_mb << 20
    )
    spec.parameters.update(dict(parameters or {}))
    for step in steps:
        step_name, given = (step, {}) if isinstance(step, str) else step
        message = spec.steps.add(name=step_name)
        message.parameters.update(dict(given))
    return pb.CreateIndexRequest(
        name=name,
        spec=spec,
        options=feature_options(backbone, **choices) if dim is None else None,
        fingerprint=fingerprint,
        discard_images=not keep_images,
        label_field=label_field,
        request_id=new_request_id(),
    )


def index_fields(message: resource_pb.Index) -> dict[str, Any]:
    """The fields of an IndexInfo."""
    spec = message.spec
    return {
        "name": message.name,
        "dim": spec.dim,
        "metric": _METRIC_NAMES[spec.metric],
        "kind": spec.kind,
        "parameters": json_format.MessageToDict(spec.parameters),
        "steps": tuple((step.name, json_format.MessageToDict(step.parameters)) for step in spec.steps),
        "memory_bytes": spec.memory_bytes,
        "backbone": message.options.backbone,
        "fingerprint": message.fingerprint,
        "keeps_images": message.keeps_images,
        "label_field": message.label_field,
        "created": message.create_time.ToDatetime(datetime.timezone.utc),
        "item_count": message.item_count,
        "aliases": tuple(message.aliases),
        "phase": _PHASES.get(message.phase, "loading"),
        "loading_progress": message.loading_progress,
    }


def add_dataset_request(
    name: str, dataset: str, split: SplitName | Iterable[SplitName] | None
) -> pb.AddDatasetRequest:
    """The request of a dataset's images. Raises InvalidArgument for an unknown split."""
    return pb.AddDatasetRequest(
        index=name,
        dataset=dataset,
        splits=map(split_number, label_tuple(split)),
        request_id=new_request_id(),
    )


def reembed_request(
    name: str, new_name: str, backbone: str | None, alias: str, choices: Mapping[str, Any]
) -> pb.ReembedIndexRequest:
    """The request of an index for other features."""
    return pb.ReembedIndexRequest(
        index=name,
        options=feature_options(backbone, **choices),
        new_name=new_name,
        alias=alias,
        request_id=new_request_id(),
    )


def index_stats(message: resource_pb.IndexStats) -> IndexStats:
    """The statistics without their message."""
    fields = {name: getattr(message, name) for name in IndexStats.__dataclass_fields__}
    return IndexStats(
        **{
            **fields,
            "recall_at_10": message.recall_at_10 if message.HasField("recall_at_10") else None,
            "search": dict(message.search),
            "steps": tuple(message.steps),
        }
    )


def index_evaluation(message: resource_pb.IndexEvaluation) -> IndexEvaluation:
    """The evaluation without its message."""
    return IndexEvaluation(**{name: getattr(message, name) for name in IndexEvaluation.__dataclass_fields__})


def duplicates_request(dataset: str, threshold: float, backbone: str | None) -> pb.FindNearDuplicatesRequest:
    """To look in a dataset."""
    return pb.FindNearDuplicatesRequest(
        dataset=dataset, threshold=threshold, backbone=backbone or "", request_id=new_request_id()
    )


def near_duplicates(message: resource_pb.NearDuplicates) -> NearDuplicates:
    """The groups without their message."""
    return NearDuplicates(
        index=message.index,
        sequence=message.sequence,
        threshold=message.threshold,
        item_count=message.item_count,
        group_count=message.group_count,
        redundant_count=message.redundant_count,
        groups=tuple(
            DuplicateItems(tuple(map(_duplicate, group.items)), group.count, group.exact)
            for group in message.groups
        ),
        dataset=message.dataset,
    )


def _duplicate(message: resource_pb.DuplicateItem) -> DuplicateItem:
    return DuplicateItem(
        message.id,
        message.image_sha256,
        json.loads(message.metadata_json or "{}"),
        message.cosine,
        message.has_image,
    )
