"""The asyncio client does what the other one does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

import penult
from penult._chunks import MAX_CHUNK_IMAGES
from penult._duplex import MAX_PENDING_MESSAGES


@pytest.fixture
async def client(known: Any) -> AsyncIterator[penult.AsyncClient]:
    async with penult.AsyncClient(known.target, timeout=20) as client:
        yield client


def numbered(count: int) -> Iterator[bytes]:
    return (bytes([n % 32]) * (n + 1) for n in range(count))


async def arriving(count: int) -> AsyncIterator[bytes]:
    for image in numbered(count):
        yield image


@pytest.mark.parametrize(("count", "call"), [(8, "Extract"), (500, "ExtractStream")])
async def test_same_features_from_any_kind_of_iterable(
    client: penult.AsyncClient, known: Any, count: int, call: str
) -> None:
    for images in (list(numbered(count)), numbered(count), arriving(count)):
        features = await client.extract(images)
        assert features[:, 0].tolist() == list(range(1, count + 1))
    assert set(known.servicer.calls) == {call}


async def test_bad_images_by_on_error(client: penult.AsyncClient) -> None:
    images: list[Any] = [*numbered(50)]
    images[1], images[30] = b"!", Path("missing.jpg")
    features, errors = await client.extract(images, on_error="return")
    assert [(error.index, error.reason) for error in errors] == [
        (1, "IMAGE_CORRUPT"),
        (30, "FILE_UNREADABLE"),
    ]
    assert np.flatnonzero(np.isnan(features[:, 0])).tolist() == [1, 30]
    with pytest.raises(penult.ItemFailed):
        await client.extract(images)
    with pytest.warns(penult.SkippedImages):
        assert len(await client.extract(images, on_error="skip")) == 48


async def test_window_bounds_what_is_read_and_the_loop_goes_on(
    client: penult.AsyncClient, known: Any
) -> None:
    known.servicer.hold.clear()
    read = 0

    def images() -> Iterator[bytes]:
        nonlocal read
        for _ in range(2000):
            read += 1
            yield b"x"

    task = asyncio.create_task(client.extract(images()))
    done, _ = await asyncio.wait([task], timeout=0.7)
    assert not done
    assert read == MAX_PENDING_MESSAGES * MAX_CHUNK_IMAGES
    known.servicer.hold.set()
    assert (await task).shape == (2000, 2)


async def test_iteration_can_be_left(client: penult.AsyncClient) -> None:
    seen = 0
    batches = client.extract_iter(arriving(1000))
    async for batch in batches:
        seen += len(batch.names)
        if seen >= 100:
            break
    await batches.aclose()
    assert (await client.extract(b"x")).shape == (1, 2)


async def test_retry_timeout_and_cancellation(client: penult.AsyncClient, known: Any) -> None:
    known.servicer.fail = [(grpc.StatusCode.UNAVAILABLE, [])]
    assert (await client.extract(b"x")).shape == (1, 2)
    known.servicer.hold.clear()
    with pytest.raises(penult.DeadlineExceeded):
        await client.extract(numbered(100), timeout=0.2)
    task = asyncio.create_task(client.extract(numbered(100)))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_errors_are_the_same(client: penult.AsyncClient, known: Any, error_info: Any) -> None:
    known.servicer.fail = [(grpc.StatusCode.NOT_FOUND, [error_info])] * 2
    for images in (b"x", numbered(50)):
        with pytest.raises(penult.NotFound) as caught:
            await client.extract(images)
        assert (caught.value.reason, caught.value.request_id) == ("BACKBONE_NOT_FOUND", "r-1")


async def test_backbones(client: penult.AsyncClient, known: Any, tmp_path: Path) -> None:
    assert [backbone.name for backbone in await client.backbones.list("net")] == ["net0", "net1", "net2"]
    (tmp_path / "w.pth").write_bytes(b"w" * 3_000_000)
    await client.backbones.import_checkpoint("mine", tmp_path / "w.pth", architecture="resnet18")
    assert known.servicer.upload == b"w" * 3_000_000


async def test_closed_client_says_so(known: Any) -> None:
    client = penult.AsyncClient(known.target)
    await client.extract(b"x")
    await client.close()
    with pytest.raises(penult.FailedPrecondition):
        await client.extract(b"x")
