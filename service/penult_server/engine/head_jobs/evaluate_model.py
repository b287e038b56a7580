"""The job kind `evaluate_model`: a model's heads on the features that the server has prepared."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from penult_server.core.datasets import Split
from penult_server.core.evaluate_model import KIND, head_directory, of_split
from penult_server.engine import heads  # noqa: F401 - registers the kinds of head
from penult_server.engine.head_jobs.inputs import features_of, picked, usable
from penult_server.engine.heads.data import encode
from penult_server.engine.heads.evaluate import measure
from penult_server.engine.heads.files import load_head
from penult_server.engine.workers.kinds import job_kind
from penult_server.engine.workers.task import Task


@job_kind(KIND, resumable=True)
def run(task: Task, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Averages the heads' probabilities and compares them with the labels."""
    every = of_split(task.directory, Split(parameters["split"]))
    names = sorted({head["features"] for head in parameters["heads"]})
    positions = usable(task.directory, names, len(every))
    examples = picked(every, positions)
    labels = parameters["labels"]
    probabilities = np.zeros((len(examples), len(labels)))
    for number, head in enumerate(parameters["heads"]):
        loaded = load_head(head_directory(task.directory, number)).head
        features = features_of(task.directory, head["features"], positions)[:, 0]
        probabilities += head["share"] * loaded.probabilities(features)
        task.progress(number + 1, len(parameters["heads"]), unit="heads", phase="evaluate")
    measured = measure(
        probabilities.astype(np.float32),
        encode([example.labels for example in examples], labels, multi_label=parameters["multi_label"]),
        [example.sha256 for example in examples],
        labels,
        split=parameters["split"],
        threshold=parameters["threshold"],
    )
    task.metrics({"accuracy": measured.accuracy, "macro_f1": measured.macro_f1})
    return {"evaluation": dataclasses.asdict(measured)}
