"""Jobs as bars on a terminal, and as lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from penult.job_types import JobEvent, JobInfo, JobProgress
from penult.jobs import Job

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_POLL_SECONDS = 0.5
_FIGURES = ("loss", "train_accuracy", "accuracy", "images_per_second")
R = TypeVar("R")


def follow(job: Job[R], *, quiet: bool = False) -> Job[R]:
    """Shows a job until it has ended: a bar and its log on a terminal, else every event as a line."""
    if quiet or not sys.stderr.isatty():
        for event in job.watch():
            if not quiet:
                typer.echo(line(event), err=True)
        return job.refresh()
    with _bars() as bars:
        task = bars.add_task(label(job), total=None, note=job.state, figures="")
        figures: dict[str, float] = {}
        for event in job.watch():
            if event.log is not None:
                bars.console.print(event.log, markup=False, highlight=False)
            if event.state is not None:
                bars.update(task, note=event.state)
            if event.progress is not None:
                _update(bars, task, event.progress)
            if event.metrics is not None:
                figures |= event.metrics
                bars.update(task, figures=figures_words(figures))
    return job.refresh()


def follow_all(fetch: Callable[[], list[Job[Any]]]) -> None:
    """Bars of all jobs that `fetch` gives, until each of them has ended."""
    with _bars() as bars:
        tasks: dict[str, TaskID] = {}
        while True:
            jobs = fetch()
            for job in jobs:
                if job.id not in tasks and not job.done:
                    tasks[job.id] = bars.add_task(label(job), total=None, note=job.state, figures="")
                if (task := tasks.get(job.id)) is not None:
                    bars.update(task, note=job.state, figures=figures_words(job.metrics))
                    if job.progress is not None:
                        _update(bars, task, job.progress)
            if all(job.done for job in jobs):
                return
            time.sleep(_POLL_SECONDS)


def line(event: JobEvent) -> str:
    """An event in words."""
    if event.progress is not None:
        what = str(event.progress)
    elif event.metrics is not None:
        what = ", ".join(f"{name} {value:.6g}" for name, value in event.metrics.items())
    elif event.log is not None:
        what = event.log
    else:
        what = event.state or ""
        if event.error is not None:
            what += f": {event.error.message} [{event.error.reason}]"
    return f"{event.number}\t{event.time:%H:%M:%S}\t{what}"


def figures_words(metrics: Mapping[str, float]) -> str:
    """The metrics of a training that people look at, in short; "" where there are none."""
    return ", ".join(f"{name} {metrics[name]:.4g}" for name in _FIGURES if name in metrics)


def label(job: JobInfo) -> str:
    """What a job is, in short."""
    return f"{job.kind} {job.subject}"


def _update(bars: Progress, task: TaskID, progress: JobProgress) -> None:
    bars.update(task, completed=progress.done, total=progress.total or None, note=str(progress))


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}")
    figures = TextColumn("{task.fields[figures]}")
    return Progress(*columns, figures, TimeElapsedColumn(), console=Console(stderr=True))
