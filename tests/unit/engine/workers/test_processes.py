"""The server's side of a worker process, where the process is gone before the server can speak to it."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
import uvloop

from penult_server.core.job_ports import WorkerEnd
from penult_server.engine.workers.processes import WorkerProcess


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def test_a_worker_that_died_before_it_got_its_order_is_lost_and_not_awaited(run, tmp_path: Path) -> None:
    async def follow() -> WorkerEnd:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "input()", stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
        process.kill()
        await process.wait()
        worker = WorkerProcess(process, {}, tmp_path, grace=1.0, silence=5.0)
        assert [batch async for batch in worker.messages()] == []
        return await worker.end()

    ended = run(asyncio.wait_for(follow(), 60))
    assert ended.lost is not None
    assert ended.lost.reason == "WORKER_KILLED"


def test_an_unforeseen_error_ends_the_worker_and_the_wait_for_it(tmp_path: Path) -> None:
    async def follow() -> int | None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "input()", stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
        worker = WorkerProcess(process, {"no JSON": object()}, tmp_path, grace=1.0, silence=50.0)
        assert [batch async for batch in worker.messages()] == []
        with pytest.raises(TypeError):
            await worker.end()
        return await process.wait()

    assert asyncio.run(asyncio.wait_for(follow(), 30)) == -signal.SIGKILL
