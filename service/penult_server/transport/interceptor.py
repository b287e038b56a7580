"""Around every call: who calls, the bound on calls in flight, and what `call.py` keeps of each.

A call is let in or refused before its first message is read, so that one who may not call, or calls too
much, costs the server no memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import structlog

from penult_server.core.access import AccessControl
from penult_server.core.call_limits import CallLimits, CallRoom
from penult_server.core.caller import CALLER
from penult_server.core.errors import Unavailable, Unimplemented
from penult_server.core.metrics import NO_METER, Meter
from penult_server.core.tracing import Tracer
from penult_server.transport.call import Call, CallWatch
from penult_server.transport.malformed import checked, tolerant
from penult_server.transport.scopes import OPEN_SERVICE, scope_of

log = structlog.get_logger()
_OPEN_METHODS = f"/{OPEN_SERVICE}/"
_WORDS = {False: "unary", True: "stream"}
_END = object()
Context = grpc.aio.ServicerContext


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps each handler once; see the module's first line."""

    def __init__(
        self,
        access: AccessControl,
        limits: CallLimits,
        stall_seconds: float,
        meter: Meter = NO_METER,
        tracer: Tracer | None = None,
    ) -> None:
        """A client that leaves a response lying for `stall_seconds` is cut off."""
        self._access = access
        self._limits = limits
        self._stall_seconds = stall_seconds
        self._watch = CallWatch(meter, tracer)
        meter.gauge("penult_calls_in_flight", "Calls that have not ended.", lambda: limits.calls)
        meter.gauge(
            "penult_message_bytes", "Bytes of messages that calls in flight hold.", lambda: limits.bytes
        )
        self.draining = False

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Part of grpc.aio.ServerInterceptor."""
        handler = await continuation(details)
        if details.method.startswith(_OPEN_METHODS):
            return handler
        call = Call(details, self._watch)
        try:
            call.key = await self._access.authorize(call.api_key, scope_of(details.method))
            CALLER.set(call.key.id if call.key else "")
            if self.draining:
                raise Unavailable("DRAINING", "the server is shutting down", hint="retry on another server")
            room = self._limits.enter(call.key.id if call.key else "")
            # This is the task of the call, to its very end: a client that is gone before the handler begins
            # has left as well.
            task = asyncio.current_task()
            assert task is not None
            task.add_done_callback(lambda _: room.leave())
            if handler is None:
                raise Unimplemented(
                    "RPC_UNKNOWN",
                    "this server has no such method",
                    hint="the client may be newer than the server",
                )
            if not handler.request_streaming:
                room.check()
        except Exception as error:  # answered as what it is: from here gRPC would say UNKNOWN
            return grpc.stream_stream_rpc_method_handler(call.refusal(error))
        return self._wrapped(handler, call, room, task)

    def _wrapped(self, handler: Any, call: Call, room: CallRoom, task: asyncio.Task[Any]) -> Any:
        kind = f"{_WORDS[handler.request_streaming]}_{_WORDS[handler.response_streaming]}"
        wrap = self._stream if handler.response_streaming else self._unary
        behaviour = wrap(getattr(handler, kind), call, room, task)
        return getattr(grpc, f"{kind}_rpc_method_handler")(
            behaviour,
            request_deserializer=tolerant(handler.request_deserializer, room.received),
            response_serializer=handler.response_serializer,
        )

    def _unary(
        self, behaviour: Callable[..., Awaitable[Any]], call: Call, room: CallRoom, task: asyncio.Task[Any]
    ) -> Any:
        async def handle(request: Any, context: Context) -> Any:
            async with call.around(context):
                response = await behaviour(self._received(request, call, room), context)
            timer = self._cut_off_later(call, task)
            task.add_done_callback(lambda _: timer.cancel())
            return response

        return handle

    def _stream(
        self,
        behaviour: Callable[..., AsyncIterator[Any]],
        call: Call,
        room: CallRoom,
        task: asyncio.Task[Any],
    ) -> Any:
        async def handle(request: Any, context: Context) -> AsyncIterator[Any]:
            async with call.around(context):
                async for response in behaviour(self._received(request, call, room), context):
                    await self._access.check_again(call.key)
                    timer = self._cut_off_later(call, task)
                    try:
                        yield response
                    finally:
                        timer.cancel()

        return handle

    def _cut_off_later(self, call: Call, task: asyncio.Task[Any]) -> asyncio.TimerHandle:
        """Unless the response has been taken by then, and the timer cancelled."""

        def cut_off() -> None:
            log.warning("client_stalled", request_id=call.request_id, method=call.method)
            task.cancel()

        return asyncio.get_running_loop().call_later(self._stall_seconds, cut_off)

    def _received(self, request: Any, call: Call, room: CallRoom) -> Any:
        """The request, or each of a stream, as the handler wants it."""
        return self._each(request, call, room) if hasattr(request, "__aiter__") else checked(request)

    async def _each(self, requests: AsyncIterator[Any], call: Call, room: CallRoom) -> AsyncIterator[Any]:
        messages = aiter(requests)
        while True:
            await room.next_message()
            request = await anext(messages, _END)
            if request is _END:
                return
            await self._access.check_again(call.key)
            yield checked(request)
