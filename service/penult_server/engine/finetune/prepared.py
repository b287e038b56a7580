"""From a job's directory to a network that is ready to train, the same in every process that trains it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from penult_server.core.finetune import TRAINING, Division, divide
from penult_server.core.images import ImageLimits
from penult_server.core.snapshot import Snapshot, SnapshotExample, image_file, read_examples
from penult_server.engine.backbones.catalog import BuiltBackbone, open_catalog
from penult_server.engine.finetune.checkpoint import load_checkpoint, save_checkpoint
from penult_server.engine.finetune.data import TrainingSet
from penult_server.engine.finetune.evaluate import Score
from penult_server.engine.finetune.network import Classifier, prepare
from penult_server.engine.finetune.pictures import Pictures
from penult_server.engine.finetune.preflight import Preflight, preflight
from penult_server.engine.finetune.probe import linear_probe
from penult_server.engine.finetune.randomness import seed_everything
from penult_server.engine.finetune.run import Material
from penult_server.engine.finetune.settings import FineTuneSettings, check_size, parse_settings
from penult_server.engine.finetune.statistics import adapt_statistics
from penult_server.engine.finetune.unusable import find_unusable, name_of
from penult_server.engine.workers.task import Task

_MIB = 1 << 20
_FEWEST_WATCHED = 256


@dataclasses.dataclass(frozen=True)
class Examined:
    """The pictures of a job, divided, and the backbone: what runs with different recipes have in common."""

    snapshot: Snapshot
    built: BuiltBackbone
    division: Division
    material: Material
    unusable: int


@dataclasses.dataclass(frozen=True)
class Prepared:
    """All that training starts from. `start` is the score of the probe, where there is one."""

    settings: FineTuneSettings
    snapshot: Snapshot
    built: BuiltBackbone
    division: Division
    material: Material
    model: Classifier
    place: Path
    checks: Preflight | None
    rate: float
    start: Mapping[str, tuple[float, float, int]]
    remedies: list[str]


def prepare_job(task: Task, parameters: Mapping[str, Any], device: torch.device) -> Prepared:
    """Decodes, divides, probes and checks, or reads what an earlier run or another process found.

    Args:
        task: of the job.
        parameters: see job.finetune_job.
        device: the network goes there.
    """
    settings = parse_settings(parameters["settings"])
    place = task.directory / TRAINING
    return prepare_run(examine_job(task, parameters, settings), settings, place, place, device, task)


def examine_job(task: Task, parameters: Mapping[str, Any], settings: FineTuneSettings) -> Examined:
    """Decodes and divides the pictures of a job, or finds them decoded, and builds its backbone.

    Args:
        task: of the job.
        parameters: see job.finetune_job.
        settings: of them `start`, `seed`, `validation_share` and `cache_mb` matter here.
    """
    snapshot, examples = Snapshot.read(task.directory), list(read_examples(task.directory))
    built = _backbone(parameters, settings, task.directory)
    files = [image_file(task.directory, example.sha256) for example in examples]
    pictures = Pictures(files, built.facts.preprocess, ImageLimits(**parameters.get("limits", {})))
    looks = pictures.examine(
        task.directory,
        settings.cache_mb * _MIB,
        lambda done: task.progress(done, len(files), unit="images", phase="decode"),
    )
    unusable = find_unusable(examples, looks, task)
    division = divide(
        snapshot, examples, unusable, validation_share=settings.validation_share, seed=settings.seed
    )
    material = _material(pictures, examples, division, built)
    _say_shape(division, material, task)
    return Examined(snapshot, built, division, material, len(unusable))


def prepare_run(
    examined: Examined,
    settings: FineTuneSettings,
    place: Path,
    shared: Path,
    device: torch.device,
    task: Task,
) -> Prepared:
    """A network that is ready to train with these settings.

    Args:
        examined: is used up, unless it is a copy: the network is trained in place.
        settings: the recipe.
        place: directory of the run; made if it is not there.
        shared: directory of what is the same in every run of the job: the probe, and the checks.
        device: the network goes there.
        task: of the job.
    """
    built, division, material = examined.built, examined.division, examined.material
    remedies = [*division.remedies]
    if examined.unusable:
        remedies.append(f"{examined.unusable} unusable images are left out")
    if len(material.train) < settings.batch_size:
        remedies.append(
            f"batch_size is {settings.batch_size}, and there are {len(material.train)} training images: "
            "each batch is all of them"
        )
    check_size(settings, len(material.train))
    for directory in (shared, place):
        directory.mkdir(parents=True, exist_ok=True)
    seed_everything(settings.seed)
    model = Classifier(built.network, len(division.labels), settings.dropout)
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    remedies += prepare(model, settings, len(material.train))
    probe = _probe(model, material, settings, shared, task)
    checks = _preflight(model, material, settings, shared, task)
    rate = _rate(settings, checks, task)
    start = {"probe": (probe.accuracy, probe.negative_loss, 0)} if probe is not None else {}
    return Prepared(
        settings=settings,
        snapshot=examined.snapshot,
        built=built,
        division=division,
        material=material,
        model=model,
        place=place,
        checks=checks,
        rate=rate,
        start=start,
        remedies=remedies,
    )


def _backbone(parameters: Mapping[str, Any], settings: FineTuneSettings, directory: Path) -> BuiltBackbone:
    catalog = open_catalog(parameters["catalog"], directory)
    if settings.start == "random":
        seed_everything(settings.seed)
        return catalog.untrained(parameters["backbone"])
    return catalog.build(parameters["backbone"])


def _material(
    pictures: Pictures, examples: Sequence[SnapshotExample], division: Division, built: BuiltBackbone
) -> Material:
    train = TrainingSet(pictures, division.train, division.targets[division.train])
    # As many as judge, so that looking at the training images costs no more than judging.
    watched = np.random.default_rng(0).permutation(division.train)
    watched = watched[: max(len(division.validation), _FEWEST_WATCHED)]
    return Material(
        train=train,
        names=tuple(name_of(examples[n]) for n in division.train),
        validation=(division.validation, division.targets[division.validation]),
        watched=(watched, division.targets[watched]),
        preprocess=built.facts.preprocess,
    )


def _say_shape(division: Division, material: Material, task: Task) -> None:
    kept = "decoded pictures are cached" if material.train.pictures.cached else (
        "decoded pictures do not fit: they are decoded again in every epoch"
    )  # fmt: skip
    task.log(
        f"{len(division.labels)} classes; {len(material.train)} images train, "
        f"{len(division.validation)} judge, {len(division.test)} are for the test; {kept}"
    )


def _probe(
    model: Classifier, material: Material, settings: FineTuneSettings, place: Path, task: Task
) -> Score | None:
    """Starts the head from a linear probe, that of an earlier run if there is one.

    It is fitted to the features that training will see: where batch norm is updated, with the statistics of
    the pictures at hand.
    """
    if not settings.linear_probe or settings.start == "random":
        return None
    adapts = not model.frozen_statistics and settings.trainable != "head"
    file = place / f"head{_adapted_by(settings) if adapts else ''}.safetensors"
    if saved := load_checkpoint(file):
        model.head.load_state_dict(saved["head"])
        model.load_state_dict(saved["statistics"], strict=False)
        return Score(*saved["score"])
    count = len(material.train)
    adapted = adapts and adapt_statistics(
        model, material, settings.batch_size,
        lambda done: task.progress(done, count, unit="images", phase="statistics"),
    )  # fmt: skip
    if adapted:
        task.log("batch norm: statistics of the training images, which the probe is fitted with")
    total = count + len(material.validation[0])
    found = linear_probe(
        model, material, lambda done: task.progress(done, total, unit="images", phase="linear probe")
    )
    state = {
        "head": model.head.state_dict(),
        "score": [found.accuracy, found.negative_loss],
        "statistics": dict(model.named_buffers()) if adapted else {},
    }
    save_checkpoint(file, state)
    task.metrics({"probe_accuracy": found.accuracy, "probe_validation_loss": found.loss})
    task.log(f"linear probe: {100 * found.accuracy:.1f} % of the validation images")
    return found


def _adapted_by(settings: FineTuneSettings) -> str:
    """What adapted statistics depend on, for a file name: which batch norms, and the batches they see."""
    last = f"-{settings.last_stages}" if settings.trainable == "last" else ""
    return f"-{settings.trainable}{last}-{settings.batch_size}-{settings.stochastic_depth:g}"


def _preflight(
    model: Classifier, material: Material, settings: FineTuneSettings, place: Path, task: Task
) -> Preflight | None:
    """The checks, unless an earlier run has made them."""
    if not settings.preflight and settings.learning_rate != "proposed":
        return None
    file = place / "preflight.json"
    if file.exists():
        return Preflight(**json.loads(file.read_bytes()))
    checks = preflight(model, material, settings, task)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(dataclasses.asdict(checks)), encoding="utf-8")
    part.rename(file)
    return checks


def _rate(settings: FineTuneSettings, checks: Preflight | None, task: Task) -> float:
    proposed = checks.proposed_rate if checks is not None else None
    rate = settings.known_rate()
    if rate is None:
        assert proposed is not None
        rate = proposed
    task.log(f"peak learning rate {rate:.2e}")
    if proposed is not None and rate > 10 * proposed:
        task.log(
            f"that is {rate / proposed:.0f} times what the range test proposes ({proposed:.1e})", "warning"
        )
    return rate
