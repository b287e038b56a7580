"""The picture that people look at: two settings against each other, coloured by validation error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from penult_server.core.search_space import Choice, Parameter, Range, Space, Value
from penult_server.core.tuning import Study, Trial, TrialState
from penult_server.engine.finetune.plot import new_figure, save

if TYPE_CHECKING:
    from matplotlib.colors import Normalize

_SIZE = (14.0, 8.0)
_MARKERS = {TrialState.FINISHED: "o", TrialState.PRUNED: "v", TrialState.CUT: "s", TrialState.RUNNING: "d"}
_FIRST = ("learning_rate", "weight_decay")
_PANELS = 6
_COLOURS = "viridis_r"


def plot_trials(study: Study, file: Path) -> None:
    """Draws the trials of a study into a PNG.

    Left, learning rate against weight decay (or what else was searched), each trial coloured by its
    validation error; crosses failed, the ring is the best, the box is the second stage. Right, the error
    along each setting, and as the trials went.
    """
    from matplotlib.colors import Normalize  # late, as in new_figure

    figure = new_figure(_SIZE)
    space = study.plan.space
    names = _ordered(space)
    left, right = cast(Any, figure.subfigures(1, 2, width_ratios=(1.1, 1.0)))
    errors = [error for trial in study.trials if (error := _error(trial)) is not None]
    scale = Normalize(min(errors, default=0.0), max([*errors, min(errors, default=0.0) + 1e-6]))
    _map(left, study, names[0], names[1] if len(names) > 1 else None, scale)
    shown = names[: _PANELS - 1]
    rows = (len(shown) + 2) // 2
    panels = np.atleast_1d(right.subplots(rows, 2)).ravel()
    for axes, name in zip(panels, shown, strict=False):
        _along(axes, study, name, scale)
    _progress(panels[len(shown)], study)
    for axes in panels[len(shown) + 1 :]:
        axes.set_axis_off()
    save(figure, file)


def _ordered(space: Space) -> list[str]:
    """Learning rate and weight decay first, then other ranges, then choices."""
    return sorted(
        space,
        key=lambda n: (_FIRST.index(n) if n in _FIRST else len(_FIRST), isinstance(space[n], Choice), n),
    )


def _error(trial: Trial) -> float | None:
    """Validation error in percent, of the best epoch so far where the trial runs."""
    best = trial.accuracy
    if best is None and trial.epochs and trial.state is TrialState.RUNNING:
        best = max(accuracy for accuracy, _ in trial.epochs)
    return None if best is None else 100 * (1 - best)


def _map(panel: Any, study: Study, x: str, y: str | None, scale: Normalize) -> None:
    axes = panel.subplots()
    space = study.plan.space
    best = study.best()
    for trial in study.trials:
        error = _error(trial)
        at = _place(space[x], trial.point[x]), _height(space, y, trial, error)
        if error is None or at[1] is None:
            axes.scatter(at[0], 0.0 if at[1] is None else at[1], marker="x", color="grey", s=50)
            continue
        axes.scatter(
            *at, c=[error], cmap=_COLOURS, norm=scale, marker=_MARKERS.get(trial.state, "o"), s=90,
            edgecolors="black", linewidths=0.5,
        )  # fmt: skip
        if trial is best:
            axes.scatter(*at, s=330, facecolors="none", edgecolors="red", linewidths=2)
    for narrower in study.spaces[1:]:
        _box(axes, narrower, x, y, space)
    _axis(axes.xaxis, axes.set_xscale, space[x], x)
    if y is None:
        axes.set_ylabel("validation error, %")
    else:
        _axis(axes.yaxis, axes.set_yscale, space[y], y)
    mappable = axes.scatter([], [], c=[], cmap=_COLOURS, norm=scale)
    panel.colorbar(mappable, ax=axes, label="validation error, %")
    title = f"{x} against {y}" if y is not None else x
    if best is not None and best.accuracy is not None:
        title += f"\nbest: trial {best.number}, {100 * (1 - best.accuracy):.1f} % error"
    axes.set_title(title + "\ncircle finished, triangle pruned, square cut, cross failed", fontsize=10)
    axes.grid(alpha=0.3)


def _height(space: Space, y: str | None, trial: Trial, error: float | None) -> float | None:
    return error if y is None else _place(space[y], trial.point[y])


def _box(axes: Any, narrower: Space, x: str, y: str | None, space: Space) -> None:
    from matplotlib.patches import Rectangle

    first, second = narrower[x], narrower[y] if y is not None else None
    if not isinstance(first, Range):
        return
    if isinstance(second, Range):
        corner, height = (first.low, second.low), second.high - second.low
        axes.add_patch(
            Rectangle(corner, first.high - first.low, height, fill=False, linestyle="--", edgecolor="red")
        )
    else:
        axes.axvspan(first.low, first.high, alpha=0.1, color="red")


def _along(axes: Any, study: Study, name: str, scale: Normalize) -> None:
    parameter = study.plan.space[name]
    for trial in study.trials:
        error = _error(trial)
        if error is not None:
            axes.scatter(
                _place(parameter, trial.point[name]), error, c=[error], cmap=_COLOURS, norm=scale, s=25,
                marker=_MARKERS.get(trial.state, "o"), edgecolors="black", linewidths=0.3,
            )  # fmt: skip
    _axis(axes.xaxis, axes.set_xscale, parameter, name)
    axes.set_ylabel("error, %", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)


def _progress(axes: Any, study: Study) -> None:
    numbers, errors = [], []
    for trial in study.trials:
        if (error := _error(trial)) is not None:
            numbers.append(trial.number)
            errors.append(error)
    axes.scatter(numbers, errors, s=12, color="grey", label="each trial")
    if errors:
        axes.step(numbers, np.minimum.accumulate(errors), where="post", color="black", label="best so far")
        axes.legend(fontsize=7)
    axes.set_xlabel("trial", fontsize=8)
    axes.set_ylabel("error, %", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)


def _place(parameter: Parameter, value: Value) -> float:
    if isinstance(parameter, Choice):
        return float(next(n for n, option in enumerate(parameter.options) if option == value))
    return float(value)  # type: ignore[arg-type]


def _axis(axis: Any, set_scale: Any, parameter: Parameter, name: str) -> None:
    axis.set_label_text(name, fontsize=8)
    if isinstance(parameter, Choice):
        labels: Sequence[str] = [str(option) for option in parameter.options]
        axis.set_ticks(range(len(labels)), labels, fontsize=7)
    elif parameter.log:
        set_scale("log")
