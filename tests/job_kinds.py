"""Kinds of job for tests: they are registered here, and ship with nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penult_server.core.errors import FailedPrecondition
from penult_server.engine.workers.kinds import job_kind
from penult_server.engine.workers.task import Task

Parameters = Mapping[str, Any]


def saved_count(directory: Path) -> int:
    """How far a `count` job had come when it last saved."""
    file = directory / "count"
    return int(file.read_text()) if file.exists() else 0


def as_result(note: str) -> dict[str, Any]:
    """A result that fits the wire; the field is free text there."""
    return {"dataset_analysis": {"advice": [note]}}


@job_kind("count", resumable=True)
def count(task: Task, parameters: Parameters) -> dict[str, Any]:
    """Counts to `steps`, saving each step; what it made shows whether one was left out or done twice."""
    steps, done = parameters["steps"], saved_count(task.directory)
    first = done
    while done < steps:
        time.sleep(parameters.get("seconds", 0.0))
        done += 1
        unfinished = task.directory / "count.part"
        unfinished.write_text(str(done))
        unfinished.rename(task.directory / "count")
        with open(task.directory / "trace", "a") as file:
            file.write(f"{done}\n")
        task.saved()
        task.progress(done, steps, unit="steps", phase="count")
        task.metrics({"done": done, "half": done / 2}, step=done)
    task.log(f"from {first} to {done}")
    return as_result(f"counted to {done}")


@job_kind("once", resumable=False)
def once(task: Task, parameters: Parameters) -> dict[str, Any]:
    """Cannot go on where it was."""
    task.progress(0, 1, phase="wait")
    time.sleep(parameters.get("seconds", 0.0))
    return as_result("once")


@job_kind("killed", resumable=True)
def killed(task: Task, parameters: Parameters) -> dict[str, Any]:
    """Ends as the kernel ends a process when memory runs out."""
    task.log("just before the end")
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


@job_kind("refuse", resumable=False)
def refuse(task: Task, parameters: Parameters) -> dict[str, Any]:
    """Says what is wrong with the job."""
    raise FailedPrecondition("ONE_CLASS", "there is only one class", hint="add another")


@job_kind("fault", resumable=False)
def fault(task: Task, parameters: Parameters) -> dict[str, Any]:
    """Has a fault, and libraries that print."""
    print("printed to standard output")
    print("printed to standard error", file=sys.stderr)
    return {"result": 1 // (len(parameters) * 0)}


@job_kind("memory", resumable=False)
def memory(task: Task, parameters: Parameters) -> dict[str, Any]:
    """Asks for more memory than there is."""
    return {"size": len(bytearray(1 << 60))}


@job_kind("stubborn", resumable=False)
def stubborn(task: Task, parameters: Parameters) -> dict[str, Any]:
    """Takes no notice of SIGTERM, and has a child that does neither."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(
        [sys.executable, "-c", "import signal, time\nsignal.signal(15, 1)\ntime.sleep(600)"]
    )
    task.log(f"child {child.pid}")
    time.sleep(600)
    return {}


@job_kind("silent", resumable=False)
def silent(task: Task, parameters: Parameters) -> dict[str, Any]:
    """Stops with all its threads, as a process does that hangs in a driver."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return {}


@job_kind("full", resumable=False)
def full(task: Task, parameters: Parameters) -> dict[str, Any]:
    """Writes where there is no room, and has more to say than there is room for."""
    if parameters.get("talk"):
        for number in range(2000):
            task.log(f"{number} " + "x" * 3000)
            time.sleep(0.001)
    Path("/dev/full").write_text("x" * 100)
    return {}
