"""The demo, top to bottom: photos -> server -> features -> dataset, heads, fine-tuning, index -> report."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import penult
from penult.demo import photos
from penult.demo.classify import Outcome, classify
from penult.demo.errors import DemoError
from penult.demo.findings import Findings
from penult.demo.finetune import NOT_TRAINABLE, FineTuned, fine_tune
from penult.demo.neighbours import contact_sheet, nearest, pick_queries, same_label_share
from penult.demo.photos import PhotoSet
from penult.demo.report import write_report
from penult.demo.report_classes import percent
from penult.demo.server import running_server
from penult.job_types import JobEvent
from penult.types import Features

SEED = 0
NEIGHBOURS = 5
QUERIES = 6
SHEET = 60
SAME_FEATURE = 1e-4
"""Largest relative difference of two features that count as the same."""

console = Console(highlight=False)


def main() -> int:
    """Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    # A terminated demo unwinds like a finished one, and takes its server with it.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        run(_arguments())
    except (DemoError, penult.PenultError, OSError) as error:
        message = error.message if isinstance(error, penult.PenultError) else str(error)
        console.print(f"\n[bold red]The demo stopped:[/] {escape(message)}", soft_wrap=True)
        if hint := getattr(error, "hint", ""):
            console.print(f"[bold]What to do:[/] {escape(hint)}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted; the server is stopped.")
        return 130
    return 0


def run(arguments: argparse.Namespace) -> None:
    """The whole demo."""
    started = time.perf_counter()
    console.print("\n[bold]Penult demo[/]: what a pretrained backbone already knows about your photos\n")
    if arguments.images is None:
        photo_set = photos.solar_cells(arguments.limit, SEED)
    else:
        photo_set = photos.folder(arguments.images, arguments.limit, SEED)
    _say_photos(photo_set)

    _say("Server", "starting penult-server; it loads PyTorch and proves its backbone before it says ready")
    with running_server() as server, penult.Client(server.target) as client:
        _say("", f"ready on {server.target} after {server.seconds_to_ready:.1f} s")
        backbone = client.backbones.load(arguments.backbone or client.backbones.get().name)
        _say("Backbone", f"{backbone.name} ({backbone.licence}): {backbone.dim} numbers an image")
        _say("", f"{backbone.provider} on {backbone.device}; {backbone.provider_note}")

        features, fingerprint, errors, images_per_second = _extract(client, photo_set, backbone.name)
        difference = _extract_alone(client, photo_set, backbone.name, features, errors)
        broken = _extract_broken(client, photo_set, backbone.name, errors)

        usable = photo_set.usable([error.index for error in errors])
        if len(usable) < 2:
            raise DemoError(
                "fewer than two photos are left to work with", "see above what is wrong with the others"
            )
        photo_set = photo_set.take(usable)
        outcome = _classify(client, photo_set, backbone.name)
        tuned = _fine_tune(client, photo_set, outcome, backbone.name, arguments.epochs) if outcome else None
        everything = np.arange(len(photo_set.paths), dtype=np.int64)
        queries, candidates = (outcome.test, outcome.train) if outcome else (everything, everything)
        _say("Index", f"{len(candidates)} photos, searched with {len(queries)}")
        hoods = nearest(client, photo_set, backbone.name, queries, candidates, NEIGHBOURS)
        sheet = contact_sheet(client, SHEET, SEED)
    same_label = (
        _compare_neighbours(photo_set, outcome, same_label_share(hoods, photo_set.labels))
        if outcome
        else None
    )

    findings = Findings(
        photo_set, backbone, fingerprint, images_per_second, errors, difference, broken,
        queries=[hoods[i] for i in pick_queries(queries, photo_set.labels, QUERIES, SEED)],
        index_count=len(candidates),
        sheet=sheet,
        same_label=same_label,
        outcome=outcome,
        tuned=tuned,
    )  # fmt: skip
    page = write_report(findings, arguments.report)
    _say("Report", f"[bold]{escape(str(page))}[/]")
    _say(
        "Done",
        f"in {time.perf_counter() - started:.0f} s; the server has drained and stopped (SIGTERM, status 0)",
    )


def _extract(
    client: penult.Client, photo_set: PhotoSet, backbone: str
) -> tuple[Features, str, list[penult.ItemError], float]:
    """Features of all photos, their fingerprint, what failed, and images/s."""
    started = time.perf_counter()
    batch = client.extract_with_info(photo_set.paths, backbone, progress=True, on_error="return")
    seconds = time.perf_counter() - started
    if len(photo_set.paths) - len(batch.errors) < 2:
        raise DemoError(f"no photos left to work with: {batch.errors[0]}", "check that the files are images")
    count = len(photo_set.paths)
    _say("Features", f"{count} photos in {seconds:.1f} s: [bold]{count / seconds:.0f} images/s[/]")
    for error in batch.errors[:5]:
        _say("", f"left out: {escape(str(error))}")
    if len(batch.errors) > 5:
        _say("", f"left out: {len(batch.errors) - 5} more, listed in the report")
    return batch.features, batch.fingerprint, list(batch.errors), count / seconds


def _extract_alone(
    client: penult.Client,
    photo_set: PhotoSet,
    backbone: str,
    features: Features,
    errors: list[penult.ItemError],
) -> float:
    """The same photo alone must give the same feature. Returns the largest relative difference."""
    position = _good_positions(photo_set, errors)[0]
    row = features[position]
    alone = client.extract(photo_set.paths[position], backbone)[0]
    difference = float(np.abs(alone - row).max() / np.abs(row).max())
    if difference > SAME_FEATURE:
        raise DemoError(
            f"a photo sent alone got another feature than in the collection (difference {difference:.1e})",
            "this is a fault of Penult: please report it together with your hardware",
        )
    said = f"largest difference {difference:.0e}" if difference else "to the last bit"
    _say("Alone", f"one photo in a call of its own gets the same feature ({said})")
    return difference


def _extract_broken(
    client: penult.Client, photo_set: PhotoSet, backbone: str, errors: list[penult.ItemError]
) -> penult.ItemError:
    """A file cut short among good ones must fail alone. Returns what the server says to it."""
    good = [photo_set.paths[i].read_bytes() for i in _good_positions(photo_set, errors)[:2]]
    cut_short = good[0][: len(good[0]) // 2]
    rows, failures = client.extract([good[0], cut_short, good[1]], backbone, on_error="return")
    usable = np.isfinite(rows).all(axis=1).tolist()
    if usable != [True, False, True] or [error.index for error in failures] != [1]:
        raise DemoError(
            f"of good, cut-short and good photo, these got a feature: {usable}", "please report it"
        )
    _say(
        "Broken",
        f"a file cut short between two good ones: they get features, it gets [bold]{failures[0].reason}[/]",
    )
    return failures[0]


def _good_positions(photo_set: PhotoSet, errors: list[penult.ItemError]) -> list[int]:
    failed = {error.index for error in errors}
    return [i for i in range(len(photo_set.paths)) if i not in failed]


def _classify(client: penult.Client, photo_set: PhotoSet, backbone: str) -> Outcome | None:
    """Heads trained by the server, where there are classes."""
    if not photo_set.labels:
        _say("Heads", "none: it takes sub-folders for classes, two at least with two photos each")
        return None
    outcome = classify(client, photo_set, backbone, SEED)
    count, seconds = len(outcome.train) + len(outcome.test), outcome.upload_seconds
    _say("Dataset", f"{count} photos uploaded in {seconds:.1f} s, {len(outcome.test)} of them held out")
    for trained in outcome.heads:
        said = f"{trained.kind} trained in {trained.seconds:.1f} s: {percent(trained.evaluation.accuracy, 1)}"
        _say("Heads" if trained is outcome.heads[0] else "", said)
    measured = outcome.evaluation
    _say("Accuracy", f"[bold green]{percent(measured.accuracy, 1)}[/] on {measured.count} held-out photos")
    balanced = percent(measured.balanced_accuracy, 1)
    low, high = percent(measured.accuracy_low, 1), percent(measured.accuracy_high, 1)
    _say("", f"95 % confidence {low} to {high}; balanced {balanced}")
    _say("", f"always saying the most frequent class: {percent(outcome.baseline, 1)}")
    return outcome


def _fine_tune(
    client: penult.Client, photo_set: PhotoSet, outcome: Outcome, backbone: str, epochs: int
) -> FineTuned | None:
    """The backbone trained further, where it is wanted and these photos and this backbone allow it."""
    if not epochs:
        return None
    _say("Fine-tune", f"the last stages of {backbone}, {epochs} times over the training photos")
    with console.status("starting") as status:

        def heard(event: JobEvent) -> None:
            if event.log is not None:
                _say("", f"[dim]{escape(event.log)}[/]")
            if event.progress is not None:
                status.update(escape(str(event.progress)))

        try:
            tuned = fine_tune(client, photo_set, outcome, backbone, epochs, SEED, heard)
        except penult.PenultError as error:
            if error.reason not in NOT_TRAINABLE:
                raise
            _say("", f"left out: {escape(error.message)} [{error.reason}]")
            return None
    gained = 100 * (tuned.evaluation.accuracy - outcome.evaluation.accuracy)
    _say(
        "",
        f"[bold green]{percent(tuned.evaluation.accuracy, 1)}[/] on the same held-out photos after "
        f"{tuned.seconds:.0f} s, {gained:+.1f} points to the head; kept: {tuned.kept}",
    )
    return tuned


def _compare_neighbours(photo_set: PhotoSet, outcome: Outcome, share: float) -> tuple[float, float]:
    """The share of neighbours with the same label, and the share by chance."""
    fitted = [photo_set.labels[int(i)] for i in outcome.train]
    chance = float(np.mean([fitted.count(label) / len(fitted) for label in outcome.truth]))
    _say(
        "Neighbours",
        f"{percent(share)} of the {NEIGHBOURS} nearest share the label; by chance {percent(chance)}",
    )
    return share, chance


def _say_photos(photo_set: PhotoSet) -> None:
    counts = {label: photo_set.labels.count(label) for label in sorted(set(photo_set.labels))}
    shown = [f"{count} {escape(label)}" for label, count in list(counts.items())[:6]]
    more = [f"{len(counts) - 6} more classes"] if len(counts) > 6 else []
    classes = f": {', '.join(shown + more)}" if counts else ""
    _say("Photos", f"{len(photo_set.paths)} of {photo_set.available} {escape(photo_set.title)}{classes}")
    for note in (*photo_set.notes, photo_set.licence):
        if note:
            _say("", f"[dim]{escape(note)}[/]")


def _say(step: str, text: str) -> None:
    """One line of the story; `step` names a new step, "" goes on with the last one."""
    line = Table.grid(padding=(0, 1))
    line.add_column(width=11)
    line.add_column(overflow="fold")
    line.add_row(f"[bold cyan]{step}[/]", text)
    console.print(line)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m penult.demo", description=__doc__)
    parser.add_argument(
        "--images", type=Path, help="folder of photos, one sub-folder a class; default: solar cells"
    )
    parser.add_argument("--report", type=Path, default=Path("demo-report"), help="folder for index.html")
    parser.add_argument("--backbone", help="its name; default: the server's")
    parser.add_argument("--limit", type=int, default=800, help="most photos to take, 0 for all (default 800)")
    parser.add_argument(
        "--epochs", type=int, default=3, help="passes of fine-tuning, 0 for no fine-tuning (default 3)"
    )
    arguments = parser.parse_args()
    if arguments.limit < 0:
        parser.error("--limit must not be negative")
    if arguments.epochs < 0:
        parser.error("--epochs must not be negative")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
