"""Fine-tuning: its speed beside timm's loop, and with `--long` its accuracy: `python -m benchmarks.finetune`.

The long part takes hours on a CPU. It runs the job itself, keeps what each run found in
`OUT/finetune/`, curves included, and goes on there when it is started again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import finetune_speed
from benchmarks.finetune_accuracy import HEADS, LINEAR, Result, finetuned, heads
from benchmarks.finetune_sets import ImageSet, few, folders, solar_cells
from benchmarks.pictures import load_pictures

CASES = ("elpv", "clothing10", "few")
EACH = (5, 10, 20)
PLAIN: Mapping[str, Any] = {"linear_probe": False}
"""Fine-tuning as it is mostly done: everything at once from a random head."""
HEAD_GOAL, NETWORK_GOAL, GAIN_GOAL = 0.855, 0.884, 0.03
"""On the solar cells: of the best head, of the fine-tuned network (the paper's is 0.884), and its gain."""
_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
_FILE_WIDTH = 140
_ROUNDS, _PICTURES = 3, 128


def measure(options: argparse.Namespace, console: Console) -> None:
    """Runs what the options ask for and prints a table each."""
    speed(options, console)
    if options.long:
        out = options.out / "finetune"
        out.mkdir(parents=True, exist_ok=True)
        results = []
        for one in accuracy(options, out, console):
            results.append(one)
            console.print(f"  {one.set}: {one.method} {100 * one.accuracy:.1f} % in {one.seconds:.0f} s")
        show(results, console)
        console.print(f"results, curves and logs: {out}")


def speed(options: argparse.Namespace, console: Console) -> None:
    """Images/s of training."""
    folder = options.images or (_SHARED / "clothing10" if (_SHARED / "clothing10").is_dir() else None)
    with tempfile.TemporaryDirectory() as name:
        for number, data in enumerate(load_pictures(folder, _PICTURES)):
            file = Path(name, f"class{number % 2}", f"{number}.jpg")
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
        arguments = ["--images", name, "--backbone", options.backbone, "--count", str(_PICTURES)]
        arguments += ["--steps", "4" if options.quick else "16"]
        finetune_speed.show(finetune_speed.race(arguments, 1 if options.quick else _ROUNDS), console)


def accuracy(options: argparse.Namespace, out: Path, console: Console) -> Iterator[Result]:
    """Every case, seed and way, one after the other; the linear head comes first."""
    changed = dict(json.loads(options.settings))
    cases: Mapping[str, Callable[[], Iterator[Result]]] = {
        "elpv": lambda: _each_seed(options, out, changed, solar_cells, HEADS),
        "clothing10": lambda: _each_seed(
            options, out, changed, lambda seed: folders(_SHARED, "clothing10"), (LINEAR,)
        ),
        "few": lambda: _few(options, out, changed),
    }
    for case in options.cases.split(","):
        console.print(f"{case}:")
        yield from cases[case]()


def _each_seed(
    options: argparse.Namespace, out: Path, changed: Mapping[str, Any], make: Callable[[int], ImageSet],
    names: Sequence[str],
) -> Iterator[Result]:  # fmt: skip
    for seed in _numbers(options.seeds):
        images = make(seed)
        yield from heads(images, options.backbone, out, names)
        yield finetuned(images, f"{options.recipe}-{seed}", {"seed": seed, **changed}, options.backbone, out)


def _few(options: argparse.Namespace, out: Path, changed: Mapping[str, Any]) -> Iterator[Result]:
    whole = folders(_SHARED, "clothing10")
    for seed in _numbers(options.seeds):
        for each in EACH:
            images = few(whole, each, seed)
            yield from heads(images, options.backbone, out, (LINEAR,))
            for recipe, more in ((options.recipe, {}), (f"{options.recipe}-plain", PLAIN)):
                settings = {"seed": seed, **changed, **more}
                yield finetuned(images, f"{recipe}-{seed}", settings, options.backbone, out)


def show(results: Sequence[Result], console: Console) -> None:
    """One row a set and way, over its seeds."""
    rows: dict[tuple[str, str], list[Result]] = {}
    for one in results:
        rows.setdefault((_without_seed(one.set), _without_seed(one.method)), []).append(one)
    table = Table(title="Accuracy on held-out images, mean over the seeds", title_justify="left")
    for column in ("set", "way", "accuracy", "each", "judged by", "CPU s", "kept", "curves say"):
        table.add_column(column, overflow="fold")
    for (name, method), runs in rows.items():
        table.add_row(
            name,
            method,
            f"{100 * _mean(runs):.1f} %",
            " ".join(f"{100 * run.accuracy:.1f}" for run in runs),
            f"{100 * statistics.mean(run.chosen_by for run in runs):.1f} %",
            f"{statistics.mean(run.cpu_seconds for run in runs):.0f}",
            " ".join(sorted({run.variant for run in runs})),
            " ".join(sorted({symptom for run in runs for symptom in run.symptoms})),
        )
    console.print(table)
    solar = {method: runs for (name, method), runs in rows.items() if name == "elpv"}
    networks = {method: _mean(runs) for method, runs in solar.items() if method not in HEADS}
    if networks:
        best, linear = max(_mean(solar[name]) for name in HEADS), _mean(solar[LINEAR])
        tuned = max(networks.values())
        for what, found, goal in (
            ("best head", best, HEAD_GOAL),
            ("fine-tuned", tuned, NETWORK_GOAL),
            ("gain over the linear head", tuned - linear, GAIN_GOAL),
        ):
            verdict = "[green]met" if found >= goal else "[red]not met"
            console.print(f"solar cells, {what}: {100 * found:.1f}, goal {100 * goal:.1f}: {verdict}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of this part."""
    parser.add_argument("--long", action="store_true", help="fine-tune: hours on a CPU")
    parser.add_argument("--cases", default=",".join(CASES), help="of the long part; default: %(default)s")
    parser.add_argument("--seeds", default="0,1,2", help="of the long part; default: %(default)s")
    parser.add_argument("--settings", default="{}", help="of fine-tuning, as JSON; default: %(default)s")
    parser.add_argument("--recipe", default="lp-ft", help="what they are called; default: %(default)s")


def main() -> int:
    """Entry point. The exit status says whether it ran, not whether the goals are met."""
    parser = argparse.ArgumentParser("python -m benchmarks.finetune", description=__doc__)
    add_options(parser)
    parser.add_argument("--images", type=Path, help="folder of JPEG files, for the speed")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0", help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="a short race: does it run at all")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="default: %(default)s")
    measure(parser.parse_args(), Console(width=None if sys.stdout.isatty() else _FILE_WIDTH))
    return 0


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _mean(runs: Sequence[Result]) -> float:
    return statistics.mean(run.accuracy for run in runs)


def _without_seed(name: str) -> str:
    head, _, tail = name.rpartition("-")
    return head if head and tail.isdigit() else name


if __name__ == "__main__":
    sys.exit(main())
