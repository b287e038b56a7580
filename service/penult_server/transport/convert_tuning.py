"""Between the wire's searches over settings and core's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format

from penult.v1 import model_pb2 as pb
from penult.v1 import tuning_pb2
from penult_server.core.models import version_from_json
from penult_server.core.tune_model import Tuning
from penult_server.transport.convert_models import parameters_from_wire, tuning_from_wire, version_to_wire


def search_from_wire(request: pb.TuneRequest) -> Tuning:
    """What to search."""
    return Tuning(
        tuning_from_wire(request),
        space=parameters_from_wire(request.space),
        methods={
            "search": request.search,
            "search_options": parameters_from_wire(request.search_options),
            "pruner": request.pruner,
            "pruner_options": parameters_from_wire(request.pruner_options),
        },
        trials=request.trials,
        minutes=request.minutes,
        refine=request.refine if request.HasField("refine") else None,
        parallel=request.parallel,
    )


def tuning_to_wire(values: Mapping[str, Any]) -> tuning_pb2.Tuning:
    """The result of a job, as core.tune_model publishes it."""
    rest = {name: value for name, value in values.items() if name != "model_version"}
    rest["trials"] = [{**each, "state": f"TRIAL_STATE_{each['state'].upper()}"} for each in rest["trials"]]
    # Fields of an older version that are gone are left out.
    message = json_format.ParseDict(rest, tuning_pb2.Tuning(), ignore_unknown_fields=True)
    message.model_version.CopyFrom(version_to_wire(version_from_json(values["model_version"])))
    return message
