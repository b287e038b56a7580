"""What calls on jobs return."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Literal, TypeAlias

from penult.analysis_types import DatasetAnalysis
from penult.evaluation_types import Evaluation
from penult.index_types import IndexInfo, NearDuplicates
from penult.model_types import Model, ModelExport
from penult.tuning_types import Tuning

JobState = Literal["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]
JobOutput: TypeAlias = (
    DatasetAnalysis | Model | Tuning | Evaluation | ModelExport | IndexInfo | NearDuplicates
)
"""What comes out of jobs, by their kind."""
ENDED: tuple[JobState, ...] = ("succeeded", "failed", "cancelled")
ACTIVE: tuple[JobState, ...] = ("queued", "running", "interrupted")


@dataclasses.dataclass(frozen=True, slots=True)
class JobError:
    """Why a job has no result: a stable `reason`, what happened, and what to do."""

    reason: str
    message: str
    hint: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class JobProgress:
    """`done` of `total` (0: unknown) `unit`s of a phase, with an estimate of the seconds left for it."""

    done: int
    total: int
    unit: str
    phase: str
    seconds_left: float | None = None

    def __str__(self) -> str:
        """How far the job is, in short."""
        counted = f"{self.done}/{self.total}" if self.total else str(self.done)
        left = "" if self.seconds_left is None else f", {self.seconds_left:.0f} s left"
        return " ".join(filter(None, (self.phase, counted, self.unit))) + left


@dataclasses.dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job. Exactly one of state, progress, metrics and log is there.

    Attributes:
        number: 1, 2, 3, ...; give it to `watch(after=...)` to go on after it.
        error: with the states failed, cancelled and interrupted.
        step: where `metrics` were measured.
        level: of `log`: "info", "warning" or "error".
    """

    number: int
    time: datetime.datetime
    state: JobState | None = None
    error: JobError | None = None
    progress: JobProgress | None = None
    metrics: Mapping[str, float] | None = None
    step: int = 0
    log: str | None = None
    level: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """Something that curves show: a word such as "overfitting", the numbers behind it, and what to change."""

    symptom: str
    evidence: str
    advice: str


@dataclasses.dataclass(frozen=True, slots=True)
class JobPlot:
    """What a job has measured so far: its curves as a picture, and what they say."""

    png: bytes
    findings: tuple[Finding, ...]


@dataclasses.dataclass(frozen=True)
class JobInfo:
    """A job as it was when the server answered.

    Attributes:
        kind: what it does, such as "analyze_dataset".
        subject: the name of what it works on.
        progress: of its present phase.
        metrics: the latest value of each.
        output: what came out, once it has succeeded; a list leaves out the long parts of it.
        error: why it has failed, was cancelled or is interrupted.
        resumable: whether `resume` can make it go on.
        cancelling: cancelled, but its worker has not ended yet.
        last_event: number of its latest event.
    """

    id: str
    kind: str
    subject: str
    state: JobState
    created: datetime.datetime
    started: datetime.datetime | None
    ended: datetime.datetime | None
    progress: JobProgress | None
    metrics: Mapping[str, float]
    output: JobOutput | None
    error: JobError | None
    resumable: bool
    cancelling: bool
    last_event: int

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.state in ENDED
