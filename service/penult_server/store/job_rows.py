"""Between jobs and events of core and rows of the database."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from penult_server.core.jobs import (
    EventBody,
    Job,
    JobError,
    JobEvent,
    JobState,
    LogLine,
    Metrics,
    Progress,
    StateChange,
)

_COLUMNS = ("id", "kind", "subject", "state", "ended", "owner")
_TYPES: Mapping[str, type[EventBody]] = {
    "state": StateChange,
    "progress": Progress,
    "metrics": Metrics,
    "log": LogLine,
}
_NAMES = {body: name for name, body in _TYPES.items()}


def job_to_row(job: Job) -> dict[str, Any]:
    """Values of all columns."""
    facts = dataclasses.asdict(job)
    row = {name: facts.pop(name) for name in _COLUMNS}
    return {**row, "state": job.state.value, "facts_json": json.dumps(facts)}


def job_from_row(row: sa.Row[Any]) -> Job:
    """The job in a row of the table."""
    facts = json.loads(row.facts_json)
    facts["progress"] = _maybe(Progress, facts["progress"])
    facts["error"] = _maybe(JobError, facts["error"])
    return Job(
        id=row.id,
        kind=row.kind,
        subject=row.subject,
        state=JobState(row.state),
        ended=row.ended,
        owner=row.owner,
        **facts,
    )


def event_to_row(job_id: str, number: int, time: float, body: EventBody) -> dict[str, Any]:
    """Values of all columns."""
    return {
        "job_id": job_id,
        "number": number,
        "time": time,
        "type": _NAMES[type(body)],
        "body_json": json.dumps(dataclasses.asdict(body)),
    }


def event_from_row(row: sa.Row[Any]) -> JobEvent:
    """The event in a row of the table."""
    values = json.loads(row.body_json)
    body: EventBody
    if row.type == "state":
        body = StateChange(JobState(values["state"]), _maybe(JobError, values["error"]))
    else:
        body = _TYPES[row.type](**values)
    return JobEvent(row.number, row.time, body)


def _maybe(kind: type[Any], values: Mapping[str, Any] | None) -> Any:
    return None if values is None else kind(**values)
