"""Between the wire's feature options and core's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from penult.v1 import feature_pb2, tensor_pb2
from penult_server.core.errors import InvalidArgument
from penult_server.core.features import FeatureDType, FeatureOptions, OutputSpec, Pooling
from penult_server.core.preprocess import PLAIN, TestTimeAugmentation

_POOLINGS: dict[int, Pooling] = {
    feature_pb2.POOLING_UNSPECIFIED: "default",
    feature_pb2.POOLING_AVG: "avg",
    feature_pb2.POOLING_MAX: "max",
    feature_pb2.POOLING_AVG_MAX: "avg_max",
    feature_pb2.POOLING_TOKEN: "token",
}
_DTYPES: dict[int, FeatureDType] = {
    tensor_pb2.DATA_TYPE_UNSPECIFIED: "float32",
    tensor_pb2.DATA_TYPE_FLOAT32: "float32",
    tensor_pb2.DATA_TYPE_FLOAT16: "float16",
}
_CROPS: dict[int, bool] = {feature_pb2.CROPS_UNSPECIFIED: False, feature_pb2.CROPS_FIVE: True}
V = TypeVar("V")


def options_from_wire(options: feature_pb2.FeatureOptions) -> FeatureOptions:
    """Feature options as core knows them. Raises InvalidArgument for an enum value of no meaning here."""
    return FeatureOptions(
        backbone=options.backbone,
        output=OutputSpec(options.layer, _known(_POOLINGS, options.pooling, "options.pooling")),
        tta=augmentation_from_wire(options.tta, "options.tta") if options.HasField("tta") else PLAIN,
        l2_normalize=options.l2_normalize,
        dtype=_known(_DTYPES, options.dtype, "options.dtype"),
    )


def augmentation_from_wire(tta: feature_pb2.TestTimeAugmentation, field: str) -> TestTimeAugmentation:
    """Views of an image. Raises InvalidArgument, naming the request's field, for an unknown value."""
    return TestTimeAugmentation(
        flip=tta.flip,
        five_crops=_known(_CROPS, tta.crops, f"{field}.crops"),
        scales=tuple(tta.scales) or (1.0,),
    )


def _known(table: Mapping[int, V], value: int, field: str) -> V:
    try:
        return table[value]
    except KeyError:
        raise InvalidArgument(
            "BAD_ENUM",
            f"{field} has no value {value}",
            field=field,
            hint="the server may be older than the client",
        ) from None
