"""The one channel of a client, opened at the first call, and how a call is made on it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc

from penult._channel import Endpoint
from penult._status import translated
from penult.errors import FailedPrecondition


class Link:
    """A channel for threads. Safe to use from several at once."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._stubs: dict[Callable[[grpc.Channel], Any], Any] = {}
        self._closed = False

    def stub(self, service: Callable[[grpc.Channel], Any]) -> Any:
        """A stub of `service` on the channel. Raises FailedPrecondition once closed."""
        with self._lock:
            check_open(self._closed)
            if self._channel is None:
                self._channel = self.endpoint.open()
            if service not in self._stubs:
                self._stubs[service] = service(self._channel)
            return self._stubs[service]

    def call(self, method: Callable[..., Any], request: Any, timeout: float | None) -> Any:
        """Makes one call and waits for its answer. Raises PenultError."""
        with translated(self.endpoint.target):
            return method(request, timeout=timeout or self.endpoint.timeout, metadata=self.endpoint.metadata)

    def stream(self, method: Callable[..., Any], request: Any, timeout: float | None) -> Iterator[Any]:
        """The answers of one call, as they come; `timeout` None: without end. Raises PenultError."""
        with translated(self.endpoint.target):
            yield from method(request, timeout=timeout, metadata=self.endpoint.metadata)

    def close(self) -> None:
        """Ends calls in progress. A second time does nothing."""
        with self._lock:
            self._closed = True
            if self._channel is not None:
                self._channel.close()
                self._channel = None


class AsyncLink:
    """The same for asyncio. Belongs to the event loop of its first call."""

    def __init__(self, endpoint: Endpoint, together: bool) -> None:
        """`together`: whether small calls that are made at once may share messages."""
        self.endpoint = endpoint
        self.together = together
        self._channel: grpc.aio.Channel | None = None
        self._stubs: dict[Callable[[grpc.aio.Channel], Any], Any] = {}
        self._closed = False

    def stub(self, service: Callable[[grpc.aio.Channel], Any]) -> Any:
        """A stub of `service` on the channel. Raises FailedPrecondition once closed."""
        check_open(self._closed)
        if self._channel is None:
            self._channel = self.endpoint.open_async()
        if service not in self._stubs:
            self._stubs[service] = service(self._channel)
        return self._stubs[service]

    async def call(self, method: Callable[..., Any], request: Any, timeout: float | None) -> Any:
        """Makes one call and waits for its answer. Raises PenultError."""
        with translated(self.endpoint.target):
            return await method(
                request, timeout=timeout or self.endpoint.timeout, metadata=self.endpoint.metadata
            )

    async def stream(
        self, method: Callable[..., Any], request: Any, timeout: float | None
    ) -> AsyncIterator[Any]:
        """The answers of one call; see `Link.stream`."""
        with translated(self.endpoint.target):
            async for answer in method(request, timeout=timeout, metadata=self.endpoint.metadata):
                yield answer

    async def close(self) -> None:
        """Ends calls in progress. A second time does nothing."""
        self._closed = True
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close()


def check_open(closed: bool) -> None:
    """Raises FailedPrecondition for a client that was closed."""
    if closed:
        raise FailedPrecondition("this client is closed", reason="CLIENT_CLOSED", hint="make a new one")
