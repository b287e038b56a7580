"""From labelled photos to a model by phase, and Predict beside Extract: `python -m benchmarks.models`."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import penult
from benchmarks.pictures import load_pictures
from benchmarks.server_process import running_server
from penult.dataset_types import SplitName

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "clothing10"
LEAST_SHARE = 0.95
"""Goal: predictions a second, as a share of features a second."""
_PHOTOS, _ROUNDS = 600, 5
_FILE_WIDTH = 120


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser("python -m benchmarks.models", description=__doc__)
    add_options(parser)
    measure(parser.parse_args(), Console(width=None if sys.stdout.isatty() else _FILE_WIDTH))
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this part."""
    parser.add_argument("--photos", type=int, default=_PHOTOS, help="labelled photos; default: %(default)s")
    parser.add_argument("--model-rounds", type=int, default=_ROUNDS, help="default: %(default)s")


def measure(options: argparse.Namespace, console: Console) -> None:
    """Runs both and prints a table each."""
    pictures, labels, splits = _photographs(options.photos)
    with running_server() as (target, _), penult.Client(target) as client:
        seconds, model = _train(client, pictures, labels, splits)
        _show_phases(console, seconds, model, len(pictures))
        ratios, extract, predict = _race(client, model, pictures[:256], options.model_rounds)
    table = Table(title=f"Predict beside Extract, {len(pictures[:256])} photos a stream, medians")
    for column in ("", "images/s", "ratio", "goal"):
        table.add_column(column)
    ratio = statistics.median(ratios)
    met = "met" if ratio >= LEAST_SHARE else "not met"
    table.add_row("extract", f"{extract:.0f}", "1", "")
    table.add_row("predict", f"{predict:.0f}", f"{ratio:.3f}", f">= {LEAST_SHARE}: {met}")
    console.print(table)


def _photographs(count: int) -> tuple[list[bytes], list[str], list[SplitName]]:
    """clothing10 where it is at hand, 60 a class to train on; else cuts of two photographs."""
    if not _SHARED.is_dir():
        pictures = load_pictures(None, count)
        labels = ["first" if n < len(pictures) / 2 else "second" for n in range(len(pictures))]
        return pictures, labels, ["test" if n % 6 == 0 else "train" for n in range(len(pictures))]
    train, test = (sorted((_SHARED / split).glob("*/*")) for split in ("train", "test"))
    train = train[:: max(1, len(train) // count)][:count]
    files: list[tuple[Path, SplitName]] = [(file, "train") for file in train]
    files += [(file, "test") for file in test]
    return (
        [file.read_bytes() for file, _ in files],
        [file.parent.name for file, _ in files],
        [split for _, split in files],
    )


def _train(
    client: penult.Client, pictures: list[bytes], labels: list[str], splits: list[SplitName]
) -> tuple[Mapping[str, float], penult.Model]:
    """Wall seconds by phase, and the model."""
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    client.datasets.create("bench")
    client.datasets.add("bench", pictures, labels, split=splits)
    seconds["upload, decoded and durable"] = time.perf_counter() - started
    _train_once(client, "first head", seconds)
    return seconds, _train_once(client, "second head, features known", seconds)


def _train_once(client: penult.Client, name: str, seconds: dict[str, float]) -> penult.Model:
    started = time.perf_counter()
    model = client.models.train_head("bench", dataset="bench").result()
    whole = time.perf_counter() - started
    assert model.evidence is not None, "a training's result has its evidence"
    inside = {f"{name}: {phase}": value for phase, value in model.evidence.seconds.items()}
    seconds |= {f"{name}: features, start of the worker, publish": whole - sum(inside.values()), **inside}
    return model


def _race(
    client: penult.Client, model: penult.Model, pictures: list[bytes], rounds: int
) -> tuple[list[float], float, float]:
    """Predict over extract in each round, and the medians of both in images/s. Backwards in every other."""
    speeds: dict[str, list[float]] = {"extract": [], "predict": []}
    calls = {
        "extract": lambda: client.extract(pictures),
        "predict": lambda: client.models.predict(model.reference, pictures),
    }
    for call in calls.values():
        call()
    for number in range(rounds):
        for name in sorted(calls, reverse=number % 2 == 1):
            started = time.perf_counter()
            calls[name]()
            speeds[name].append(len(pictures) / (time.perf_counter() - started))
    ratios = [b / a for a, b in zip(speeds["extract"], speeds["predict"], strict=True)]
    return ratios, float(np.median(speeds["extract"])), float(np.median(speeds["predict"]))


def _show_phases(console: Console, seconds: Mapping[str, float], model: penult.Model, count: int) -> None:
    table = Table(title=f"{count} labelled photos to a model, accuracy {model.metrics['accuracy']:.3f}")
    table.add_column("phase")
    table.add_column("wall s")
    for phase, value in seconds.items():
        table.add_row(phase, f"{value:.1f}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
