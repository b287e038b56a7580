from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penult._chunks import (
    MAX_CHUNK_BYTES,
    MAX_CHUNK_IMAGES,
    MAX_UNARY_BYTES,
    MAX_UNARY_IMAGES,
    chunks,
    read_head,
)

# Sizes around the limits matter; what the bytes are does not.
sizes = st.lists(st.sampled_from([0, 1, 1000, 300_000, MAX_CHUNK_BYTES - 1, MAX_CHUNK_BYTES]), max_size=60)


@given(sizes)
def test_every_image_is_in_exactly_one_chunk_in_order(lengths: list[int]) -> None:
    found = list(chunks(bytes(n) for n in lengths))
    assert [len(image.encoded) for chunk in found for image in chunk.images] == lengths
    for chunk in found:
        assert 1 <= len(chunk.images) == len(chunk.names) <= MAX_CHUNK_IMAGES
        assert chunk.size == sum(len(image.encoded) for image in chunk.images)
        assert chunk.size - len(chunk.images[-1].encoded) < MAX_CHUNK_BYTES
    assert all(chunk.full for chunk in found[:-1])


@given(sizes)
def test_one_call_takes_a_small_collection_whole_and_no_other(lengths: list[int]) -> None:
    source = chunks(bytes(n) for n in lengths)
    head = read_head(source)
    rest = list(source)
    small = len(lengths) <= MAX_UNARY_IMAGES and sum(lengths) < MAX_UNARY_BYTES
    assert head.fits == small
    if small:
        assert not rest
        assert [len(image.encoded) for image in head.merged().images] == lengths
    else:
        both = [*head.chunks, *rest]
        assert [len(image.encoded) for chunk in both for image in chunk.images] == lengths


def test_images_that_cannot_be_sent_keep_their_place() -> None:
    lengths = 700_000
    images: list[bytes | str] = [b"a" * lengths, "missing.jpg", b"b" * lengths, "gone.jpg"]
    head = read_head(chunks(images))
    whole = head.merged()
    assert len(head.chunks) == 2
    assert sorted(whole.faults) == [1, 3]
    assert whole.names == ["", "missing.jpg", "", "gone.jpg"]
    assert [image.WhichOneof("content") for image in whole.images] == ["encoded"] * 4


def test_reading_stops_where_nobody_asks_for_more() -> None:
    read = []

    def images():
        for n in range(1000):
            read.append(n)
            yield b"x"

    head = read_head(chunks(images()))
    assert len(read) == len(head.chunks[0].images) == MAX_CHUNK_IMAGES
