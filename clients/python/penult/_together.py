"""Small calls that are made at once travel together: asyncio callers with an image each fill one message.

A call costs client and server about as much as a third of the feature of its image. So while some are under
way, those that come wait for one to end, and share the next. A lone caller waits for nothing.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import functools
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from penult._chunks import MAX_CHUNK_BYTES, MAX_UNARY_IMAGES, Chunk, Head
from penult._link import AsyncLink
from penult._status import too_late
from penult.errors import PenultError

MAX_UNDER_WAY = 4
"""Calls of one kind at once; more wait. Enough that a server always has the next at hand."""

B = TypeVar("B")
Send = Callable[[Chunk], Awaitable[B]]
Part = Callable[[B, int, int], B]


@dataclasses.dataclass(eq=False, slots=True)
class _Caller(Generic[B]):
    chunk: Chunk
    answer: asyncio.Future[B]


@dataclasses.dataclass(eq=False, slots=True)
class _Line(Generic[B]):
    """Calls of one kind."""

    send: Send[B]
    waiting: list[_Caller[B]] = dataclasses.field(default_factory=list)
    under_way: set[asyncio.Task[None]] = dataclasses.field(default_factory=set)
    called: bool = False


class Together(Generic[B]):
    """Belongs to one event loop."""

    def __init__(self, part: Part[B], link: AsyncLink) -> None:
        """`part(batch, start, stop)`: what one of several callers gets of their common answer."""
        self._part = part
        self._link = link
        self._lines: dict[Hashable, _Line[B]] = {}

    async def call(self, kind: Hashable, chunk: Chunk, send: Send[B], timeout: float | None) -> B:
        """The answer for `chunk`, which may be sent with those of other calls of this kind and timeout.

        Raises:
            DeadlineExceeded: no answer within `timeout` seconds; None: those of the client.
            PenultError: what `send` raises.
        """
        if not self._link.together:
            return await send(chunk)
        loop = asyncio.get_running_loop()
        timeout = timeout or self._link.endpoint.timeout
        kind = (kind, timeout)
        line = self._lines.setdefault(kind, _Line(send))
        caller = _Caller(chunk, loop.create_future())
        line.waiting.append(caller)
        if not line.called:  # at the end of this round of the loop, so that all who call in it are there
            line.called = True
            loop.call_soon(self._send_waiting, kind, line)
        timer = loop.call_later(timeout, _expire, caller.answer, timeout)
        try:
            answer: B = await caller.answer
        finally:
            timer.cancel()
        return answer

    def _send_waiting(self, kind: Hashable, line: _Line[B]) -> None:
        line.called = False
        while len(line.under_way) < MAX_UNDER_WAY and (group := _next_group(line.waiting)):
            task = asyncio.create_task(self._send(line.send, group))
            line.under_way.add(task)
            for caller in group:
                caller.answer.add_done_callback(functools.partial(_leave, group, task))

            def ended(task: asyncio.Task[None]) -> None:
                line.under_way.discard(task)
                self._send_waiting(kind, line)

            task.add_done_callback(ended)
        if not line.under_way and not line.waiting:
            self._lines.pop(kind, None)

    async def _send(self, send: Send[B], group: list[_Caller[B]]) -> None:
        try:
            batch = await send(Head([caller.chunk for caller in group]).merged())
        except PenultError as error:
            for caller in group:
                if not caller.answer.done():
                    caller.answer.set_exception(copy.copy(error))
            return
        except BaseException as error:
            for caller in group:
                if isinstance(error, asyncio.CancelledError):
                    caller.answer.cancel()
                elif not caller.answer.done():
                    caller.answer.set_exception(error)
            raise
        start = 0
        for caller in group:
            stop = start + len(caller.chunk.images)
            if not caller.answer.done():
                caller.answer.set_result(batch if len(group) == 1 else self._part(batch, start, stop))
            start = stop


def _next_group(waiting: list[_Caller[B]]) -> list[_Caller[B]]:
    """Takes as many as one message should hold from the front; those that have left are dropped."""
    group: list[_Caller[B]] = []
    images = size = 0
    while waiting:
        caller = waiting[0]
        if not caller.answer.done():
            images, size = images + len(caller.chunk.images), size + caller.chunk.size
            if group and (images > MAX_UNARY_IMAGES or size > MAX_CHUNK_BYTES):
                break
            group.append(caller)
        waiting.pop(0)
    return group


def _leave(group: list[_Caller[B]], task: asyncio.Task[None], _: asyncio.Future[B]) -> None:
    if all(caller.answer.done() for caller in group):
        task.cancel()


def _expire(answer: asyncio.Future[B], seconds: float) -> None:
    if not answer.done():
        answer.set_exception(too_late(f"no answer within {seconds:g} s"))
