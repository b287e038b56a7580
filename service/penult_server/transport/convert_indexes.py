"""Between the wire's indexes and core's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2, timestamp_pb2

from penult.v1 import feature_pb2, index_resource_pb2, tensor_pb2
from penult.v1 import index_resource_pb2 as pb
from penult_server.core.errors import InvalidArgument
from penult_server.core.evaluate_index import IndexEvaluation
from penult_server.core.features import FeatureOptions
from penult_server.core.index_kinds import AUTO, IndexSpec, Metric, StepSpec
from penult_server.core.indexes import IndexPhase
from penult_server.core.manage_indexes import IndexDescription, IndexStats
from penult_server.core.preprocess import PLAIN

_METRICS: dict[int, Metric] = {
    pb.INDEX_METRIC_UNSPECIFIED: "cosine",
    pb.INDEX_METRIC_COSINE: "cosine",
    pb.INDEX_METRIC_INNER_PRODUCT: "inner_product",
    pb.INDEX_METRIC_L2: "l2",
}
_METRIC_NUMBERS: dict[Metric, pb.IndexMetric] = {
    "cosine": pb.INDEX_METRIC_COSINE,
    "inner_product": pb.INDEX_METRIC_INNER_PRODUCT,
    "l2": pb.INDEX_METRIC_L2,
}
_PHASES = {
    IndexPhase.LOADING: pb.INDEX_PHASE_LOADING,
    IndexPhase.READY: pb.INDEX_PHASE_READY,
}
_POOLINGS = {
    "default": feature_pb2.POOLING_UNSPECIFIED,
    "avg": feature_pb2.POOLING_AVG,
    "max": feature_pb2.POOLING_MAX,
    "avg_max": feature_pb2.POOLING_AVG_MAX,
    "token": feature_pb2.POOLING_TOKEN,
}
_DTYPES = {"float32": tensor_pb2.DATA_TYPE_FLOAT32, "float16": tensor_pb2.DATA_TYPE_FLOAT16}


def spec_from_wire(spec: pb.IndexSpec) -> IndexSpec:
    """What an index is made of. Raises InvalidArgument for a metric of no meaning here."""
    if spec.metric not in _METRICS:
        raise InvalidArgument(
            "BAD_ENUM",
            f"no metric has the value {spec.metric}",
            field="spec.metric",
            hint="the server may be older than the client",
        )
    return IndexSpec(
        dim=spec.dim,
        metric=_METRICS[spec.metric],
        kind=spec.kind or AUTO,
        parameters=_values(spec.parameters),
        steps=tuple(StepSpec(step.name, _values(step.parameters)) for step in spec.steps),
        memory_bytes=spec.memory_bytes,
    )


def spec_to_wire(spec: IndexSpec) -> pb.IndexSpec:
    """The same as a message."""
    return pb.IndexSpec(
        dim=spec.dim,
        metric=_METRIC_NUMBERS[spec.metric],
        kind=spec.kind,
        parameters=_struct(spec.parameters),
        steps=[pb.RetrievalStep(name=step.name, parameters=_struct(step.parameters)) for step in spec.steps],
        memory_bytes=spec.memory_bytes,
    )


def options_to_wire(options: FeatureOptions) -> feature_pb2.FeatureOptions:
    """Feature options as a message."""
    message = feature_pb2.FeatureOptions(
        backbone=options.backbone,
        dtype=_DTYPES[options.dtype],
        l2_normalize=options.l2_normalize,
        layer=options.output.layer,
        pooling=_POOLINGS[options.output.pooling],
    )
    if options.tta != PLAIN:
        message.tta.CopyFrom(
            feature_pb2.TestTimeAugmentation(
                flip=options.tta.flip,
                crops=feature_pb2.CROPS_FIVE if options.tta.five_crops else feature_pb2.CROPS_UNSPECIFIED,
                scales=options.tta.scales,
            )
        )
    return message


def index_to_wire(described: IndexDescription) -> pb.Index:
    """An index."""
    index = described.index
    created = timestamp_pb2.Timestamp()
    created.FromMilliseconds(index.created_ms)
    return pb.Index(
        name=index.name,
        spec=spec_to_wire(index.spec),
        options=None if index.maker.options is None else options_to_wire(index.maker.options),
        fingerprint=index.maker.fingerprint,
        keeps_images=index.maker.keeps_images,
        label_field=index.maker.label_field,
        create_time=created,
        item_count=index.item_count,
        sequence=index.sequence,
        aliases=index.aliases,
        phase=_PHASES[described.phase],
        loading_progress=described.loading.progress if described.phase is IndexPhase.LOADING else 0.0,
    )


def stats_to_wire(stats: IndexStats) -> index_resource_pb2.IndexStats:
    """How an index is doing."""
    state, index = stats.state, stats.index
    return pb.IndexStats(
        item_count=index.item_count,
        kind=state.kind,
        factory=state.factory,
        why=state.why,
        memory_bytes=state.bytes,
        vector_bytes=4 * index.spec.dim * index.item_count,
        trained_on=state.trained_on,
        tombstones=state.tombstones,
        pending=state.pending,
        recall_at_10=state.recall_at_10,
        device=state.device,
        search={name: int(value) for name, value in state.search.items()},
        steps=state.steps,
        sequence=index.sequence,
        snapshot_sequence=index.snapshot_sequence,
        snapshot_bytes=index.snapshot_bytes,
        image_count=stats.image_count,
        queries=stats.queries,
        search_ms_p50=stats.search_ms_p50,
        search_ms_p95=stats.search_ms_p95,
        load_seconds=stats.loading.seconds,
        loaded_from=stats.loading.source,
        optimizing=stats.optimizing,
    )


def evaluation_to_wire(found: IndexEvaluation) -> pb.IndexEvaluation:
    """What was measured."""
    return pb.IndexEvaluation(**dataclasses.asdict(found))


def _values(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Its values; a Struct knows no integers, and what is whole was one."""
    whole: dict[str, Any] = _whole(json_format.MessageToDict(struct))
    return whole


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(dict(values))
    return struct
