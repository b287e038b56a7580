"""Training heads beside scikit-learn's cross-validated classifiers: `python -m benchmarks.heads`.

Same features, same folds, same grid of 45 values of C, same number of threads, one after the other in one
process. Ours includes everything that the server's job does with features at hand: the choice of C, the
final fit, calibration, evaluation and the learning curve.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.head_data import SYNTHETIC, HeadSet, photographs, synthetic
from benchmarks.head_rivals import Measured, Share, accuracy_at, linear_svc_grid, logistic_regression_cv
from penult_server.engine.heads.threads import limited
from penult_server.engine.heads.train import train_head

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
_FILE_WIDTH = 160
LEAST_SPEED = 5.0
"""Goal: at least so many times as fast."""

Rival = Callable[..., Measured]
RIVALS: Mapping[str, tuple[str, Rival]] = {
    "logistic_regression": ("LogisticRegressionCV", logistic_regression_cv),
    "linear_svm": ("grid over LinearSVC", linear_svc_grid),
}
# What of a rival is measured where all of it would take from many minutes to hours.
SHARES = {
    ("grocery81", "linear_svm"): Share(points=5, folds=1, classes=8),
    ("synthetic", "logistic_regression"): Share(points=5, folds=1),
    ("synthetic", "linear_svm"): Share(points=3, folds=1, classes=3),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Contest:
    """Ours and theirs on one set. Accuracies are on the test split, `low` and `high` the interval of ours.

    `theirs_at_our_c` is scikit-learn's accuracy at the C that we chose; None where it was not measured.
    """

    features: str
    head: str
    rival: str
    wall: float
    cpu: float
    seconds: Mapping[str, float]
    c: float
    accuracy: float
    low: float
    high: float
    theirs: Measured
    theirs_at_our_c: float | None

    @property
    def faster(self) -> float:
        """How many times as fast, by processor time, which a busy machine distorts less than the clock."""
        return self.theirs.cpu / self.cpu

    @property
    def met(self) -> bool:
        """Whether it is fast enough, and as accurate within its interval where the rival's is known."""
        rival = self.theirs.accuracy if self.theirs.accuracy is not None else self.theirs_at_our_c
        return self.faster >= LEAST_SPEED and (rival is None or rival <= self.high)


class Quiet:
    """Implements engine.heads.search.Report."""

    def progress(self, done: int, total: int = 0, *, unit: str = "", phase: str = "") -> None:
        """Says nothing."""

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Says nothing."""

    def log(self, text: str) -> None:
        """Says nothing."""


def run(sets: list[HeadSet], threads: int, console: Console) -> list[Contest]:
    """Every head of RIVALS on every set, each right before its rival."""
    results = []
    with limited(threads):
        for each in sets:
            for head, (name, rival) in RIVALS.items():
                console.print(f"  {each.name}: {head}, then {name}")
                results.append(_contest(each, head, name, rival, threads))
    return results


def _contest(each: HeadSet, head: str, name: str, rival: Rival, threads: int) -> Contest:
    train, test = each.part("train"), each.part("test")
    wall, cpu = time.perf_counter(), time.process_time()
    made = train_head(each.data, head, {}, Quiet(), threads=threads)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    family = each.name.split(",")[0]
    share = SHARES.get((family, head), Share())
    theirs = rival(*train, test, share)
    found, c = made.evidence.evaluation, made.evidence.hyperparameters["C"]
    # The SVM of a large set alone would take longer than all else together.
    same_c = None if family == "synthetic" and head == "linear_svm" else accuracy_at(head, c, *train, test)
    return Contest(
        each.name, head, name, wall, cpu, made.evidence.seconds, c,
        found.accuracy, found.accuracy_low, found.accuracy_high, theirs, same_c,
    )  # fmt: skip


def show(contests: list[Contest], console: Console) -> None:
    """One row a contest."""
    table = Table(title="Training a head, features at hand", title_justify="left")
    table.add_column("")
    for heading in ("ours s", "CPU s", "theirs s", "CPU s", "scaled", "faster", "accuracy", "theirs", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in contests:
        rival = one.theirs.accuracy if one.theirs.accuracy is not None else one.theirs_at_our_c
        table.add_row(
            f"{one.features}: {one.head}",
            f"{one.wall:.1f}",
            f"{one.cpu:.1f}",
            f"{one.theirs.wall:.0f}",
            f"{one.theirs.cpu:.0f}",
            f"x{one.theirs.factor:.0f}" if one.theirs.factor > 1 else "",
            f"{one.faster:.0f}x",
            f"{one.accuracy:.3f} ±{(one.high - one.low) / 2:.3f}",
            "" if rival is None else f"{rival:.3f}",
            "[green]met" if one.met else "[red]missed",
        )
    console.print(table)
    console.print(
        "scaled: a part of the rival's grid, folds and classes was measured and its time multiplied by this. "
        f"Goal: {LEAST_SPEED:g} times as fast by processor time, and no less accurate within our interval."
    )


def measure(options: argparse.Namespace, console: Console) -> None:
    """Runs what the options ask for, prints a table, and writes `heads.json` into `options.out`."""
    if options.quick:
        sets = [synthetic(500, 128, 10)]
    else:
        names = options.sets.split(",")
        sets = photographs(options.data, [name for name in names if name != "synthetic"], options.backbone)
        sets += [synthetic(*SYNTHETIC)] if "synthetic" in names else []
    contests = run(sets, options.threads, console)
    show(contests, console)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "heads.json"
    file.write_text(json.dumps([_as_json(one) for one in contests], indent=2) + "\n")
    console.print(f"all figures: {file}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of this part."""
    parser.add_argument(
        "--data", type=Path, default=_SHARED, help="folder of image sets; default: %(default)s"
    )
    parser.add_argument("--sets", default="clothing10,grocery81,synthetic", help="default: %(default)s")
    parser.add_argument(
        "--threads",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="of head training; default: all cores",
    )


def main() -> int:
    """Entry point. The exit status says whether it ran, not whether the goals are met."""
    parser = argparse.ArgumentParser("python -m benchmarks.heads", description=__doc__)
    add_options(parser)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0", help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="a small synthetic set only: does it run at all")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="default: %(default)s")
    measure(parser.parse_args(), Console(width=None if sys.stdout.isatty() else _FILE_WIDTH))
    return 0


def _as_json(contest: Contest) -> dict[str, Any]:
    return {**dataclasses.asdict(contest), "faster": contest.faster, "met": contest.met}


if __name__ == "__main__":
    sys.exit(main())
