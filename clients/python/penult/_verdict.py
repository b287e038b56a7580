"""What the server really said of a stream that it refused while the client was still writing.

grpc.aio then reports the failed write as its own INTERNAL, and whether that or the server's status is seen
is a matter of which came first. Here the server's status is kept, whatever comes before or after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import grpc

_WRITE_FAILED = "Internal error from Core"
_WAIT_SECONDS = 0.5
T = TypeVar("T")


class Verdict:
    """Listens to one call from its start."""

    def __init__(self, call: Any) -> None:
        self._servers: grpc.aio.AioRpcError | None = None
        self._heard = asyncio.Event()
        call.add_done_callback(self._listen)

    async def on(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """`error`, or in place of a failed write the status that the server sent or is about to send."""
        if error.details() != _WRITE_FAILED:
            return error
        try:
            await asyncio.wait_for(self._heard.wait(), _WAIT_SECONDS)
        except asyncio.TimeoutError:
            return error
        return self._servers or error

    def _listen(self, call: Any) -> None:
        details = _known(call.details())
        if details != _WRITE_FAILED:
            self._servers = grpc.aio.AioRpcError(
                _known(call.code()),
                _known(call.initial_metadata()),
                _known(call.trailing_metadata()),
                details,
            )
            self._heard.set()


def _known(value: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for: the call is done."""
    try:
        value.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise RuntimeError("the call is not done")
