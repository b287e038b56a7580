from __future__ import annotations

import asyncio

import pytest

from penult_server.core.call_limits import Bounds, CallLimits
from penult_server.core.errors import ResourceExhausted

BOUNDS = Bounds(calls=3, calls_per_key=2, bytes=100, bytes_per_key=50, stream_messages=3)


def test_calls_are_bounded_for_all_and_for_each_key() -> None:
    limits = CallLimits(BOUNDS)
    first = limits.enter("a")
    limits.enter("a")
    with pytest.raises(ResourceExhausted) as caught:
        limits.enter("a")
    assert caught.value.reason == "OVERLOADED"
    assert caught.value.retry_after
    limits.enter("b")
    with pytest.raises(ResourceExhausted):
        limits.enter("c")
    first.leave()
    limits.enter("a")
    assert limits.calls == 3


def test_bytes_are_bounded_for_all_and_for_each_key() -> None:
    limits = CallLimits(BOUNDS)
    one, other, nobody = limits.enter("a"), limits.enter("a"), limits.enter("")
    one.received(50)
    with pytest.raises(ResourceExhausted):
        other.check()
    nobody.check()
    nobody.received(50)
    with pytest.raises(ResourceExhausted):
        nobody.check()
    one.leave()
    other.check()
    other.leave()
    nobody.leave()
    assert (limits.calls, limits.bytes) == (0, 0)


async def test_a_stream_waits_for_room_and_its_last_message_counts_no_more() -> None:
    limits = CallLimits(BOUNDS)
    unary, stream = limits.enter(""), limits.enter("")
    await stream.next_message()
    stream.received(30)
    unary.received(80)
    await stream.next_message()
    assert limits.bytes == 80
    stream.received(40)
    waiting = asyncio.create_task(asyncio.wait_for(limits.room(""), 60))
    await asyncio.sleep(0)
    assert not waiting.done()
    unary.leave()
    await waiting
    stream.leave()
    assert (limits.calls, limits.bytes) == (0, 0)


async def test_a_stream_that_waits_and_is_cancelled_leaves_nothing() -> None:
    limits = CallLimits(BOUNDS)
    unary, stream = limits.enter(""), limits.enter("")
    unary.received(200)
    waiting = [asyncio.create_task(stream.next_message()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    unary.leave()
    await asyncio.gather(*waiting[1:])
    assert waiting[0].cancelled()
    stream.leave()
    assert (limits.calls, limits.bytes) == (0, 0)


async def test_a_stream_has_a_length() -> None:
    room = CallLimits(BOUNDS).enter("")
    for _ in range(3):
        await room.next_message()
        room.received(1)
    with pytest.raises(ResourceExhausted) as caught:
        await room.next_message()
    assert caught.value.reason == "STREAM_TOO_LONG"
