"""Messages of tuning: requests from arguments, results from responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penult._datasets import new_request_id
from penult._models import as_struct, from_struct, model
from penult.tuning_types import Space, Trial, TrialState, Tuning
from penult.v1 import model_pb2 as pb
from penult.v1 import tuning_pb2

_STATES: dict[tuning_pb2.TrialState, TrialState] = {
    tuning_pb2.TRIAL_STATE_RUNNING: "running",
    tuning_pb2.TRIAL_STATE_FINISHED: "finished",
    tuning_pb2.TRIAL_STATE_PRUNED: "pruned",
    tuning_pb2.TRIAL_STATE_CUT: "cut",
    tuning_pb2.TRIAL_STATE_FAILED: "failed",
}


def tune_request(
    name: str,
    dataset: str,
    *,
    backbone: str | None,
    init_from: str | None,
    space: Space | None,
    search: str,
    search_options: Mapping[str, Any] | None,
    pruner: str,
    pruner_options: Mapping[str, Any] | None,
    trials: int,
    minutes: float,
    refine: float | None,
    parallel: int,
    settings: Mapping[str, Any],
) -> pb.TuneRequest:
    """The request of a tuning. Raises InvalidArgument for a setting that is no JSON."""
    request = pb.TuneRequest(
        name=name,
        dataset=dataset,
        backbone=backbone or "",
        init_from=init_from or "",
        settings=as_struct(settings),
        space=as_struct(space or {}),
        search=search,
        search_options=as_struct(search_options or {}),
        pruner=pruner,
        pruner_options=as_struct(pruner_options or {}),
        trials=trials,
        minutes=minutes,
        parallel=parallel,
        request_id=new_request_id(),
    )
    if refine is not None:
        request.refine = refine
    return request


def tuning(message: tuning_pb2.Tuning) -> Tuning:
    """The result without its message."""
    return Tuning(
        model=model(message.model_version),
        trials=tuple(map(_trial, message.trials)),
        best_trial=message.best_trial,
        search=message.search,
        pruner=message.pruner,
        spaces=tuple(map(from_struct, message.spaces)),
        validation_count=message.validation_count,
        notes=tuple(message.notes),
        seconds=message.seconds,
    )


def _trial(message: tuning_pb2.Trial) -> Trial:
    return Trial(
        number=message.number,
        stage=message.stage,
        settings=from_struct(message.settings),
        state=_STATES.get(message.state, "failed"),
        accuracies=tuple(message.accuracies),
        losses=tuple(message.losses),
        accuracy=message.accuracy if message.HasField("accuracy") else None,
        loss=message.loss if message.HasField("loss") else None,
        seconds=message.seconds,
        reason=message.reason,
        message=message.message,
    )
