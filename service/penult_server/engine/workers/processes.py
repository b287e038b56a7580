"""Worker processes as the server sees them: started, heard, stopped, and their end explained."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from penult_server.core.errors import ResourceExhausted
from penult_server.core.job_ports import WorkerEnd, WorkerMessage
from penult_server.core.jobs import Job, JobError, LogLine
from penult_server.engine.workers.kinds import find
from penult_server.engine.workers.messages import MAX_TEXT, Beat, Message, decode
from penult_server.engine.workers.result_file import read_result

_COMMAND = (sys.executable, "-m", "penult_server.engine.workers")
_MAX_LINE = 1 << 20
_READ_BYTES = 1 << 16
_BATCH = 256
_END = object()


class WorkerProcesses:
    """Implements core.job_ports.Workers."""

    def __init__(self, *, grace_seconds: float = 3.0, silence_seconds: float = 120.0) -> None:
        """`grace_seconds` lie between SIGTERM and SIGKILL; silent for `silence_seconds` counts as hung."""
        self._grace_seconds = grace_seconds
        self._silence_seconds = silence_seconds

    async def start(self, job: Job, directory: Path) -> WorkerProcess:
        """See core.job_ports.Workers. Raises ResourceExhausted where the system has no room for it."""
        kind = find(job.kind)
        # A session of its own: a Ctrl-C in the server's terminal is the server's to handle.
        try:
            process = await asyncio.create_subprocess_exec(
                *_COMMAND, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True,
                env={**os.environ, "PYTHONSAFEPATH": "1"},
            )  # fmt: skip
        except OSError as error:
            raise ResourceExhausted(
                "NO_WORKER", f"no worker process could be started ({error.strerror})", hint="try again later"
            ) from error
        order = {
            "kind": kind.name,
            "module": kind.run.__module__,
            "directory": str(directory.absolute()),
            "parameters": job.parameters,
        }
        return WorkerProcess(process, order, directory, self._grace_seconds, self._silence_seconds)

    def result(self, directory: Path) -> Mapping[str, Any] | None:
        """See core.job_ports.Workers."""
        return read_result(directory)


class WorkerProcess:
    """Implements core.job_ports.Worker."""

    def __init__(
        self, process: Process, order: Mapping[str, Any], directory: Path, grace: float, silence: float
    ) -> None:
        """`order` is what the worker reads first; `grace` and `silence` in seconds."""
        self._process = process
        self._directory = directory
        self._grace = grace
        self._silence = silence
        self._heard: asyncio.Queue[Any] = asyncio.Queue(_BATCH)
        self._error: JobError | None = None
        self._silent = False
        self._stopping = False
        self._watch = asyncio.create_task(self._follow(order))

    async def messages(self) -> AsyncIterator[Sequence[WorkerMessage]]:
        """See core.job_ports.Worker."""
        ended = False
        while not ended:
            try:
                heard = [await asyncio.wait_for(self._heard.get(), self._silence)]
            except asyncio.TimeoutError:
                self._silent = True
                self._kill()
                continue
            while not self._heard.empty() and len(heard) < _BATCH:
                heard.append(self._heard.get_nowait())
            ended = _END in heard
            if batch := [message for message in heard if self._is_for_core(message)]:
                yield batch

    async def end(self) -> WorkerEnd:
        """See core.job_ports.Worker."""
        while not self._watch.done():  # nobody may listen any more, and a full queue must not hold it up
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._heard.get(), 0.1)
        self._watch.result()
        if self._error is not None:
            return WorkerEnd(error=self._error)
        result = await asyncio.to_thread(read_result, self._directory)
        return WorkerEnd(lost=self._explain()) if result is None else WorkerEnd(result=result)

    def stop(self) -> None:
        """See core.job_ports.Worker."""
        if not self._stopping and self._process.returncode is None:
            self._stopping = True
            self._signal(signal.SIGTERM)
            asyncio.get_running_loop().call_later(self._grace, self._kill)

    def _kill(self) -> None:
        if self._process.returncode is None:
            self._signal(signal.SIGKILL)

    def _is_for_core(self, message: object) -> bool:
        if isinstance(message, JobError):
            self._error = message
        return message is not _END and not isinstance(message, (Beat, JobError))

    async def _follow(self, order: Mapping[str, Any]) -> None:
        """Gives the order, then listens to both pipes until no process of the worker is left."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        listeners = [
            asyncio.create_task(self._listen(process.stdout, decode)),
            asyncio.create_task(self._listen(process.stderr, _printed)),
        ]
        try:
            # uvloop raises RuntimeError where the worker died so early that its pipe is closed already.
            with contextlib.suppress(ConnectionError, RuntimeError):
                process.stdin.write(json.dumps(order).encode() + b"\n")
                await process.stdin.drain()
            await process.wait()
            self._signal(signal.SIGKILL)  # processes that it started and left behind
            await asyncio.gather(*listeners)
            process.stdin.close()
        finally:  # whatever went wrong, no process may stay and nobody may wait for more
            self._kill()
            await self._heard.put(_END)

    async def _listen(self, stream: asyncio.StreamReader, parse: Any) -> None:
        rest = b""
        while data := await stream.read(_READ_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > _MAX_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                await self._hear(parse(line))
        if rest:
            await self._hear(parse(rest))

    async def _hear(self, message: Message | None) -> None:
        if message is not None:
            await self._heard.put(message)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _explain(self) -> JobError:
        status = self._process.returncode or 0
        if self._silent:
            return JobError(
                "WORKER_SILENT",
                f"the worker said nothing for {self._silence:g} s",
                "look at the server's load",
            )
        if self._stopping:
            return JobError("WORKER_STOPPED", "the worker was stopped")
        if status == -signal.SIGKILL:
            return JobError(
                "WORKER_KILLED",
                "the worker was killed (SIGKILL), most often because memory ran out",
                "use less data or smaller settings, or give the server more memory",
            )
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit status {status}"
        return JobError("WORKER_CRASHED", f"the worker ended {how}", "the job's log may say more; report it")


def _printed(line: bytes) -> LogLine | None:
    """What a library printed; empty lines are left out."""
    text = line.decode(errors="replace").strip()[:MAX_TEXT]
    return LogLine("info", text) if text else None
