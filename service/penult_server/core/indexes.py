"""What an index and its items are, and when an item is refused."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from penult_server.core.errors import InvalidArgument, PenultError
from penult_server.core.features import FeatureOptions
from penult_server.core.images import ItemError
from penult_server.core.index_kinds import IndexSpec

MAX_ID_BYTES = 512
MAX_METADATA_BYTES = 16 << 10
MAX_METADATA_DEPTH = 32
MAX_ITEMS = 10_000
"""Most ids in one call that removes, and items in one message that adds vectors."""
DEFAULT_LABEL_FIELD = "label"
_LARGEST = 2**63 - 1


class ItemFault(str, enum.Enum):
    """Why an item is refused. docs/indexes.md explains each."""

    ID_INVALID = "ID_INVALID"
    """Empty, too long, or with control characters."""
    ID_REPEATED = "ID_REPEATED"
    """Twice in one message; all of them are refused."""
    EXISTS = "ITEM_EXISTS"
    """The index holds another item with this id, and the mode is not upsert."""
    CHANGED = "ITEM_CHANGED"
    """It was changed by another call meanwhile; send it again."""
    METADATA_INVALID = "METADATA_INVALID"
    """No JSON object, too long, too deep, or with numbers or text that do not travel."""


class ItemFaultError(Exception):
    """This one item is refused; others are unaffected."""

    def __init__(self, fault: ItemFault, message: str) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message

    def item(self, index: int, item_id: str) -> ItemError:
        """As the error of one item."""
        return ItemError(index, item_id[:80], self.fault.value, self.message)


class AddMode(str, enum.Enum):
    """What to do with an id that the index holds already: refuse the item, or replace it."""

    ADD = "add"
    UPSERT = "upsert"


class IndexPhase(str, enum.Enum):
    """Whether an index can be searched."""

    LOADING = "loading"
    """Being read into memory after a start of the server; takes writes."""
    READY = "ready"


@dataclasses.dataclass(frozen=True, slots=True)
class IndexMaker:
    """What a new index is made of; fixed for its life.

    `options` say what feature its vectors are, None for the caller's own. `fingerprint` is that of its
    vectors, "" where the caller's have none. `label_field` is the metadata field that holds a label.
    """

    spec: IndexSpec
    options: FeatureOptions | None
    fingerprint: str
    keeps_images: bool
    label_field: str = DEFAULT_LABEL_FIELD


@dataclasses.dataclass(frozen=True, slots=True)
class Index:
    """An index as its rows are. `id` is the server's own, never used again.

    `sequence` is the number of its latest write; `snapshot_sequence` and `snapshot_bytes` are those of
    its snapshot file, 0 where there is none.
    """

    id: int
    name: str
    maker: IndexMaker
    created_ms: int
    sequence: int
    item_count: int
    aliases: tuple[str, ...] = ()
    snapshot_sequence: int = 0
    snapshot_bytes: int = 0

    @property
    def spec(self) -> IndexSpec:
        """What it is made of."""
        return self.maker.spec


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A checked item on its way into an index. `index` is its position in its call or stream.

    `vector` is float32 (dim,), None where the index is known to hold this picture. `image` is the picture's
    bytes where they are kept, `image_sha256` lower-case hex, "" for an item that came as a vector.
    """

    index: int
    id: str
    metadata_json: str
    vector: np.ndarray | None
    image_sha256: str = ""
    image: bytes = b""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class AddItems:
    """One message of items to be written, with the errors that are known so far."""

    first_index: int
    count: int
    candidates: Sequence[Candidate]
    errors: Sequence[ItemError]
    mode: AddMode
    request_id: str = ""
    streamed: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class RemoveItems:
    """Ids to be removed."""

    ids: Sequence[str]
    request_id: str = ""


Write = AddItems | RemoveItems


@dataclasses.dataclass(frozen=True, slots=True)
class AddReceipt:
    """What became of one message; added + updated + unchanged + errors are its `count` items."""

    first_index: int
    count: int
    added: int
    updated: int
    unchanged: int
    errors: list[ItemError]


@dataclasses.dataclass(frozen=True, slots=True)
class RemoveReceipt:
    """How many of the ids there were, and how many not."""

    removed: int
    missing: int


WriteReceipt = AddReceipt | RemoveReceipt
WriteAnswer = WriteReceipt | PenultError
"""A write whose request_id was used for another one is refused, and the others of its group are made."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class VectorChange:
    """What writes with numbers up to `sequence` did: vectors that are there now, or keys that are gone."""

    sequence: int
    keys: np.ndarray
    vectors: np.ndarray | None
    """float32 (N, dim); None where the keys are removed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """An item as it is. `sequence` is the number of the write that made it so."""

    key: int
    id: str
    metadata_json: str
    image_sha256: str
    sequence: int


def check_item_id(item_id: str) -> str:
    """The id. Raises ItemFaultError."""
    if not item_id or not item_id.isprintable() or len(item_id.encode()) > MAX_ID_BYTES:
        raise ItemFaultError(ItemFault.ID_INVALID, f"an id is printable text of 1 to {MAX_ID_BYTES} bytes")
    return item_id


def check_metadata(text: str) -> str:
    """The metadata in the one form in which it is kept: compact, each name once, "" for none.

    Raises ItemFaultError for what is no JSON object, or holds what filters cannot compare everywhere alike:
    numbers that are not finite or past 64 bits, text with NUL or halves of surrogate pairs.
    """
    if not text:
        return ""
    try:
        if len(text.encode()) > MAX_METADATA_BYTES:
            raise ValueError
        value = json.loads(text, parse_constant=_refuse)
        if not isinstance(value, dict):
            raise ValueError
        _check_value(value, MAX_METADATA_DEPTH)
        kept = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        kept.encode()
    except (ValueError, RecursionError):
        raise ItemFaultError(
            ItemFault.METADATA_INVALID,
            f"metadata is the text of a JSON object of at most {MAX_METADATA_BYTES} bytes and "
            f"{MAX_METADATA_DEPTH} levels, with finite numbers up to 64 bits and no NUL in text",
        ) from None
    return kept if value else ""


def metadata_of(text: str) -> Mapping[str, Any]:
    """The metadata as values."""
    found: Mapping[str, Any] = json.loads(text) if text else {}
    return found


def label_of(text: str, field: str) -> str:
    """The label in an item's metadata, "" for none."""
    label = metadata_of(text).get(field, "")
    return label if isinstance(label, str) else ""


def check_label_field(field: str) -> str:
    """The field, the default for "". Raises InvalidArgument."""
    if field and (not field.isprintable() or len(field.encode()) > 64 or '"' in field or "\\" in field):
        raise InvalidArgument(
            "LABEL_FIELD_INVALID",
            "label_field is printable text of at most 64 bytes, without quotes and backslashes",
            field="label_field",
        )
    return field or DEFAULT_LABEL_FIELD


def _check_value(value: Any, levels: int) -> None:
    if levels < 0:
        raise ValueError
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_value(name, levels)
            _check_value(inner, levels - 1)
    elif isinstance(value, list):
        for inner in value:
            _check_value(inner, levels - 1)
    elif isinstance(value, str):
        if "\0" in value:
            raise ValueError
    elif (isinstance(value, float) and not math.isfinite(value)) or (
        isinstance(value, int) and abs(value) > _LARGEST
    ):
        raise ValueError


def _refuse(constant: str) -> Any:
    raise ValueError(constant)
