"""Clients of the server, each to be run in a process of its own."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import uvloop

import penult
from benchmarks.process import Timing, cpu_seconds, timed


class StreamClient:
    """`client.extract` of a collection, which travels by ExtractStream, and of one picture at a time."""

    def __init__(self, target: str, server_pid: int, pictures: list[bytes]) -> None:
        self._client = penult.Client(target)
        self._server_pid = server_pid
        self._pictures = pictures

    def run(self) -> Timing:
        """All pictures once. Processor time is that of client and server together."""
        before = cpu_seconds(self._server_pid)
        own = timed(len(self._pictures), lambda: self._client.extract(self._pictures))
        return Timing(own.images, own.wall, own.cpu + cpu_seconds(self._server_pid) - before)

    def own_cpu_ms(self) -> float:
        """Processor time of the client alone in milliseconds an image."""
        return timed(len(self._pictures), lambda: self._client.extract(self._pictures)).cpu_ms

    def features(self) -> np.ndarray:
        """(N, dim) float32 features of the pictures."""
        return self._client.extract(self._pictures)

    def provider(self, backbone: str) -> str:
        """The execution provider that the server chose."""
        return self._client.backbones.get(backbone).provider

    def latency(self, picture: bytes, count: int) -> list[float]:
        """Seconds of each of `count` calls with one picture."""
        return [timed(1, lambda: self._client.extract(picture)).wall for _ in range(count)]


class ConcurrentClient:
    """Callers on one event loop, each with one picture at a time."""

    def __init__(self, target: str, server_pid: int, pictures: list[bytes]) -> None:
        self._target = target
        self._server_pid = server_pid
        self._pictures = pictures

    def run(self, callers: int, together: bool) -> Timing:
        """All pictures once, shared by the callers. The connection is open before the clock starts."""
        return uvloop.run(self._run(callers, together))

    async def _run(self, callers: int, together: bool) -> Timing:
        async with penult.AsyncClient(self._target, together=together) as client:
            await client.extract(self._pictures[0])
            todo = iter(self._pictures)

            async def caller() -> None:
                for picture in todo:
                    await client.extract(picture)

            server, cpu, wall = cpu_seconds(self._server_pid), time.process_time(), time.perf_counter()
            await asyncio.gather(*(caller() for _ in range(callers)))
            wall = time.perf_counter() - wall
            cpu = time.process_time() - cpu + cpu_seconds(self._server_pid) - server
        return Timing(len(self._pictures), wall, cpu)
