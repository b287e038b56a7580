"""Between the wire's backbones and core's."""

from __future__ import annotations

from penult.v1 import backbone_pb2 as pb
from penult_server.core.backbones import Backbone, BackboneSource, BackboneState, ImportRecord
from penult_server.core.describe_backbones import BackboneFilter
from penult_server.core.errors import InvalidArgument
from penult_server.core.preprocess import Preprocess

_STATES = {
    BackboneState.AVAILABLE: pb.BACKBONE_STATE_AVAILABLE,
    BackboneState.LOADING: pb.BACKBONE_STATE_LOADING,
    BackboneState.READY: pb.BACKBONE_STATE_READY,
    BackboneState.FAILED: pb.BACKBONE_STATE_FAILED,
}
_SOURCES = {
    BackboneSource.BUNDLED: pb.BACKBONE_SOURCE_BUNDLED,
    BackboneSource.DIRECTORY: pb.BACKBONE_SOURCE_DIRECTORY,
    BackboneSource.IMPORTED: pb.BACKBONE_SOURCE_IMPORTED,
    BackboneSource.TIMM: pb.BACKBONE_SOURCE_TIMM,
    BackboneSource.TORCHVISION: pb.BACKBONE_SOURCE_TORCHVISION,
    BackboneSource.FINE_TUNED: pb.BACKBONE_SOURCE_FINE_TUNED,
}
_STATE_OF = {number: state for state, number in _STATES.items()}
_SOURCE_OF = {number: source for source, number in _SOURCES.items()}


def backbone_to_wire(backbone: Backbone) -> pb.Backbone:
    """All that is known of a backbone."""
    message = pb.Backbone(
        name=backbone.summary.name,
        architecture=backbone.summary.architecture,
        source=_SOURCES[backbone.summary.source],
        state=_STATES[backbone.state],
        fingerprint=backbone.fingerprint,
        error=backbone.error,
    )
    if (facts := backbone.facts) is not None:
        message.dim = facts.dim
        message.preprocess.CopyFrom(_preprocess_to_wire(facts.preprocess))
        message.licence = facts.licence
        message.parameter_count = facts.parameter_count
        message.layers.extend(facts.layers)
    if (report := backbone.report) is not None:
        message.device = report.device
        message.provider = report.provider
        message.provider_cosine = report.provider_cosine
        message.provider_note = report.provider_note
        message.memory_bytes = report.memory_bytes
    return message


def _preprocess_to_wire(preprocess: Preprocess) -> pb.Preprocess:
    height, width = preprocess.input_size
    short_side = preprocess.crop_mode == "center" and preprocess.resize[0] == preprocess.resize[1]
    return pb.Preprocess(
        input_height=height,
        input_width=width,
        resize=preprocess.resize[:1] if short_side else preprocess.resize,
        crop_mode=preprocess.crop_mode,
        interpolation=preprocess.interpolation,
        mean=preprocess.mean,
        std=preprocess.std,
    )


def filter_from_wire(request: pb.ListBackbonesRequest) -> BackboneFilter:
    """Which backbones to list. Raises InvalidArgument for an enum value of no meaning here."""
    try:
        return BackboneFilter(
            query=request.query,
            sources=frozenset(_SOURCE_OF[number] for number in request.sources),
            state=_STATE_OF[request.state] if request.state else None,
        )
    except KeyError as error:
        raise InvalidArgument(
            "BAD_ENUM", f"no source or state has the value {error}", field="sources"
        ) from None


def import_record_from_wire(header: pb.ImportBackboneHeader) -> ImportRecord:
    """The header of an import."""
    return ImportRecord(
        name=header.name,
        architecture=header.architecture,
        licence=header.licence or "unknown",
        sha256=header.sha256,
        size_bytes=header.size_bytes,
        request_id=header.request_id,
    )
