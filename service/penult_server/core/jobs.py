"""Jobs: long work with state, progress, live metrics and logs. The states are one table."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, Literal

from penult_server.core.errors import FailedPrecondition


class JobState(str, enum.Enum):
    """Where a job stands. The value is the word of the wire, the SDK, the CLI and the database."""

    QUEUED = "queued"
    """Waits for a worker."""
    RUNNING = "running"
    """A worker process is at it."""
    SUCCEEDED = "succeeded"
    """Ended with a result."""
    FAILED = "failed"
    """Ended with an error."""
    CANCELLED = "cancelled"
    """Ended because somebody asked for it."""
    INTERRUPTED = "interrupted"
    """Its worker or the server ended under it; goes on, or fails, by itself."""

    @property
    def ended(self) -> bool:
        """Nothing more happens unless somebody resumes it."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class JobSignal(str, enum.Enum):
    """What leads from one state to another; `meaning` says it for people."""

    meaning: str

    def __new__(cls, word: str, meaning: str) -> JobSignal:
        """Part of the enum."""
        signal = str.__new__(cls, word)
        signal._value_ = word
        signal.meaning = meaning
        return signal

    START = "start", "a worker is free"
    SUCCEED = "succeed", "the result is complete and visible"
    FAIL = "fail", "the work cannot be done, or was lost and cannot go on"
    CANCEL = "cancel", "somebody cancelled it, and no worker is at it"
    LOSE = "lose", "the worker or the server ended before the work did"
    REQUEUE = "requeue", "it is resumable and was not lost too often"
    RESUME = "resume", "somebody resumes it"


TRANSITIONS: Mapping[tuple[JobState, JobSignal], JobState] = {
    (JobState.QUEUED, JobSignal.START): JobState.RUNNING,
    (JobState.QUEUED, JobSignal.CANCEL): JobState.CANCELLED,
    (JobState.RUNNING, JobSignal.SUCCEED): JobState.SUCCEEDED,
    (JobState.RUNNING, JobSignal.FAIL): JobState.FAILED,
    (JobState.RUNNING, JobSignal.CANCEL): JobState.CANCELLED,
    (JobState.RUNNING, JobSignal.LOSE): JobState.INTERRUPTED,
    (JobState.INTERRUPTED, JobSignal.REQUEUE): JobState.QUEUED,
    # The worker had written its whole result when it was lost.
    (JobState.INTERRUPTED, JobSignal.SUCCEED): JobState.SUCCEEDED,
    (JobState.INTERRUPTED, JobSignal.FAIL): JobState.FAILED,
    (JobState.INTERRUPTED, JobSignal.CANCEL): JobState.CANCELLED,
    (JobState.FAILED, JobSignal.RESUME): JobState.QUEUED,
    (JobState.CANCELLED, JobSignal.RESUME): JobState.QUEUED,
}
"""The table. What is not in it cannot happen."""

_WITH_ERROR = (JobState.FAILED, JobState.CANCELLED, JobState.INTERRUPTED)


@dataclasses.dataclass(frozen=True, slots=True)
class JobError:
    """Why a job ended without a result: a stable `reason`, what happened, and what to do."""

    reason: str
    message: str
    hint: str = ""


CANCELLED = JobError("JOB_CANCELLED", "the job was cancelled")


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` (0: unknown) `unit`s in this phase; `seconds_left` for the phase, None if unknown."""

    done: int
    total: int = 0
    unit: str = ""
    phase: str = ""
    seconds_left: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Metrics:
    """Values measured at `step`, which counts in the kind's own unit."""

    values: Mapping[str, float]
    step: int = 0


LogLevel = Literal["info", "warning", "error"]


@dataclasses.dataclass(frozen=True, slots=True)
class LogLine:
    """A line for people."""

    level: LogLevel
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class StateChange:
    """The job is now in `state`; `error` with failed, cancelled and interrupted."""

    state: JobState
    error: JobError | None = None


EventBody = StateChange | Progress | Metrics | LogLine


@dataclasses.dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job: numbered from 1, at `time` in seconds since 1970."""

    number: int
    time: float
    body: EventBody


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """A job. Times are seconds since 1970.

    Attributes:
        subject: the name of what it works on.
        parameters: what the kind's worker gets, as JSON.
        resumable: whether a new run goes on from what the last one saved.
        progress: of the present phase.
        metrics: the latest value of each.
        result: JSON, in state succeeded only.
        error: in states failed, cancelled and interrupted only.
        cancelling: somebody cancelled it, and its worker has not ended yet.
        losses: runs in a row that were lost with their worker before they saved anything.
        last_event: number of its latest event.
        owner: id of the API key that started it; "" for none.
    """

    id: str
    kind: str
    subject: str
    state: JobState
    created: float
    resumable: bool
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    started: float | None = None
    ended: float | None = None
    progress: Progress | None = None
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    result: Mapping[str, Any] | None = None
    error: JobError | None = None
    cancelling: bool = False
    losses: int = 0
    last_event: int = 0
    owner: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class JobChange:
    """A job as it is to become, and the events that say so; the store writes both at once."""

    job: Job
    events: tuple[EventBody, ...] = ()


def advance(
    job: Job,
    signal: JobSignal,
    now: float,
    *,
    error: JobError | None = None,
    result: Mapping[str, Any] | None = None,
) -> JobChange:
    """The job one step further in the table.

    Raises:
        FailedPrecondition: JOB_STATE_MISMATCH, the table has no such step.
    """
    state = TRANSITIONS.get((job.state, signal))
    if state is None:
        raise FailedPrecondition(
            "JOB_STATE_MISMATCH",
            f"job {job.id} is {job.state.value}; there is no {signal.value!r} from there",
            state=job.state.value,
        )
    if state is JobState.CANCELLED:
        error = error or CANCELLED
    assert (error is not None) == (state in _WITH_ERROR), "exactly these states have an error"
    assert (result is not None) == (state is JobState.SUCCEEDED), "exactly this state has a result"
    now = max(now, job.started or job.created)  # the clock may have been put back
    changed = dataclasses.replace(
        job,
        state=state,
        started=now if state is JobState.RUNNING else job.started,
        ended=now if state.ended else None,
        error=error,
        result=result,
        cancelling=job.cancelling and not state.ended,
        losses=0 if signal is JobSignal.RESUME else job.losses,
    )
    return JobChange(changed, (StateChange(state, error),))


def states_table() -> str:
    """The table of docs/jobs.md."""
    rows = ["| from | when | to |", "| --- | --- | --- |"]
    rows += [
        f"| `{before.value}` | `{signal.value}`: {signal.meaning} | `{after.value}` |"
        for (before, signal), after in TRANSITIONS.items()
    ]
    return "\n".join(rows) + "\n"
