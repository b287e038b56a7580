"""What heads are trained on in the benchmark: features of real photographs, and a large synthetic set."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

import penult
from benchmarks.server_process import running_server
from penult_server.engine.heads.data import TrainingData

SYNTHETIC = (10_000, 1280, 100)
_TEST_SHARE = 5
_SPLITS = ("train", "test")


@dataclasses.dataclass(frozen=True, slots=True)
class HeadSet:
    """A named set with splits train and test."""

    name: str
    data: TrainingData

    def part(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """float32 (N, dim) features of length 1, as every rival gets them, and int64 (N,) targets."""
        chosen = np.flatnonzero(np.asarray(self.data.splits) == split)
        x = self.data.features[chosen, 0]
        return x / np.linalg.norm(x, axis=1, keepdims=True), self.data.targets[chosen]


def photographs(folder: Path, names: list[str], backbone: str) -> list[HeadSet]:
    """Those of `names` that lie in `folder`, `{train,test}/CLASS/*.jpg`, with a server's features."""
    found = [name for name in names if (folder / name / "train").is_dir()]
    if not found:
        return []
    with running_server("--default-backbone", backbone) as (target, _), penult.Client(target) as client:
        return [_extracted(folder / name, client) for name in found]


def _extracted(folder: Path, client: penult.Client) -> HeadSet:
    files = [(path, split) for split in _SPLITS for path in sorted((folder / split).glob("*/*.jpg"))]
    classes = tuple(sorted({path.parent.name for path, split in files if split == "train"}))
    features = client.extract([path for path, _ in files])
    targets = np.array([classes.index(p.parent.name) if p.parent.name in classes else -1 for p, _ in files])
    return HeadSet(
        folder.name,
        TrainingData(
            features[:, None], targets, classes, [split for _, split in files], [p.name for p, _ in files]
        ),
    )


def synthetic(images: int, dim: int, classes: int) -> HeadSet:
    """Classes in 200 correlated directions, never negative, with a mean far from 0, as pooled activations.

    `images` are trained on; a fifth as many more are tested on.
    """
    rng = np.random.default_rng(0)
    total = images + images // _TEST_SHARE
    targets = rng.integers(0, classes, total)
    fading = np.arange(1, 201, dtype=np.float32)[:, None] ** -0.5
    mix = rng.standard_normal((200, dim), np.float32) * fading
    hidden = 0.35 * rng.standard_normal((classes, 200), np.float32)[targets]
    hidden += rng.standard_normal((total, 200), np.float32)
    features = np.maximum(hidden @ mix + 0.5 + 0.7 * rng.standard_normal((total, dim), np.float32), 0)
    return HeadSet(
        f"synthetic, {images} x {dim}",
        TrainingData(
            features[:, None],
            targets,
            tuple(f"class{n}" for n in range(classes)),
            ["train"] * images + ["test"] * (total - images),
            [str(n) for n in range(total)],
        ),
    )
