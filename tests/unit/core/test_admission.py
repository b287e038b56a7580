from __future__ import annotations

import asyncio

import pytest

from penult_server.core.admission import Admission
from penult_server.core.errors import ResourceExhausted


def test_a_unary_call_past_the_bound_is_refused_with_a_delay() -> None:
    admission = Admission(10)
    admission.enter(8)
    with pytest.raises(ResourceExhausted) as caught:
        admission.enter(3)
    assert caught.value.reason == "OVERLOADED"
    assert caught.value.retry_after is not None
    assert 0.05 <= caught.value.retry_after <= 30
    admission.leave(8)
    admission.enter(3)
    assert admission.inside == 3


def test_the_delay_follows_the_rate_of_the_last_releases() -> None:
    now = 0.0
    admission = Admission(100, clock=lambda: now)
    for _ in range(20):  # 10 images every 0.1 s: 100 images/s
        admission.enter(10)
        now += 0.1
        admission.leave(10)
    admission.enter(100)
    with pytest.raises(ResourceExhausted) as caught:
        admission.enter(100)
    assert caught.value.retry_after == pytest.approx(1.0, rel=0.2)


def test_a_call_larger_than_the_bound_is_taken_when_nothing_else_is_inside() -> None:
    admission = Admission(4)
    admission.enter(9)
    assert admission.inside == 9


async def test_streams_wait_and_leave_room_for_unary_calls() -> None:
    admission = Admission(10, stream_share=0.5)
    await admission.wait_and_enter(5)
    waiting = asyncio.create_task(admission.wait_and_enter(5))
    await asyncio.sleep(0)
    assert not waiting.done()
    admission.enter(5)  # the half that streams may not take
    admission.leave(5)
    admission.leave(5)
    await asyncio.wait_for(waiting, 1)
    assert admission.inside == 5


async def test_a_cancelled_waiter_passes_its_turn_on() -> None:
    admission = Admission(2, stream_share=1.0)
    await admission.wait_and_enter(2)
    first = asyncio.create_task(admission.wait_and_enter(2))
    second = asyncio.create_task(admission.wait_and_enter(2))
    await asyncio.sleep(0)
    admission.leave(2)  # wakes the first, which is cancelled before it runs
    first.cancel()
    await asyncio.wait_for(second, 1)
    assert first.cancelled()
    assert admission.inside == 2


async def test_every_waiter_gets_in_at_last() -> None:
    admission = Admission(8, stream_share=1.0)

    async def work(views: int) -> None:
        await admission.wait_and_enter(views)
        assert admission.inside <= 8
        await asyncio.sleep(0)
        admission.leave(views)

    await asyncio.wait_for(asyncio.gather(*(work(1 + number % 8) for number in range(200))), 10)
    assert admission.inside == 0
