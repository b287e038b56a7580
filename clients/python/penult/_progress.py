"""A progress bar on a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(wanted: bool, total: int | None, label: str = "extract") -> Iterator[Callable[[int], None]]:
    """Gives a function that takes the number of images just done. Draws on standard error."""
    if not wanted or not sys.stderr.isatty():
        yield lambda done: None
        return
    # Imported only where it is drawn: rich costs more than the rest of the client together.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.0f} images/s" if speed else "")

    label_column, done, left = TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn()
    columns = (label_column, BarColumn(), done, Speed(), left)
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, advance=done)
