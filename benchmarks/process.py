"""Objects that live in processes of their own, as a client or a user's script does."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Timing:
    """What some images cost: seconds on the clock, and seconds of all cores together."""

    images: int
    wall: float
    cpu: float

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.wall

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor time an image."""
        return 1000 * self.cpu / self.images


def timed(images: int, work: Callable[[], object]) -> Timing:
    """Runs `work` once in this process, which it costs the processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Timing(images, time.perf_counter() - wall, time.process_time() - cpu)


def cpu_seconds(pid: int) -> float:
    """Processor time that another process has used so far; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_cpu_seconds() -> float:
    """Processor time of this process and of those that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Remote:
    """One object in a fresh process. `call` runs its methods there, one at a time."""

    def __init__(self, factory: Callable[..., Any], *arguments: Any) -> None:
        """Starts the process and waits until `factory(*arguments)` has returned there."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, factory, arguments), daemon=True)
        self._process.start()
        theirs.close()
        self._receive()

    def call(self, method: str, *arguments: Any) -> Any:
        """The result of the object's method. Raises RuntimeError with the traceback of what it raised."""
        self._connection.send((method, arguments))
        return self._receive()

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _receive(self) -> Any:
        try:
            failure, result = self._connection.recv()
        except EOFError:
            raise RuntimeError("a measured process has died") from None
        if failure:
            raise RuntimeError(f"in a measured process:\n{failure}")
        return result

    def __enter__(self) -> Remote:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _serve(connection: Connection, factory: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        target = factory(*arguments)
        connection.send((None, None))
        while True:
            method, given = connection.recv()
            connection.send((None, getattr(target, method)(*given)))
    except EOFError:
        return
    except Exception:  # crosses the process as text, to be raised over there
        connection.send((traceback.format_exc(), None))
