"""One way of making a classifier on one set: heads on frozen features, or the job that fine-tunes.

What a run found is kept in a folder, and not run again: a long series may be stopped and go on.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.finetune_sets import ImageSet
from benchmarks.heads import Quiet
from benchmarks.process import own_cpu_seconds
from penult_server.core.images import ImageLimits
from penult_server.engine.backbones.catalog import Catalog
from penult_server.engine.finetune.evaluate import outputs
from penult_server.engine.finetune.job import finetune_job
from penult_server.engine.finetune.network import Classifier
from penult_server.engine.finetune.pictures import Pictures
from penult_server.engine.heads.data import TrainingData
from penult_server.engine.heads.train import train_head
from penult_server.engine.workers.messages import Channel
from penult_server.engine.workers.task import Task

HEADS = ("logistic_regression", "linear_svm", "rbf_svm")
LINEAR = "logistic_regression"
_CATALOG: dict[str, Any] = {"allow_download": False}


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What one way of training reached on the test images.

    Attributes:
        set: name of the image set.
        method: `logistic_regression` and other heads, or the name of a recipe of fine-tuning.
        accuracy: on the test images; `low` and `high` its 95 % interval.
        chosen_by: the score that the way was chosen by, which no test image had a part in.
        seconds: of the clock, and `cpu_seconds` of processors, for all of it.
        variant: which weights were kept; "" for a head.
        symptoms: what the curves say.
    """

    set: str
    method: str
    accuracy: float
    low: float
    high: float
    count: int
    chosen_by: float
    seconds: float
    cpu_seconds: float
    variant: str = ""
    candidates: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    symptoms: Sequence[str] = ()


def heads(images: ImageSet, backbone: str, out: Path, names: Sequence[str] = HEADS) -> list[Result]:
    """The server's heads on frozen features; what trains is all of `train`, and its folds choose."""
    files = [out / f"{images.name}-{name}.json" for name in names]
    if not all(file.exists() for file in files):
        data = _features(images, backbone)
        for name, file in zip(names, files, strict=True):
            start, cpu = time.monotonic(), own_cpu_seconds()
            made = train_head(data, name, {}, Quiet())
            found, score = (
                made.evidence.evaluation,
                max((p.score or 0.0 for p in made.evidence.curve), default=0.0),
            )
            result = Result(
                images.name, name, found.accuracy, found.accuracy_low, found.accuracy_high, found.count,
                score, time.monotonic() - start, own_cpu_seconds() - cpu,
            )  # fmt: skip
            _write(file, result)
    return [_read(file) for file in files]


def finetuned(images: ImageSet, recipe: str, settings: Mapping[str, Any], backbone: str, out: Path) -> Result:
    """The job `finetune` as a worker runs it; curves and log stay in `out`.

    Args:
        images: the set.
        recipe: what these settings are called.
        settings: of FineTuneSettings; the others have their defaults.
        backbone: to start from.
        out: folder of the results.
    """
    file = out / f"{images.name}-{recipe}.json"
    if file.exists():
        return _read(file)
    start, cpu = time.monotonic(), own_cpu_seconds()
    with (
        tempfile.TemporaryDirectory(prefix="penult-bench-") as folder,
        open(file.with_suffix(".log"), "wb") as log,
    ):
        place = Path(folder)
        images.write(place)
        parameters = {"backbone": backbone, "settings": dict(settings), "catalog": _CATALOG}
        found = finetune_job(Task(place, Channel(log.fileno())), parameters)
        for name in ("curves.png", "curves.jsonl", "finetune.json"):
            shutil.copyfile(place / "model" / name, file.with_name(f"{file.stem}-{name}"))
    measured, described = found["evidence"]["evaluation"], found["finetune"]
    result = Result(
        images.name, recipe, measured["accuracy"], measured["accuracy_low"], measured["accuracy_high"],
        measured["count"], described["validation"]["accuracy"], time.monotonic() - start,
        own_cpu_seconds() - cpu, described["variant"], described["candidates"],
        [finding["symptom"] for finding in described["diagnosis"]],
    )  # fmt: skip
    _write(file, result)
    return result


def _features(images: ImageSet, backbone: str) -> TrainingData:
    """Of the pictures as they are served; heads train on the split `train`, as fine-tuning does."""
    built = Catalog(None, None, **_CATALOG).build(backbone)
    classes = tuple(sorted(set(images.labels)))
    model = Classifier(built.network, len(classes))
    pictures = Pictures(images.files, built.facts.preprocess, ImageLimits())
    features = outputs(model, model.features, pictures, np.arange(len(images.files)))
    return TrainingData(
        features[:, None],
        np.array([classes.index(label) for label in images.labels]),
        classes,
        [split.value for split in images.splits],
        [file.name for file in images.files],
    )


def _write(file: Path, result: Result) -> None:
    part = file.with_suffix(".part")
    part.write_text(json.dumps(dataclasses.asdict(result), indent=1) + "\n", encoding="utf-8")
    part.replace(file)


def _read(file: Path) -> Result:
    return Result(**json.loads(file.read_text(encoding="utf-8")))
