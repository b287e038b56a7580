"""`python -m benchmarks`: measures this machine and holds the figures against the goals."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import finetune, heads, models
from benchmarks.pictures import load_pictures, small_picture
from benchmarks.report import show
from benchmarks.suite import measure

# The photographs that this project is developed with, beside the checkout where they are at hand.
_SHARED_PICTURES = Path(__file__).resolve().parents[2] / "shared" / "data" / "clothing10"
# Columns where the output goes to a file or a pipe.
_FILE_WIDTH = 120


def main() -> int:
    """Entry point. The exit status says whether it ran, not whether the goals are met."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else _FILE_WIDTH)
    if options.only in (None, "serving"):
        _serving(options, console)
    if options.only in (None, "heads"):
        console.print("\ntraining heads")
        heads.measure(options, console)
    if options.only in (None, "models"):
        console.print("\nmodels on the server")
        models.measure(options, console)
    if options.only in (None, "finetune"):
        console.print("\nfine-tuning")
        finetune.measure(options, console)
    return 0


def _serving(options: argparse.Namespace, console: Console) -> None:
    folder = options.images or (_SHARED_PICTURES if _SHARED_PICTURES.is_dir() else None)
    pictures = load_pictures(folder, 64 if options.quick else options.count)
    results = measure(
        options.backbone,
        pictures,
        small_picture(pictures[0]),
        options.providers.split(","),
        rounds=2 if options.quick else options.rounds,
        calls=20 if options.quick else 50,
        console=console,
    )
    show(results, console)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "bench.json"
    file.write_text(json.dumps(results.as_json(), indent=2) + "\n")
    console.print(f"every round: {file}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=main.__doc__)
    parser.add_argument(
        "--only", choices=("serving", "heads", "models", "finetune"), help="one part; default: all"
    )
    parser.add_argument("--images", type=Path, help="folder of JPEG files; default: cuts of two photographs")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0", help="default: %(default)s")
    parser.add_argument(
        "--providers", default="torch,openvino", help="whose bare loops are measured; default: %(default)s"
    )
    parser.add_argument("--count", type=int, default=256, help="pictures a pass; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=9, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="64 pictures and 2 rounds: does it run at all")
    heads.add_options(parser)
    models.add_options(parser)
    finetune.add_options(parser)
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="default: %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
