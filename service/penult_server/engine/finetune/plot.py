"""The curves as one picture, as people look at them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penult_server.core.diagnosis import Finding, moving_average
from penult_server.core.schedules import Schedule

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZE, _DPI = (14.0, 9.0), 90


def plot_curves(rows: Sequence[dict[str, Any]], file: Path, findings: Sequence[Finding] = ()) -> None:
    """Draws loss, accuracy, learning rate, gradients, updates and speed into a PNG.

    Args:
        rows: of `curves.read_rows`.
        file: to write.
        findings: are written below.
    """
    steps = [row for row in rows if "loss" in row]
    epochs = [row for row in rows if "epoch" in row]
    figure = new_figure(_SIZE)
    (loss, accuracy, rate), (gradient, update, speed) = figure.subplots(2, 3)
    x = _column(steps, "step")
    values = _column(steps, "loss")
    loss.scatter(x, values, s=4, alpha=0.4, label="each step")
    if len(values):
        loss.plot(x, moving_average(values), color="black", label="moving average")
    for name, label in (("train_loss", "training, as served"), ("validation_loss", "validation")):
        loss.plot(_column(epochs, "step"), _column(epochs, name), marker="o", markersize=3, label=label)
    _title(loss, "loss", legend=True)
    for name, label in (
        ("train_accuracy", "training"),
        ("accuracy", "validation"),
        ("ema_accuracy", "validation, moving average of weights"),
    ):
        y = _column(epochs, name)
        if np.isfinite(y).any():
            accuracy.plot(_column(epochs, "step"), y, marker="o", markersize=3, label=label)
    for row in rows:
        if "probe_accuracy" in row:
            accuracy.axhline(
                row["probe_accuracy"], color="grey", linestyle=":", label="validation, linear probe"
            )
    _title(accuracy, "accuracy", legend=bool(epochs))
    rate.plot(x, _column(steps, "rate"))
    _title(rate, "learning rate")
    norms = _column(steps, "gradient_norm")
    gradient.scatter(x, norms, s=4, alpha=0.4)
    if np.isfinite(norms).any() and np.nanmax(norms) > 0:
        gradient.set_yscale("log")
    _title(gradient, "gradient norm")
    measured = [row for row in steps if row.get("update_ratio")]
    for stage in measured[0]["update_ratio"] if measured else ():
        ratios = [row["update_ratio"].get(stage, np.nan) for row in measured]
        update.plot(_column(measured, "step"), ratios, linewidth=1, label=stage)
    if measured:
        update.set_yscale("log")
        update.axhline(1e-3, color="grey", linestyle=":", linewidth=1)  # CS231n's rule of thumb
    _title(update, "size of update / size of weights, by stage", legend=bool(measured))
    speed.plot(x, _column(steps, "images_per_second"), linewidth=0.8)
    speed.set_ylim(bottom=0)
    _title(speed, "images/s")
    if findings:
        lines = [f"{f.symptom.value}: {f.evidence}. What to change: {f.advice}." for f in findings]
        figure.supxlabel("\n".join(lines), fontsize=8, wrap=True)
    save(figure, file)


def plot_schedule(schedule: Schedule, total: int, rate: float, file: Path) -> None:
    """Draws the learning rate of `total` steps into a PNG, before any is made."""
    figure = new_figure((7.0, 4.0))
    axes = figure.subplots()
    axes.plot(np.arange(1, total + 1), rate * np.array(schedule.draw(total)))
    _title(axes, "learning rate")
    save(figure, file)


def new_figure(size: tuple[float, float]) -> Figure:
    """An empty one of so many inches, which needs no display."""
    # Only where something is drawn: a server starts without this.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, file: Path) -> None:
    """Writes it as a PNG, whole or not at all."""
    part = file.with_suffix(".part")
    figure.savefig(part, format="png")
    part.replace(file)


def _title(axes: Any, title: str, *, legend: bool = False) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    if legend:
        axes.legend(fontsize=7)


def _column(rows: Sequence[dict[str, Any]], name: str) -> np.ndarray:
    values = [row.get(name) for row in rows]
    return np.array([np.nan if value is None else value for value in values], float)
