"""Messages of BackboneService: requests from arguments, results from responses."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from typing import TypeVar

from penult._datasets import new_request_id
from penult._sent_file import SentFile
from penult.errors import InvalidArgument
from penult.types import Backbone, Preprocess, Source, State
from penult.v1 import backbone_pb2

_PAGE_SIZE = 500

_STATES: dict[str, backbone_pb2.BackboneState] = {
    "available": backbone_pb2.BACKBONE_STATE_AVAILABLE,
    "loading": backbone_pb2.BACKBONE_STATE_LOADING,
    "ready": backbone_pb2.BACKBONE_STATE_READY,
    "failed": backbone_pb2.BACKBONE_STATE_FAILED,
}
_SOURCES: dict[str, backbone_pb2.BackboneSource] = {
    "bundled": backbone_pb2.BACKBONE_SOURCE_BUNDLED,
    "directory": backbone_pb2.BACKBONE_SOURCE_DIRECTORY,
    "imported": backbone_pb2.BACKBONE_SOURCE_IMPORTED,
    "timm": backbone_pb2.BACKBONE_SOURCE_TIMM,
    "torchvision": backbone_pb2.BACKBONE_SOURCE_TORCHVISION,
    "fine_tuned": backbone_pb2.BACKBONE_SOURCE_FINE_TUNED,
}
_STATE_NAMES = {number: name for name, number in _STATES.items()}
_SOURCE_NAMES = {number: name for name, number in _SOURCES.items()}

_Number = TypeVar("_Number")


def list_request(
    query: str | None, sources: Iterable[Source] | None, state: State | None
) -> backbone_pb2.ListBackbonesRequest:
    """The request for the first page. Raises InvalidArgument for an unknown source or state."""
    return backbone_pb2.ListBackbonesRequest(
        page_size=_PAGE_SIZE,
        query=query or "",
        sources=[_number(_SOURCES, "source", source) for source in sources or ()],
        state=_number(_STATES, "state", state) if state else backbone_pb2.BACKBONE_STATE_UNSPECIFIED,
    )


def _number(known: dict[str, _Number], kind: str, word: str) -> _Number:
    try:
        return known[word]
    except KeyError:
        raise InvalidArgument(
            f"unknown {kind} {word!r}", reason=f"{kind.upper()}_UNKNOWN", hint=f"one of {', '.join(known)}"
        ) from None


def backbone(message: backbone_pb2.Backbone) -> Backbone:
    """The backbone without its message."""
    return Backbone(
        name=message.name,
        architecture=message.architecture,
        source=_SOURCE_NAMES.get(message.source, ""),
        state=_STATE_NAMES.get(message.state, ""),
        dim=message.dim,
        preprocess=_preprocess(message.preprocess) if message.HasField("preprocess") else None,
        fingerprint=message.fingerprint,
        licence=message.licence,
        parameter_count=message.parameter_count,
        device=message.device,
        provider=message.provider,
        provider_cosine=message.provider_cosine,
        provider_note=message.provider_note,
        memory_bytes=message.memory_bytes,
        layers=tuple(message.layers),
        error=message.error,
    )


def _preprocess(message: backbone_pb2.Preprocess) -> Preprocess:
    return Preprocess(
        input_size=(message.input_height, message.input_width),
        resize=tuple(message.resize),
        crop_mode=message.crop_mode,
        interpolation=message.interpolation,
        mean=tuple(message.mean),
        std=tuple(message.std),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Upload:
    """A checkpoint on its way: its header, and its bytes in messages of 1 MiB."""

    file: SentFile
    header: backbone_pb2.ImportBackboneHeader

    @classmethod
    def of(cls, name: str, path: str | os.PathLike[str], architecture: str, licence: str) -> Upload:
        """Reads the whole file once for its checksum. Raises InvalidArgument where it cannot be read."""
        file = SentFile.of(path, "checkpoint ")
        header = backbone_pb2.ImportBackboneHeader(
            name=name,
            architecture=architecture,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            licence=licence,
            request_id=new_request_id(),
        )
        return cls(file, header)

    def requests(self) -> Iterator[backbone_pb2.ImportBackboneRequest]:
        """The messages in order; the file is never in memory as a whole."""
        yield backbone_pb2.ImportBackboneRequest(header=self.header)
        for block in self.file.blocks():
            yield backbone_pb2.ImportBackboneRequest(chunk=block)
