"""Messages of JobService: requests from arguments, results from responses, and how to watch again."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from penult._analysis import dataset_analysis
from penult._evaluations import evaluation
from penult._exports import model_export
from penult._indexes import index_fields, near_duplicates
from penult._models import model
from penult._trials import tuning
from penult._whole_file import write_whole
from penult.errors import Cancelled, DeadlineExceeded, InvalidArgument, JobFailed, Unavailable
from penult.index_types import IndexInfo
from penult.job_types import (
    Finding,
    JobError,
    JobEvent,
    JobInfo,
    JobOutput,
    JobPlot,
    JobProgress,
    JobState,
)
from penult.v1 import job_pb2 as pb

PAGE_SIZE = 500
_PATIENCE_SECONDS = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0

_STATES: dict[JobState, pb.JobState] = {
    "queued": pb.JOB_STATE_QUEUED,
    "running": pb.JOB_STATE_RUNNING,
    "succeeded": pb.JOB_STATE_SUCCEEDED,
    "failed": pb.JOB_STATE_FAILED,
    "cancelled": pb.JOB_STATE_CANCELLED,
    "interrupted": pb.JOB_STATE_INTERRUPTED,
}
_STATE_NAMES = {number: name for name, number in _STATES.items()}
_OUTPUTS: dict[str | None, Callable[[Any], JobOutput]] = {
    "index": lambda message: IndexInfo(**index_fields(message)),
    "near_duplicates": near_duplicates,
    "dataset_analysis": dataset_analysis,
    "model_version": model,
    "tuning": tuning,
    "evaluation": evaluation,
    "model_export": model_export,
}
_LEVELS = {pb.LOG_LEVEL_INFO: "info", pb.LOG_LEVEL_WARNING: "warning", pb.LOG_LEVEL_ERROR: "error"}


def list_request(
    states: Iterable[JobState], kind: str, subject: str, limit: int | None
) -> pb.ListJobsRequest:
    """The request for the first page. Raises InvalidArgument for an unknown state."""
    try:
        numbers = [_STATES[state] for state in states]
    except KeyError as error:
        raise InvalidArgument(
            f"unknown state {error}", reason="STATE_UNKNOWN", hint=f"one of {', '.join(_STATES)}"
        ) from None
    return pb.ListJobsRequest(
        page_size=min(limit or PAGE_SIZE, PAGE_SIZE), states=numbers, kind=kind, subject=subject
    )


def job_fields(message: pb.Job) -> dict[str, Any]:
    """The fields of a JobInfo."""
    return {
        "id": message.id,
        "kind": message.kind,
        "subject": message.subject,
        "state": _STATE_NAMES[message.state],
        "created": _time(message.create_time),
        "started": _time(message.start_time) if message.HasField("start_time") else None,
        "ended": _time(message.end_time) if message.HasField("end_time") else None,
        "progress": _progress(message.progress) if message.HasField("progress") else None,
        "metrics": dict(message.metrics),
        "output": _output(message.result) if message.HasField("result") else None,
        "error": _error(message.error) if message.HasField("error") else None,
        "resumable": message.resumable,
        "cancelling": message.cancelling,
        "last_event": message.last_event,
    }


def event(message: pb.JobEvent) -> JobEvent:
    """The event without its message."""
    number, at = message.number, _time(message.time)
    body = message.WhichOneof("body")
    if body == "state":
        error = _error(message.state.error) if message.state.HasField("error") else None
        return JobEvent(number, at, state=_STATE_NAMES[message.state.state], error=error)
    if body == "progress":
        return JobEvent(number, at, progress=_progress(message.progress))
    if body == "metrics":
        return JobEvent(number, at, metrics=dict(message.metrics.values), step=message.metrics.step)
    return JobEvent(number, at, log=message.log.text, level=_LEVELS.get(message.log.level, "info"))


def plot(message: pb.PlotJobResponse, path: str | os.PathLike[str] | None) -> JobPlot:
    """The plot without its message, written to `path` if there is one."""
    findings = tuple(Finding(each.symptom, each.evidence, each.advice) for each in message.findings)
    if path is not None:
        write_whole(path, message.png)
    return JobPlot(message.png, findings)


def outcome(job: JobInfo) -> Any:
    """What came out of a job that has ended. Raises JobFailed or Cancelled."""
    if job.error is not None:
        kind = Cancelled if job.state == "cancelled" else JobFailed
        raise kind(job.error.message, reason=job.error.reason, hint=job.error.hint, metadata={"job": job.id})
    if job.output is None:
        raise JobFailed(
            f"job {job.id} has a result that this client does not know",
            reason="RESULT_UNKNOWN",
            hint="install a newer client",
        )
    return job.output


class Patience:
    """How long to wait for a job, and how often to try again while the server is away."""

    def __init__(self, timeout: float | None) -> None:
        """`timeout`: seconds for everything, None for as long as it takes."""
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self.answered()

    def left(self) -> float | None:
        """Seconds until the deadline. Raises DeadlineExceeded past it."""
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("the job has not ended in time", reason="DEADLINE_EXCEEDED")
        return left

    def answered(self) -> None:
        """The server is there."""
        self._since = time.monotonic()
        self._pause = _FIRST_PAUSE

    def pause(self, error: Unavailable) -> float:
        """Seconds to sleep before the next try. Raises the error once the server was away for too long."""
        if time.monotonic() - self._since > _PATIENCE_SECONDS:
            raise error
        pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
        left = self.left()
        return pause if left is None else min(pause, left)


def _output(message: pb.JobResult) -> JobOutput | None:
    """None for a kind of result that this client does not know."""
    kind = message.WhichOneof("kind")
    return _OUTPUTS[kind](getattr(message, kind)) if kind in _OUTPUTS else None


def _progress(message: pb.JobProgress) -> JobProgress:
    left = message.seconds_left if message.HasField("seconds_left") else None
    return JobProgress(message.done, message.total, message.unit, message.phase, left)


def _error(message: pb.JobError) -> JobError:
    return JobError(message.reason, message.message, message.hint)


def _time(stamp: Timestamp) -> datetime.datetime:
    return stamp.ToDatetime(datetime.timezone.utc)
