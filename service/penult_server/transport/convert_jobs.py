"""Between the wire's jobs and core's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp

from penult.v1 import job_pb2 as pb
from penult_server.core.diagnosis import Finding
from penult_server.core.errors import InvalidArgument
from penult_server.core.evidence import Evaluation, from_json
from penult_server.core.job_ports import JobFilter
from penult_server.core.jobs import Job, JobError, JobEvent, JobState, LogLine, Metrics, Progress, StateChange
from penult_server.core.models import version_from_json
from penult_server.transport.convert_evaluations import evaluation_to_wire
from penult_server.transport.convert_models import version_to_wire
from penult_server.transport.convert_tuning import tuning_to_wire

_STATES = {
    JobState.QUEUED: pb.JOB_STATE_QUEUED,
    JobState.RUNNING: pb.JOB_STATE_RUNNING,
    JobState.SUCCEEDED: pb.JOB_STATE_SUCCEEDED,
    JobState.FAILED: pb.JOB_STATE_FAILED,
    JobState.CANCELLED: pb.JOB_STATE_CANCELLED,
    JobState.INTERRUPTED: pb.JOB_STATE_INTERRUPTED,
}
_STATE_OF = {number: state for state, number in _STATES.items()}
_LONG = ("calibration_bins", "classes", "confusion", "mistakes")
"""Fields of an evaluation that grow with the number of classes."""
_LEVELS = {"info": pb.LOG_LEVEL_INFO, "warning": pb.LOG_LEVEL_WARNING, "error": pb.LOG_LEVEL_ERROR}


def job_to_wire(job: Job) -> pb.Job:
    """All that a client may know of a job."""
    message = pb.Job(
        id=job.id,
        kind=job.kind,
        subject=job.subject,
        state=_STATES[job.state],
        create_time=_time(job.created),
        start_time=_time(job.started),
        end_time=_time(job.ended),
        progress=None if job.progress is None else _progress(job.progress),
        metrics=job.metrics,
        resumable=job.resumable,
        cancelling=job.cancelling,
        last_event=job.last_event,
    )
    if job.result is not None:
        message.result.CopyFrom(_result(job.result))
    if job.error is not None:
        message.error.CopyFrom(_error(job.error))
    return message


def listed_job_to_wire(job: Job) -> pb.Job:
    """The same for a list, in which long results would add up to more than a message may have."""
    message = job_to_wire(job)
    if _has(message, "model_version"):
        message.result.model_version.ClearField("evidence")
    if _has(message, "tuning"):
        message.result.tuning.model_version.ClearField("evidence")
        message.result.tuning.ClearField("trials")
    if _has(message, "evaluation"):
        for field in _LONG:
            message.result.evaluation.ClearField(field)
    return message


def _has(message: pb.Job, result: str) -> bool:
    return message.HasField("result") and message.result.WhichOneof("kind") == result


def event_to_wire(event: JobEvent) -> pb.JobEvent:
    """One event."""
    message = pb.JobEvent(number=event.number, time=_time(event.time))
    body = event.body
    if isinstance(body, StateChange):
        error = None if body.error is None else _error(body.error)
        message.state.CopyFrom(pb.JobStateChange(state=_STATES[body.state], error=error))
    elif isinstance(body, Progress):
        message.progress.CopyFrom(_progress(body))
    elif isinstance(body, Metrics):
        message.metrics.CopyFrom(pb.JobMetrics(values=body.values, step=body.step))
    elif isinstance(body, LogLine):
        message.log.CopyFrom(pb.JobLogLine(level=_LEVELS[body.level], text=body.text))
    return message


def finding_to_wire(finding: Finding) -> pb.Finding:
    """What curves show."""
    return pb.Finding(symptom=finding.symptom.value, evidence=finding.evidence, advice=finding.advice)


def filter_from_wire(request: pb.ListJobsRequest) -> JobFilter:
    """Which jobs to list. Raises InvalidArgument for a state of no meaning here."""
    try:
        states = frozenset(_STATE_OF[number] for number in request.states)
    except KeyError as error:
        raise InvalidArgument("BAD_ENUM", f"no state has the value {error}", field="states") from None
    return JobFilter(states, request.kind, request.subject)


def _result(result: Mapping[str, Any]) -> pb.JobResult:
    """Models and evaluations are kept as core has them, other results as the JSON of their messages."""
    if values := result.get("model_version"):
        return pb.JobResult(model_version=version_to_wire(version_from_json(values)))
    if values := result.get("tuning"):
        return pb.JobResult(tuning=tuning_to_wire(values))
    if values := result.get("evaluation"):
        return pb.JobResult(evaluation=evaluation_to_wire(from_json(Evaluation, values)))
    # Fields of an older version that are gone are left out.
    return json_format.ParseDict(dict(result), pb.JobResult(), ignore_unknown_fields=True)


def _progress(progress: Progress) -> pb.JobProgress:
    return pb.JobProgress(
        done=progress.done,
        total=progress.total,
        unit=progress.unit,
        phase=progress.phase,
        seconds_left=progress.seconds_left,
    )


def _error(error: JobError) -> pb.JobError:
    return pb.JobError(reason=error.reason, message=error.message, hint=error.hint)


def _time(seconds: float | None) -> Timestamp | None:
    if seconds is None:
        return None
    stamp = Timestamp()
    stamp.FromMilliseconds(int(seconds * 1000))
    return stamp
