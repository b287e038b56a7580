"""Between the wire's items, searches and hits and core's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penult.v1 import index_pb2 as pb
from penult.v1 import tensor_pb2
from penult_server.core.errors import InvalidArgument
from penult_server.core.indexes import AddMode, AddReceipt, Item
from penult_server.core.manage_indexes import FoundItems
from penult_server.core.new_items import NewItem, NewItems
from penult_server.core.searches import DEFAULT_K, SearchAnswer, SearchRequest
from penult_server.transport.convert_features import augmentation_from_wire
from penult_server.transport.convert_images import (
    array_from_wire,
    image_from_wire,
    item_error_to_wire,
    tensor_to_wire,
)

_MODES = {
    pb.ADD_MODE_UNSPECIFIED: AddMode.ADD,
    pb.ADD_MODE_ADD: AddMode.ADD,
    pb.ADD_MODE_UPSERT: AddMode.UPSERT,
}


def new_items_from_wire(new: pb.NewItems) -> NewItems:
    """A message of items. Raises InvalidArgument for a mode of no meaning here, or a tensor that is none."""
    if new.mode not in _MODES:
        raise InvalidArgument("BAD_ENUM", f"no mode has the value {new.mode}", field="items.mode")
    items = [
        NewItem(item.id, item.metadata_json, image_from_wire(item.image) if item.HasField("image") else None)
        for item in new.items
    ]
    vectors = _vectors(new.vectors, "items.vectors") if new.HasField("vectors") else None
    return NewItems(items, _MODES[new.mode], vectors, new.fingerprint)


def receipt_to_wire(receipt: AddReceipt) -> pb.AddReceipt:
    """What became of a message."""
    return pb.AddReceipt(
        first_index=receipt.first_index,
        added=receipt.added,
        updated=receipt.updated,
        unchanged=receipt.unchanged,
        errors=map(item_error_to_wire, receipt.errors),
    )


def item_to_wire(item: Item, image: bytes = b"") -> pb.Item:
    """One item."""
    return pb.Item(
        id=item.id,
        metadata_json=item.metadata_json,
        image_sha256=item.image_sha256,
        sequence=item.sequence,
        image=image,
    )


def found_to_wire(found: FoundItems) -> pb.GetItemsResponse:
    """Items with what was asked for."""
    images: Sequence[bytes] = found.images or [b""] * len(found.items)
    return pb.GetItemsResponse(
        items=map(item_to_wire, found.items, images),
        vectors=None if found.vectors is None else tensor_to_wire(found.vectors),
    )


def search_from_wire(request: pb.SearchRequest) -> SearchRequest:
    """What is looked for. Raises InvalidArgument for a tensor that is none."""
    return SearchRequest(
        index=request.index,
        images=[image_from_wire(image) for image in request.images],
        ids=request.ids,
        vectors=_vectors(request.vectors, "vectors") if request.HasField("vectors") else None,
        fingerprint=request.fingerprint,
        k=request.k or DEFAULT_K,
        filter=request.filter,
        min_score=request.min_score if request.HasField("min_score") else None,
        exclude=request.exclude_ids,
        with_vectors=request.with_vectors,
        query_tta=augmentation_from_wire(request.query_tta, "query_tta")
        if request.HasField("query_tta")
        else None,
    )


def answer_to_wire(answer: SearchAnswer, *, in_columns: bool) -> pb.SearchResponse:
    """What was found."""
    errors = map(item_error_to_wire, answer.errors)
    if in_columns:
        return pb.SearchResponse(columns=_columns(answer), errors=errors)
    response = pb.SearchResponse(errors=errors)
    scores = answer.scores.tolist()
    for span in answer.spans():
        columns = answer.ids[span], scores[span], answer.metadata_json[span]
        message = response.results.add(hits=map(_hit, *columns))
        if answer.vectors is not None:
            message.vectors.CopyFrom(tensor_to_wire(answer.vectors[span]))
    return response


def _columns(answer: SearchAnswer) -> pb.HitColumns:
    texts = answer.metadata_json
    if any(texts) and not all(texts):
        texts = [text or "{}" for text in texts]
    return pb.HitColumns(
        counts=answer.counts.tolist(),
        ids=answer.ids,
        scores=tensor_to_wire(answer.scores),
        metadata_json=f"[{','.join(texts)}]" if any(texts) else "",
        vectors=None if answer.vectors is None else tensor_to_wire(answer.vectors),
    )


def _hit(item_id: str, score: float, metadata_json: str) -> pb.Hit:
    return pb.Hit(id=item_id, score=score, metadata_json=metadata_json)


def _vectors(tensor: tensor_pb2.Tensor, field: str) -> np.ndarray:
    array = array_from_wire(tensor)
    if array is None or array.ndim != 2 or array.dtype == np.uint8:
        raise InvalidArgument(
            "BAD_TENSOR",
            "vectors are a tensor (N, dim) of FLOAT32 or FLOAT16 with as many bytes as that takes",
            field=field,
        )
    return array
