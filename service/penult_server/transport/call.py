"""One call from its arrival to its status: its request id, its key, its line in the log."""

from __future__ import annotations

import asyncio
import functools
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog

from penult_server.core.access import ApiKey
from penult_server.core.errors import Internal, PenultError
from penult_server.core.metrics import Meter
from penult_server.core.tracing import Trace, Tracer, follow
from penult_server.transport.errors import to_status
from penult_server.transport.scopes import known

REQUEST_ID_HEADER = "x-request-id"
_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BEARER = re.compile(r"Bearer +([!-~]{1,200})", re.IGNORECASE)

log = structlog.get_logger()
Context = grpc.aio.ServicerContext


class CallWatch:
    """What all calls are counted and traced with."""

    def __init__(self, meter: Meter, tracer: Tracer | None) -> None:
        """Makes the instruments."""
        self.tracer = tracer
        self.calls = meter.counter("penult_calls_total", "Calls by how they ended.", ["method", "code"])
        self.seconds = meter.histogram(
            "penult_call_seconds", "From the arrival of a call to its status.", labels=["method"]
        )


class Call:
    """What is known of one call. `key` is set once somebody has looked who calls."""

    key: ApiKey | None = None

    def __init__(self, details: grpc.HandlerCallDetails, watch: CallWatch) -> None:
        """Names the call in every line of the log that is written while it is worked on."""
        self._watch = watch
        self.method = details.method
        metadata = dict(details.invocation_metadata or ())
        sent = metadata.get(REQUEST_ID_HEADER, "")
        valid = isinstance(sent, str) and _CLIENT_REQUEST_ID.fullmatch(sent)
        self.request_id = str(sent) if valid else uuid.uuid4().hex[:16]
        bearer = _BEARER.fullmatch(str(metadata.get("authorization", "")))
        self.api_key = bearer.group(1) if bearer else None
        self._start = time.perf_counter()
        structlog.contextvars.bind_contextvars(request_id=self.request_id)
        self._trace: Trace | None = None
        if watch.tracer is not None:
            self._trace = watch.tracer.begin(self.method, {k: str(v) for k, v in metadata.items()})
            follow(self._trace)

    @asynccontextmanager
    async def around(self, context: Context) -> AsyncIterator[None]:
        """Answers what is raised inside with a status, and logs how it ended."""
        context.set_trailing_metadata(((REQUEST_ID_HEADER, self.request_id),))
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            self._ended("info", "CANCELLED")
            raise
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await self._refuse(error, context)
        else:
            self._ended("info", "OK")

    def refusal(self, error: Exception) -> Callable[..., Awaitable[None]]:
        """A handler that reads nothing and answers with this error."""

        async def refuse(_: object, context: Context) -> None:
            await self._refuse(error, context)

        return refuse

    async def _refuse(self, error: Exception, context: Context) -> None:
        if not isinstance(error, PenultError) or isinstance(error, Internal):
            log.error("internal_error", method=self.method, exc_info=error)
        if not isinstance(error, PenultError):
            error = Internal("INTERNAL", "the server failed; its log has the details under this request id")
        status = to_status(error, self.request_id)
        self._ended(
            "warning" if isinstance(error, Internal) else "info", status.code.name, reason=error.reason
        )
        trailing = (*status.trailing_metadata, (REQUEST_ID_HEADER, self.request_id))
        await context.abort(status.code, status.details, trailing)

    def _ended(self, level: str, code: str, **extra: Any) -> None:
        seconds = time.perf_counter() - self._start
        # A name that no service has is the caller's invention, and would be a new series each time.
        method = self.method if known(self.method) else "unknown"
        self._watch.calls.add(1, method, code)
        self._watch.seconds.observe(seconds, method)
        if self._watch.tracer is not None and self._trace is not None:
            self._watch.tracer.end(self._trace, code=code, request_id=self.request_id)
        if self.key is not None:
            extra["key"] = self.key.name
        line = functools.partial(
            getattr(log, level),
            "call", method=self.method, code=code, milliseconds=round(seconds * 1000, 2), **extra,
        )  # fmt: skip
        if code == "OK":
            asyncio.get_running_loop().call_soon(line)  # once the response is on its way
        else:
            line()
