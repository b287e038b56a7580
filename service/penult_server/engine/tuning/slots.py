"""A place where one trial at a time is trained, as the job sees it: a process and its device."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from penult_server.core.job_ports import WorkerMessage
from penult_server.core.jobs import JobError
from penult_server.engine.workers.messages import Beat, decode

Verdict = Callable[[int, float, float], str]
"""Gets an epoch, its accuracy and its loss; says why the trial is to end, or ""."""

_PROGRAM = (sys.executable, "-m", "penult_server.engine.tuning.trial")


class SlotLost(Exception):
    """Its process ended under a trial."""


class TrialFailed(Exception):
    """The trial cannot be trained."""

    def __init__(self, why: JobError) -> None:
        super().__init__(why.message)
        self.why = why


class Slot(Protocol):
    """Trains trials."""

    def train(
        self,
        settings: Mapping[str, Any],
        place: Path,
        verdict: Verdict,
        hear: Callable[[WorkerMessage], None],
    ) -> Mapping[str, Any]:
        """One trial, from its checkpoint if it has one.

        Args:
            settings: of fine-tuning, complete.
            place: directory of the trial, within the job's.
            verdict: is asked after each epoch.
            hear: gets what the training says.

        Returns:
            `accuracy`, `loss`, and `outcome`, which `finetune.job.finish_job` makes a model of.

        Raises:
            TrialFailed, SlotLost.
        """
        ...

    def close(self) -> None:
        """Ends it, with the trial that it is at. May be called from anywhere."""
        ...


class ProcessSlot:
    """Implements Slot with a process that is started for the first trial, and again after it was lost."""

    def __init__(self, directory: Path, parameters: Mapping[str, Any], device: str, threads: int) -> None:
        """`device` of torch; `threads` of torch, 0 for its own choice."""
        self._directory = directory
        self._order = {
            "directory": str(directory), "parameters": parameters, "device": device, "threads": threads,
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def train(
        self,
        settings: Mapping[str, Any],
        place: Path,
        verdict: Verdict,
        hear: Callable[[WorkerMessage], None],
    ) -> Mapping[str, Any]:
        """See Slot."""
        try:
            process = self._running()
            self._say(process, {"settings": settings, "place": str(place)})
            assert process.stdout is not None
            for line in process.stdout:
                values = _own(line)
                if values is None:
                    message = decode(line.rstrip(b"\n"))
                    if not isinstance(message, JobError | Beat):
                        hear(message)
                elif values["type"] == "epoch":
                    end = verdict(values["epoch"], values["accuracy"], values["loss"])
                    self._say(process, {"end": end})
                elif "failed" in values:
                    raise TrialFailed(JobError(**values["failed"]))
                else:
                    return values
        except BrokenPipeError:
            pass
        raise SlotLost(f"exit status {self._forget()}")

    def close(self) -> None:
        """See Slot."""
        self._closed = True
        self._forget()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            if self._closed:
                raise SlotLost("closed")
            self._process = subprocess.Popen(_PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._say(self._process, self._order)
        return self._process

    def _forget(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        return process.wait()

    @staticmethod
    def _say(process: subprocess.Popen[bytes], what: Mapping[str, Any]) -> None:
        assert process.stdin is not None
        process.stdin.write(json.dumps(what).encode() + b"\n")
        process.stdin.flush()


def _own(line: bytes) -> dict[str, Any] | None:
    """The lines of trial.py; None for those that every worker speaks."""
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, dict) and values.get("type") in ("epoch", "ended") else None


def lost(why: SlotLost) -> JobError:
    """What a trial says that took its process down twice."""
    return JobError(
        "TRIAL_KILLED",
        f"the process that trained it ended twice ({why}), most often because memory ran out",
        "a smaller batch_size or micro_batch, or fewer trials at once",
    )
