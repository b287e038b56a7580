"""Learning-rate schedules as pure functions of the step, so that one can be drawn before training starts.

A schedule is a frozen pydantic model of its own options that registers itself by name. Its factor
multiplies the learning rate; knowing the step is all that it takes to go on after a crash.
"""

from __future__ import annotations

import abc
import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penult_server.core.errors import InvalidArgument


class Schedule(BaseModel, abc.ABC):
    """A curve from 1 downwards, or up and down, with an optional linear warm-up before it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    warmup: float = Field(
        default=0.0, ge=0, lt=1, description="share of all steps in which the rate first rises linearly"
    )

    def factor(self, step: int, total: int) -> float:
        """What multiplies the learning rate at `step` of 0..total-1; in [0, 1]."""
        warm = round(self.warmup * total)
        if step < warm:
            return (step + 1) / (warm + 1)
        return self.shape(step - warm, max(1, total - warm))

    @abc.abstractmethod
    def shape(self, step: int, total: int) -> float:
        """The factor after the warm-up; `step` in 0..total-1."""

    def cycle_ends(self, total: int) -> tuple[int, ...]:
        """Steps after which the rate jumps up again, where a snapshot of the weights is worth keeping."""
        return ()

    def draw(self, total: int) -> list[float]:
        """The factor at every step."""
        return [self.factor(step, total) for step in range(total)]


SCHEDULES: dict[str, type[Schedule]] = {}
_Made = TypeVar("_Made", bound=Schedule)


def register(name: str) -> Callable[[type[_Made]], type[_Made]]:
    """Registers a schedule under the word that settings use."""

    def keep(made: type[_Made]) -> type[_Made]:
        SCHEDULES[name] = made
        return made

    return keep


def make_schedule(name: str, options: Mapping[str, Any], warmup: float) -> Schedule:
    """The schedule of this name.

    Raises:
        InvalidArgument: SCHEDULE_UNKNOWN with near matches, or BAD_SCHEDULE_OPTION.
    """
    made = SCHEDULES.get(name)
    if made is None:
        near = difflib.get_close_matches(name, SCHEDULES, n=3)
        raise InvalidArgument(
            "SCHEDULE_UNKNOWN",
            f"no schedule {name[:80]!r}" + (f"; near: {', '.join(near)}" if near else ""),
            field="schedule",
            hint=f"one of {', '.join(sorted(SCHEDULES))}",
        )
    try:
        return made(warmup=warmup, **options)
    except (ValidationError, TypeError) as error:
        known = ", ".join(field for field in made.model_fields if field != "warmup") or "none"
        raise InvalidArgument(
            "BAD_SCHEDULE_OPTION",
            f"{dict(options)} are no options of the schedule {name!r}: {_first(error)}",
            field="schedule_options",
            hint=f"its options: {known}",
        ) from error


@register("constant")
class Constant(Schedule):
    """Always 1."""

    def shape(self, step: int, total: int) -> float:
        """See Schedule."""
        return 1.0


@register("step")
class Step(Schedule):
    """Falls to a share of itself at each milestone."""

    milestones: tuple[float, ...] = Field(
        default=(0.5, 0.75), description="shares of the steps at which it falls"
    )
    drop: float = Field(default=0.1, gt=0, lt=1, description="what is left of the rate after a milestone")

    def shape(self, step: int, total: int) -> float:
        """See Schedule."""
        passed = sum(step >= milestone * total for milestone in self.milestones)
        return float(self.drop**passed)


class _Falling(Schedule):
    floor: float = Field(default=0.0, ge=0, le=1, description="share of the rate that is left at the end")


@register("cosine")
class Cosine(_Falling):
    """Half a cosine from 1 to `floor` (Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts)."""

    def shape(self, step: int, total: int) -> float:
        """See Schedule."""
        return _cosine(_progress(step, total), self.floor)


@register("linear")
class Linear(_Falling):
    """A line from 1 to `floor`."""

    def shape(self, step: int, total: int) -> float:
        """See Schedule."""
        return 1 - (1 - self.floor) * _progress(step, total)


@register("inverse_sqrt")
class InverseSqrt(Schedule):
    """sqrt(t / (t + step)): Vaswani et al. 2017 (arXiv:1706.03762, section 5.3) where t is the warm-up."""

    timescale: float = Field(
        default=0.1, gt=0, description="t as a share of the steps; equal to warmup it is the published curve"
    )

    def shape(self, step: int, total: int) -> float:
        """See Schedule."""
        scale = max(1.0, self.timescale * total)
        return math.sqrt(scale / (scale + step))


@register("one_cycle")
class OneCycle(Schedule):
    """Up and down once, both as half cosines (Smith and Topin 2018, arXiv:1708.07120)."""

    rise: float = Field(default=0.3, gt=0, lt=1, description="share of the steps in which it rises")
    start: float = Field(default=0.04, ge=0, le=1, description="factor of the first step")
    end: float = Field(default=0.0001, ge=0, le=1, description="factor of the last step")

    def shape(self, step: int, total: int) -> float:
        """See Schedule."""
        progress = _progress(step, total)
        if progress < self.rise:
            return _cosine(1 - progress / self.rise, self.start)
        return _cosine((progress - self.rise) / (1 - self.rise), self.end)


@register("cyclic")
class Cyclic(_Falling):
    """Half a cosine again and again: warm restarts (arXiv:1608.03983).

    The schedule of snapshot ensembles (Huang et al. 2017, arXiv:1704.00109).
    """

    cycles: int = Field(default=3, ge=1, description="how often it falls")

    def shape(self, step: int, total: int) -> float:
        """See Schedule."""
        length = total / self.cycles
        cycle = min(self.cycles - 1, int(step / length))
        first, after = math.ceil(cycle * length), math.ceil((cycle + 1) * length)
        return _cosine(_progress(step - first, min(after, total) - first), self.floor)

    def cycle_ends(self, total: int) -> tuple[int, ...]:
        """See Schedule."""
        warm = round(self.warmup * total)
        length = max(1, total - warm) / self.cycles
        ends = {min(total, warm + math.ceil((cycle + 1) * length)) - 1 for cycle in range(self.cycles)}
        return tuple(sorted(ends))


def _progress(step: int, total: int) -> float:
    """0 at the first step, 1 at the last."""
    return min(1.0, max(0.0, step / (total - 1))) if total > 1 else 0.0


def _cosine(progress: float, floor: float) -> float:
    return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        fault = error.errors()[0]
        return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
    return str(error)
