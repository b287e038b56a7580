"""A worker process: `python -m penult_server.engine.workers`, started by processes.py, does one job.

Standard input brings one line of JSON and then stays open for as long as the server lives; standard
output carries messages to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from penult_server.core.job_faults import explain
from penult_server.core.jobs import JobError, LogLine
from penult_server.engine.workers.kinds import find_in
from penult_server.engine.workers.messages import Beat, Channel
from penult_server.engine.workers.parent import die_with_the_parent
from penult_server.engine.workers.result_file import read_result, write_result
from penult_server.engine.workers.task import Task

BEAT_SECONDS = 2.0
_OOM_SCORE = "800"


class _Stopped(BaseException):
    """SIGTERM, raised where the work is, so that its `finally` blocks run."""


def main() -> int:
    """Does the job. Exit status 0 with a result, 1 with an error, 143 when stopped."""
    channel = Channel(_take_standard_output())
    die_with_the_parent()
    _be_the_first_to_go()
    signal.signal(signal.SIGTERM, _stop)
    try:
        job = json.loads(sys.stdin.buffer.readline())
        threading.Thread(target=_exit_at_end_of_input, daemon=True).start()
        threading.Thread(target=_beat, args=(channel,), daemon=True).start()
        with _alone(Path(job["directory"])):
            _work(job, channel)
        return 0
    except _Stopped:
        return 128 + signal.SIGTERM
    except Exception as error:  # the end of the process: whatever a kind raises becomes its job's error
        channel.send(_explained(error, channel))
        return 1


def _work(job: dict[str, Any], channel: Channel) -> None:
    directory = Path(job["directory"])
    if read_result(directory) is None:  # else an earlier run was lost after its last step
        kind = find_in(job["module"], job["kind"])
        write_result(directory, kind.run(Task(directory, channel), job["parameters"]))


def _explained(error: Exception, channel: Channel) -> JobError:
    why, trace = explain(error)
    if trace:
        channel.send(LogLine("error", trace))
    return why


def _take_standard_output() -> int:
    """The pipe to the server; what libraries print goes to standard error instead."""
    handle = os.dup(1)
    os.dup2(2, 1)
    return handle


def _be_the_first_to_go() -> None:
    """Where memory runs out, the kernel is to end this process and not the server."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")


def _exit_at_end_of_input() -> NoReturn:
    os.read(0, 1)
    os._exit(1)


def _beat(channel: Channel) -> None:
    while True:
        channel.send(Beat())
        time.sleep(BEAT_SECONDS)


@contextlib.contextmanager
def _alone(directory: Path) -> Any:
    """Waits for a worker of the last server that has not quite died yet."""
    with open(directory / ".lock", "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough; a second would interrupt the cleaning up
    raise _Stopped


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # whatever threads a kind has left behind
