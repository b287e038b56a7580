"""Calls that are made at once share messages, and nobody notices but by the number of messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest

import penult
from penult._chunks import MAX_CHUNK_BYTES, MAX_UNARY_IMAGES
from penult._together import MAX_UNDER_WAY


@pytest.fixture
async def client(known: Any) -> AsyncIterator[penult.AsyncClient]:
    async with penult.AsyncClient(known.target, timeout=20) as client:
        yield client


def image(number: int) -> bytes:
    """One that `known` gives a feature of its own."""
    return b"x" * (number + 1)


async def test_each_gets_its_own_feature_of_few_messages(client: penult.AsyncClient, known: Any) -> None:
    results = await asyncio.gather(*(client.extract(image(n)) for n in range(32)))
    assert [result.tolist() for result in results] == [[[n + 1, ord("x")]] for n in range(32)]
    assert len(known.servicer.calls) == 32 / MAX_UNARY_IMAGES


async def test_a_message_each_on_request(known: Any) -> None:
    async with penult.AsyncClient(known.target, together=False) as client:
        await asyncio.gather(*(client.extract(image(n)) for n in range(12)))
    assert len(known.servicer.calls) == 12


async def keep_busy(client: penult.AsyncClient, known: Any) -> list[asyncio.Task[Any]]:
    """So many calls under way that others wait, for 0.3 s."""
    known.servicer.delay = 0.3
    tasks = []
    for _ in range(MAX_UNDER_WAY):  # each in a round of the loop of its own
        tasks.append(asyncio.create_task(client.extract(image(0))))
        await asyncio.sleep(0.02)
    return tasks


async def test_calls_wait_only_behind_others(client: penult.AsyncClient, known: Any) -> None:
    first = await keep_busy(client, known)
    late = [asyncio.create_task(client.extract(image(n))) for n in range(5)]
    await asyncio.sleep(0.02)
    assert len(known.servicer.calls) == MAX_UNDER_WAY
    assert [(await task)[0, 0] for task in late] == [1, 2, 3, 4, 5]
    assert len(known.servicer.calls) == MAX_UNDER_WAY + 1
    await asyncio.gather(*first)


async def test_calls_of_other_features_travel_apart(client: penult.AsyncClient, known: Any) -> None:
    await asyncio.gather(
        *(client.extract(image(n), backbone=name) for n in range(4) for name in ("a", "b")),
        client.extract(image(0), backbone="a", l2=True),
    )
    assert len(known.servicer.calls) == 3


async def test_large_images_travel_alone(client: penult.AsyncClient, known: Any) -> None:
    large = b"x" * MAX_CHUNK_BYTES
    results = await asyncio.gather(*(client.extract(large) for _ in range(3)), client.extract(image(0)))
    assert [result[0, 0] for result in results] == [MAX_CHUNK_BYTES] * 3 + [1]
    assert len(known.servicer.calls) == 4


async def test_a_bad_image_fails_in_its_own_call(client: penult.AsyncClient, known: Any) -> None:
    first = await keep_busy(client, known)
    good, bad, partly, returned = await asyncio.gather(
        client.extract([image(1), image(2)]),
        client.extract(b"!"),
        client.extract([image(3), b"!"]),
        client.extract([image(4), b"!"], on_error="return"),
        return_exceptions=True,
    )
    assert len(known.servicer.calls) == MAX_UNDER_WAY + 1
    assert isinstance(good, np.ndarray)
    assert good[:, 0].tolist() == [2, 3]
    for error, index in ((bad, 0), (partly, 1)):
        assert isinstance(error, penult.ItemFailed)
        assert [one.index for one in error.errors] == [index]
    assert isinstance(returned, tuple)
    features, errors = returned
    assert features[0, 0] == 5
    assert np.isnan(features[1]).all()
    assert [error.index for error in errors] == [1]
    await asyncio.gather(*first)


async def test_a_failed_message_fails_all_its_calls(
    client: penult.AsyncClient, known: Any, error_info: Any
) -> None:
    known.servicer.fail = [(grpc.StatusCode.NOT_FOUND, [error_info])]
    outcomes = await asyncio.gather(*(client.extract(image(n)) for n in range(3)), return_exceptions=True)
    assert [outcome.reason for outcome in outcomes if isinstance(outcome, penult.NotFound)] == [
        "BACKBONE_NOT_FOUND"
    ] * 3
    assert len(set(map(id, outcomes))) == 3
    assert (await client.extract(image(0)))[0, 0] == 1


async def test_who_leaves_takes_nobody_along(client: penult.AsyncClient, known: Any) -> None:
    known.servicer.delay = 0.3
    stays, leaves = (asyncio.create_task(client.extract(image(n))) for n in range(2))
    await asyncio.sleep(0.1)
    leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    assert (await stays)[0, 0] == 1


async def test_a_message_that_all_have_left_is_cancelled(client: penult.AsyncClient, known: Any) -> None:
    known.servicer.delay = 2
    tasks = [asyncio.create_task(client.extract(image(n))) for n in range(2)]
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    known.servicer.delay = 0
    assert (await asyncio.wait_for(client.extract(image(0)), 10))[0, 0] == 1


async def test_timeouts_count_from_the_call(client: penult.AsyncClient, known: Any) -> None:
    known.servicer.delay = 1
    with pytest.raises(penult.DeadlineExceeded, match="longer timeout"):
        await client.extract(image(0), timeout=0.2)
    assert (await client.extract(image(0)))[0, 0] == 1


async def test_a_closed_client_says_so(known: Any) -> None:
    client = penult.AsyncClient(known.target)
    await client.close()
    outcomes = await asyncio.gather(*(client.extract(image(n)) for n in range(3)), return_exceptions=True)
    assert {getattr(outcome, "reason", None) for outcome in outcomes} == {"CLIENT_CLOSED"}
