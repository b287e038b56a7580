"""`python -m benchmarks.finetune_speed`: images/s of training, this loop against timm's, in turns.

Each side trains the same network with the same batch, optimiser, augmentation, label smoothing, clipping and
moving average, in a process of its own. timm's side is the loop of its `train.py` with its own dataset and
loader; it decodes its JPEG files in every epoch, as that does.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.process import own_cpu_seconds

LEAST_SPEED = 1.0
"""Goal: images/s as a share of timm's."""
Rounds = dict[str, list[dict[str, float]]]
_UNITS = ("images_per_second", "images_per_cpu_second")
_FILE_WIDTH = 120
_SKIPPED = 2
"""First steps, which pay for what later ones find ready."""
_RATE, _DECAY = 3e-4, 0.02
_SMOOTHING, _CLIP, _EMA = 0.1, 1.0, 0.98


def main() -> int:
    """Runs both sides in turns and prints the ratio of their medians."""
    options = _options()
    if options.side:
        side = {"penult": penult_side, "timm": timm_side}[options.side]
        with contextlib.redirect_stdout(sys.stderr):
            measured = side(options)
        print(json.dumps(measured))
        return 0
    show(race(sys.argv[1:], options.rounds), Console(width=None if sys.stdout.isatty() else _FILE_WIDTH))
    return 0


def race(arguments: Sequence[str], rounds: int) -> Rounds:
    """Each side `rounds` times in turns, the other one first in every other round.

    Args:
        arguments: of this module's command line.
        rounds: how often.

    Returns:
        What each side measured, round by round.
    """
    found: Rounds = {"penult": [], "timm": []}
    for number in range(rounds):
        for name in ("penult", "timm") if number % 2 == 0 else ("timm", "penult"):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.finetune_speed", *arguments, "--side", name],
                stdout=subprocess.PIPE,
                check=True,
            )
            found[name].append(json.loads(done.stdout))
    return found


def show(found: Rounds, console: Console) -> None:
    """Medians of each side, and the medians of the ratios within a round."""
    table = Table(title="Training, beside timm's loop", title_justify="left")
    for column in ("", "images/s", "images/s of CPU time", "waits for pictures"):
        table.add_column(column)
    for name, runs in found.items():
        middle = [statistics.median(run[unit] for run in runs) for unit in (*_UNITS, "loading")]
        table.add_row(name, f"{middle[0]:.1f}", f"{middle[1]:.1f}", f"{100 * middle[2]:.1f} %")
    pairs = list(zip(found["penult"], found["timm"], strict=True))
    ratios = [statistics.median(ours[unit] / theirs[unit] for ours, theirs in pairs) for unit in _UNITS]
    table.add_row("ratio", *(f"{ratio:.2f}" for ratio in ratios), f"goal: >= {LEAST_SPEED:g}")
    console.print(table)


def penult_side(options: argparse.Namespace) -> dict[str, float]:
    """The loop of the service on decoded pictures."""
    import numpy as np
    import torch

    from penult_server.core.images import ImageLimits
    from penult_server.engine.backbones.catalog import Catalog
    from penult_server.engine.finetune.curves import read_rows
    from penult_server.engine.finetune.data import TrainingSet
    from penult_server.engine.finetune.loop import finetune
    from penult_server.engine.finetune.network import Classifier, prepare
    from penult_server.engine.finetune.pictures import Pictures
    from penult_server.engine.finetune.run import Material
    from penult_server.engine.finetune.settings import parse_settings
    from penult_server.engine.malloc import tune_malloc
    from penult_server.engine.workers.messages import Channel
    from penult_server.engine.workers.task import Task

    tune_malloc()
    files, targets, classes = _files(options)
    epochs = -(-options.steps // max(1, len(files) // options.batch_size))
    settings = parse_settings(
        {
            "start": "random", "epochs": epochs, "batch_size": options.batch_size, "layer_decay": 1.0,
            "weight_decay": _DECAY, "label_smoothing": _SMOOTHING, "clip_norm": _CLIP,
            "ema": _EMA, "average_from": 1, "batch_norm": "update", "checkpoint_seconds": 1e6,
            "loader_workers": options.workers,
        }
    )  # fmt: skip
    built = Catalog(None, None, allow_download=False).untrained(options.backbone)
    model = Classifier(built.network, classes).to(memory_format=torch.channels_last)
    prepare(model, settings, len(files))
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "wb") as nowhere:
        place = Path(folder)
        pictures = Pictures(files, built.facts.preprocess, ImageLimits())
        pictures.examine(place, 1 << 33, lambda done: None)
        everything = np.arange(len(files))
        few = everything[:2], np.array(targets[:2])
        train = TrainingSet(pictures, everything, np.array(targets))
        material = Material(train, tuple(map(str, files)), few, few, built.facts.preprocess)
        before = own_cpu_seconds()
        finetune(model, material, settings, _RATE, place, Task(place, Channel(nowhere.fileno())))
        cpu = own_cpu_seconds() - before
        rows = [row for row in read_rows(place / "curves.jsonl") if "loss" in row]
    kept = rows[_SKIPPED:]
    seconds = sum(row["seconds"] for row in kept)
    return {
        "images_per_second": len(kept) * options.batch_size / seconds,
        "images_per_cpu_second": len(rows) * options.batch_size / cpu,
        "loading": sum(row["loading"] * row["seconds"] for row in kept) / seconds,
    }


def timm_side(options: argparse.Namespace) -> dict[str, float]:
    """What timm's train.py does for each batch, with timm's own parts."""
    import timm
    from timm.data import create_dataset, create_loader, resolve_data_config
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.utils import AverageMeter, ModelEmaV3, dispatch_clip_grad

    files, targets, classes = _files(options)
    model = timm.create_model(options.backbone, pretrained=False, num_classes=classes).train()
    config = resolve_data_config({}, model=model)
    with tempfile.TemporaryDirectory() as folder:
        for file, target in zip(files, targets, strict=True):
            (Path(folder) / str(target)).mkdir(exist_ok=True)
            (Path(folder) / str(target) / f"{_name(file)}.jpg").symlink_to(file)
        loader = create_loader(
            create_dataset("", root=folder, is_training=True),
            input_size=config["input_size"], batch_size=options.batch_size, is_training=True, no_aug=False,
            scale=(0.5, 1.0), hflip=0.5, color_jitter=0.0, interpolation=config["interpolation"],
            mean=config["mean"], std=config["std"], num_workers=options.workers, use_prefetcher=False,
            persistent_workers=options.workers > 0,
        )  # fmt: skip
        optimizer = create_optimizer_v2(model, "adamw", lr=_RATE, weight_decay=_DECAY)
        loss_of, ema, losses = LabelSmoothingCrossEntropy(_SMOOTHING), ModelEmaV3(model, _EMA), AverageMeter()
        spent, waited, steps = 0.0, 0.0, 0
        before, last = own_cpu_seconds(), time.monotonic()
        while steps < options.steps:
            for x, target in loader:
                loaded = time.monotonic()
                loss = loss_of(model(x), target)
                optimizer.zero_grad()
                loss.backward()
                dispatch_clip_grad(model.parameters(), _CLIP)
                optimizer.step()
                ema.update(model, step=steps)
                losses.update(loss.item(), x.size(0))
                steps += 1
                now = time.monotonic()
                if steps > _SKIPPED:
                    spent += now - last
                    waited += loaded - last
                last = now
                if steps == options.steps:
                    break
        cpu = own_cpu_seconds() - before
        del loader
    return {
        "images_per_second": (steps - _SKIPPED) * options.batch_size / spent,
        "images_per_cpu_second": steps * options.batch_size / cpu,
        "loading": waited / spent,
    }


def _files(options: argparse.Namespace) -> tuple[list[Path], list[int], int]:
    """The first `count` pictures of a folder of folders, class after class in turns."""
    folders = sorted(path for path in options.images.iterdir() if path.is_dir())
    listed = [sorted(folder.glob("*.jp*g")) for folder in folders]
    rows = [(file, n) for row in zip(*listed, strict=False) for n, file in enumerate(row)][: options.count]
    return [file for file, _ in rows], [target for _, target in rows], len(folders)


def _name(file: Path) -> str:
    return hashlib.sha256(str(file).encode()).hexdigest()[:16]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.finetune_speed", description=main.__doc__)
    parser.add_argument(
        "--images", type=Path, required=True, help="folder with a folder of JPEG files a class"
    )
    parser.add_argument(
        "--backbone", default="tf_efficientnet_lite0", help="a name of timm; default: %(default)s"
    )
    parser.add_argument("--count", type=int, default=256, help="pictures; default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=16, help="a round; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=1, help="loader processes; default: %(default)s")
    parser.add_argument("--side", choices=("penult", "timm"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
