"""Around every call: who calls, the bound on calls in flight, and what `call.py` keeps of each.

A call is let in or refused before its first message is read, so that one who may not call, or calls too
much, costs the server no memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from penult_server.core.access import AccessControl
from penult_server.core.errors import ResourceExhausted, Unavailable
from penult_server.core.metrics import NO_METER, Meter
from penult_server.core.tracing import Tracer
from penult_server.transport.call import Call, CallWatch
from penult_server.transport.malformed import checked, tolerant
from penult_server.transport.scopes import OPEN_SERVICE, scope_of

_OPEN_METHODS = f"/{OPEN_SERVICE}/"
Context = grpc.aio.ServicerContext


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps each handler once; see the module's first line."""

    def __init__(
        self, access: AccessControl, max_calls: int, meter: Meter = NO_METER, tracer: Tracer | None = None
    ) -> None:
        """`max_calls`: most calls in flight, those of health not counted."""
        self._watch = CallWatch(meter, tracer)
        meter.gauge("penult_calls_in_flight", "Calls that have not ended.", lambda: self._in_flight)
        self._access = access
        self._max_calls = max_calls
        self._in_flight = 0
        self.draining = False

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Part of grpc.aio.ServerInterceptor."""
        if details.method.startswith(_OPEN_METHODS):
            return await continuation(details)
        call = Call(details, self._watch)
        try:
            call.key = await self._access.authorize(call.api_key, scope_of(details.method))
            self._enter()
        except Exception as error:  # answered as what it is: from here gRPC would say UNKNOWN
            return grpc.stream_stream_rpc_method_handler(call.refusal(error))
        handler = await continuation(details)
        # This is the task of the call, to its very end: a client that is gone before the handler begins
        # has left as well.
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(self._leave)
        return handler and self._wrapped(handler, call)

    def _wrapped(self, handler: Any, call: Call) -> Any:
        codec = {
            "request_deserializer": tolerant(handler.request_deserializer),
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, call), **codec)
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(self._unary(handler.stream_unary, call), **codec)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(self._stream(handler.unary_stream, call), **codec)
        return grpc.stream_stream_rpc_method_handler(self._stream(handler.stream_stream, call), **codec)

    def _unary(self, behaviour: Callable[..., Awaitable[Any]], call: Call) -> Any:
        async def handle(request: Any, context: Context) -> Any:
            async with call.around(context):
                return await behaviour(self._received(request, call), context)

        return handle

    def _stream(self, behaviour: Callable[..., AsyncIterator[Any]], call: Call) -> Any:
        async def handle(request: Any, context: Context) -> AsyncIterator[Any]:
            async with call.around(context):
                async for response in behaviour(self._received(request, call), context):
                    await self._access.check_again(call.key)
                    yield response

        return handle

    def _received(self, request: Any, call: Call) -> Any:
        """The request, or each of a stream, as the handler wants it."""
        return self._each_received(request, call) if hasattr(request, "__aiter__") else checked(request)

    async def _each_received(self, requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        async for request in requests:
            await self._access.check_again(call.key)
            yield checked(request)

    def _enter(self) -> None:
        """Counts a call in. Raises Unavailable while draining, ResourceExhausted past the bound."""
        if self.draining:
            raise Unavailable("DRAINING", "the server is shutting down", hint="retry on another server")
        if self._in_flight >= self._max_calls:
            raise ResourceExhausted(
                "OVERLOADED",
                f"{self._in_flight} calls are in flight, which is the most that are taken",
                retry_after=0.5,
                hint="retry after the stated delay",
            )
        self._in_flight += 1

    def _leave(self, _: object) -> None:
        self._in_flight -= 1
