"""Around every call: a request id, a log line, the bound on calls in flight, a status for every error."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import structlog

from penult_server.core.errors import Internal, PenultError, ResourceExhausted, Unavailable
from penult_server.transport.errors import to_status
from penult_server.transport.malformed import checked, tolerant

REQUEST_ID_HEADER = "x-request-id"
_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ALWAYS_OPEN = ("/grpc.health.", "/grpc.reflection.")

log = structlog.get_logger()
Context = grpc.aio.ServicerContext


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps each handler once; see the module's first line."""

    def __init__(self, max_calls: int) -> None:
        """`max_calls`: most calls in flight, health and reflection not counted."""
        self._max_calls = max_calls
        self._in_flight = 0
        self.draining = False

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Part of grpc.aio.ServerInterceptor."""
        handler = await continuation(details)
        if handler is None or details.method.startswith(_ALWAYS_OPEN):
            return handler
        codec = {
            "request_deserializer": tolerant(handler.request_deserializer),
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, details), **codec)
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(self._unary(handler.stream_unary, details), **codec)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(self._stream(handler.unary_stream, details), **codec)
        return grpc.stream_stream_rpc_method_handler(self._stream(handler.stream_stream, details), **codec)

    def _unary(self, behaviour: Callable[..., Awaitable[Any]], details: grpc.HandlerCallDetails) -> Any:
        async def call(request: Any, context: Context) -> Any:
            async with _Call(self, details, context):
                return await behaviour(checked(request), context)

        return call

    def _stream(self, behaviour: Callable[..., AsyncIterator[Any]], details: grpc.HandlerCallDetails) -> Any:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            async with _Call(self, details, context):
                async for response in behaviour(checked(request), context):
                    yield response

        return call

    def enter(self) -> None:
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

    def leave(self) -> None:
        """Counts a call out."""
        self._in_flight -= 1


class _Call:
    """One call's beginning and end."""

    def __init__(self, owner: CallInterceptor, details: grpc.HandlerCallDetails, context: Context) -> None:
        self._owner = owner
        self._context = context
        self._method = details.method
        sent = dict(details.invocation_metadata or ()).get(REQUEST_ID_HEADER, "")
        valid = isinstance(sent, str) and _CLIENT_REQUEST_ID.fullmatch(sent)
        self.request_id = str(sent) if valid else uuid.uuid4().hex[:16]
        self._entered = False
        self._start = 0.0

    async def __aenter__(self) -> None:
        self._start = time.perf_counter()
        structlog.contextvars.bind_contextvars(request_id=self.request_id)
        self._context.set_trailing_metadata(((REQUEST_ID_HEADER, self.request_id),))
        try:
            self._owner.enter()
            self._entered = True
        except PenultError as error:
            await self._refuse(error)

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if self._entered:
            self._owner.leave()
        if error is None:
            self._log("info", "OK")
        elif isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            self._log("info", "CANCELLED")
        elif isinstance(error, PenultError):
            if isinstance(error, Internal):
                log.error("internal_error", method=self._method, exc_info=error)
            await self._refuse(error)
        elif not isinstance(error, grpc.aio.AbortError):
            log.error("internal_error", method=self._method, exc_info=error)
            await self._refuse(
                Internal("INTERNAL", "the server failed; its log has the details under this request id")
            )

    async def _refuse(self, error: PenultError) -> None:
        status = to_status(error, self.request_id)
        self._log("warning" if isinstance(error, Internal) else "info", status.code.name, reason=error.reason)
        trailing = (*status.trailing_metadata, (REQUEST_ID_HEADER, self.request_id))
        await self._context.abort(status.code, status.details, trailing)

    def _log(self, level: str, code: str, **extra: str) -> None:
        elapsed = round((time.perf_counter() - self._start) * 1000, 2)
        getattr(log, level)("call", method=self._method, code=code, milliseconds=elapsed, **extra)
