"""Small snapshots, networks and tasks for tests of fine-tuning: seconds, not minutes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from penult_server.core.datasets import Split
from penult_server.core.finetune import divide
from penult_server.core.images import ImageLimits
from penult_server.core.job_ports import WorkerMessage
from penult_server.core.jobs import LogLine, Metrics, Progress
from penult_server.core.preprocess import Preprocess
from penult_server.core.snapshot import Snapshot, SnapshotExample, examples_file, image_file, to_line
from penult_server.engine.backbones.anatomy import examine
from penult_server.engine.backbones.network import Network
from penult_server.engine.backbones.timm_source import TimmArchitecture
from penult_server.engine.finetune.data import TrainingSet
from penult_server.engine.finetune.network import Classifier
from penult_server.engine.finetune.pictures import Pictures
from penult_server.engine.finetune.randomness import seed_everything
from penult_server.engine.finetune.run import Material
from penult_server.engine.finetune.settings import FineTuneSettings, parse_settings
from penult_server.engine.workers.task import Task

SIDE = 32
PREPROCESS = Preprocess((SIDE, SIDE), (SIDE, SIDE), "center", "bilinear", (0.5,) * 3, (0.5,) * 3)
QUICK: Mapping[str, Any] = {
    "epochs": 2, "batch_size": 8, "loader_workers": 0, "preflight": False, "cache_mb": 64,
}  # fmt: skip
"""Settings of a run that ends in a second."""


class Ear:
    """Takes the place of a worker's channel, and keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def send(self, message: WorkerMessage) -> None:
        self.heard.append(message)

    @property
    def log(self) -> list[str]:
        return [message.text for message in self.heard if isinstance(message, LogLine)]

    @property
    def metrics(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for message in self.heard:
            if isinstance(message, Metrics):
                found.update(message.values)
        return found

    @property
    def phases(self) -> list[str]:
        return [message.phase for message in self.heard if isinstance(message, Progress)]


def task_in(directory: Path) -> tuple[Task, Ear]:
    ear = Ear()
    return Task(directory, ear), ear  # type: ignore[arg-type]


def settings(**values: Any) -> FineTuneSettings:
    return parse_settings({**QUICK, **values})


def picture(label: int, number: int, side: int = 40) -> bytes:
    """Stripes of a direction and colour that belong to the class, over noise that belongs to the picture."""
    random = np.random.default_rng([label, number])
    y, x = np.mgrid[:side, :side]
    wave = np.sin((x if label % 2 else y) / (2 + label) + random.uniform(0, 6))
    pixels = random.normal(110, 40, (side, side, 3))
    pixels[..., label % 3] += 60 * wave + 30
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def write_snapshot(
    directory: Path,
    files: Sequence[tuple[bytes, str, Split]],
    *,
    multi_label: bool = False,
) -> list[SnapshotExample]:
    """A snapshot of these files, labels ("" for none) and splits."""
    directory.mkdir(parents=True, exist_ok=True)
    examples = []
    for number, (data, label, split) in enumerate(files):
        sha256 = hashlib.sha256(data).hexdigest()
        file = image_file(directory, sha256)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        examples.append(SnapshotExample(sha256, (label,) if label else (), split, f"{label}-{number}.png"))
    examples_file(directory).write_text("".join(map(to_line, examples)))
    Snapshot("shapes", 3, len(examples), multi_label).write(directory)
    return examples


def stripes(
    classes: int = 3, train: int = 8, validation: int = 4, test: int = 0
) -> list[tuple[bytes, str, Split]]:
    """So many pictures of each class in each split."""
    parts = ((Split.TRAIN, train), (Split.VALIDATION, validation), (Split.TEST, test))
    splits = [split for split, count in parts for _ in range(count)]
    return [
        (picture(label, number), f"class{label}", split)
        for label in range(classes)
        for number, split in enumerate(splits)
    ]


def network(name: str = "test_resnet", seed: int = 0) -> Network:
    """A tiny network with random weights that sees 32 x 32 pixels."""
    seed_everything(seed)
    architecture = TimmArchitecture(name)
    return Network(architecture.trunk(), PREPROCESS, examine(architecture.trunk, PREPROCESS.input_size))


def classifier(classes: int = 3, name: str = "test_resnet", dropout: float = 0.0) -> Classifier:
    made = network(name)
    seed_everything(1)
    return Classifier(made, classes, dropout).to(memory_format=torch.channels_last)


def material(directory: Path, files: Sequence[tuple[bytes, str, Split]] | None = None) -> Material:
    """What the loop works on, from a snapshot that is written here."""
    examples = write_snapshot(directory, files if files is not None else stripes())
    pictures = Pictures([image_file(directory, e.sha256) for e in examples], PREPROCESS, ImageLimits())
    pictures.examine(directory, 1 << 26, lambda done: None)
    parts = divide(Snapshot.read(directory), examples, [], validation_share=0.2, seed=0)
    train = TrainingSet(pictures, parts.train, parts.targets[parts.train])
    judged = (parts.validation, parts.targets[parts.validation])
    return Material(
        train,
        tuple(examples[n].id for n in parts.train),
        judged,
        (train.positions, train.targets),
        PREPROCESS,
    )
