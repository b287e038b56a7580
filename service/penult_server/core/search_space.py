"""What a search over hyperparameters may try: ranges and choices by name, read strictly, and made narrower.

Every parameter is also a line from 0 to 1 ("place"), along its logarithm where the range says so: there a
draw is even, a step of a grid has one size, and a narrower range is a share of a wider one.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from penult_server.core.errors import InvalidArgument

Value: TypeAlias = str | int | float | bool | None
MAX_OPTIONS = 50
MAX_GRID = 100_000
_DIGITS = 4
"""Significant digits of a tried value: enough to tell trials apart, few enough to copy by hand."""


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included, even in magnitude if `log`; `whole` ones if so."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, place: float) -> float | int:
        """The value at a place in [0, 1], rounded to a few digits and never outside."""
        low, high = self._line()
        value = low + place * (high - low)
        if place <= 0 or place >= 1:  # the ends as they are written
            value = self.low if place <= 0 else self.high
            return int(value) if self.whole else value
        value = math.exp(value) if self.log else value
        value = min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)
        return (
            int(min(max(round(value), math.ceil(self.low)), math.floor(self.high))) if self.whole else value
        )

    def place(self, value: float) -> float:
        """Where a value is, in [0, 1] for those of the range."""
        low, high = self._line()
        return ((math.log(value) if self.log else value) - low) / (high - low)

    def points(self, count: int) -> list[Value]:
        """At most `count` values, evenly from end to end."""
        places = np.linspace(0.0, 1.0, count) if count > 1 else np.array([0.5])
        return [*dict.fromkeys(self.at(float(place)) for place in places)]

    def has(self, value: Value) -> bool:
        """Whether it is one of them."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high  # type: ignore[operator]

    def around(self, value: float, share: float) -> Range:
        """The part of this size around the value, moved inward where it would reach over an end."""
        start = min(max(self.place(value) - share / 2, 0.0), 1.0 - share)
        low, high = self.at(start), self.at(start + share)
        low, high = min(low, value), max(high, value)  # rounding must not lose it
        return dataclasses.replace(self, low=low, high=high) if low < high else self

    def _line(self) -> tuple[float, float]:
        return (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """One of several values."""

    options: tuple[Value, ...]

    def at(self, place: float) -> Value:
        """The option at a place in [0, 1]."""
        return self.options[min(int(place * len(self.options)), len(self.options) - 1)]

    def points(self, count: int) -> list[Value]:
        """All of them, whatever the count."""
        return [*self.options]

    def has(self, value: Value) -> bool:
        """Whether it is one of them."""
        return any(_same(value, option) for option in self.options)


Parameter: TypeAlias = Range | Choice
Space: TypeAlias = Mapping[str, Parameter]
Point: TypeAlias = Mapping[str, Value]
"""A value for each parameter of a space."""


def parse_space(
    values: Mapping[str, Any], whole: Collection[str] = ()
) -> tuple[dict[str, Parameter], dict[str, Value]]:
    """Reads `{"name": {"low": …, "high": …, "log": true} | [choices] | value}`.

    Args:
        values: JSON as a client sent it, in which whole numbers may have become fractions.
        whole: names of parameters that are whole numbers.

    Returns:
        What varies, and what has one value.

    Raises:
        InvalidArgument: SPACE_INVALID; the field names the parameter.
    """
    space: dict[str, Parameter] = {}
    fixed: dict[str, Value] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            space[name] = _range(name, value, name in whole)
        elif isinstance(value, list | tuple):
            options = _options(name, [_whole(name, option, name in whole) for option in value])
            if len(options) > 1:
                space[name] = Choice(options)
            else:
                fixed[name] = options[0]
        else:
            fixed[name] = _scalar(name, _whole(name, value, name in whole))
    return space, fixed


def to_json(space: Space) -> dict[str, Any]:
    """What `from_json` reads."""
    return {name: _parameter_json(parameter) for name, parameter in space.items()}


def as_given(space: Space) -> dict[str, Any]:
    """As a client could have sent it."""
    return {
        name: {key: end for key, end in values.items() if key != "whole"}
        if isinstance(values, dict)
        else values
        for name, values in to_json(space).items()
    }


def from_json(values: Mapping[str, Any]) -> dict[str, Parameter]:
    """What `to_json` wrote."""
    return {
        name: Choice(tuple(value)) if isinstance(value, list) else Range(**value)
        for name, value in values.items()
    }


def contains(space: Space, point: Point) -> bool:
    """Whether a space has this point."""
    return all(name in point and parameter.has(point[name]) for name, parameter in space.items())


def draw(space: Space, seed: int, number: int) -> dict[str, Value]:
    """The `number`-th point drawn at random: a pure function of its arguments."""
    random = np.random.default_rng([seed, number])
    return {name: space[name].at(float(random.random())) for name in sorted(space)}


def grid(space: Space, points: int) -> list[dict[str, Value]]:
    """Every combination of `points` values of each range and all options of each choice.

    Raises:
        InvalidArgument: GRID_TOO_LARGE past MAX_GRID.
    """
    names = sorted(space)
    axes = [space[name].points(points) for name in names]
    size = math.prod(map(len, axes))
    if size > MAX_GRID:
        raise InvalidArgument(
            "GRID_TOO_LARGE",
            f"the grid has {size} points; at most {MAX_GRID}",
            field="space",
            hint="fewer points, fewer parameters, or search='random'",
        )
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*axes)]


def narrowed(space: Space, best: Point, good: Sequence[Point], share: float = 1 / 3) -> dict[str, Parameter]:
    """The space around the best point: ranges a third as wide, and only options that good points have.

    Args:
        space: of the points.
        best: each range is narrowed around its value.
        good: points that did well; an option that none of them has is dropped.
        share: of a range that is left, along its logarithm where it has one.

    Returns:
        A space within the first one that has `best`. A choice with one option left stays a choice.
    """
    found: dict[str, Parameter] = {}
    for name, parameter in space.items():
        if isinstance(parameter, Range):
            found[name] = parameter.around(float(best[name]), share)  # type: ignore[arg-type]
        else:
            points = (best, *good)
            found[name] = Choice(
                tuple(o for o in parameter.options if any(_same(o, point[name]) for point in points))
            )
    return found


def at_edge(parameter: Parameter, value: Value, margin: float = 0.05) -> str:
    """Whether a value lies at the "low" or the "high" end of a range; else ""."""
    if not isinstance(parameter, Range):
        return ""
    place = parameter.place(float(value))  # type: ignore[arg-type]
    return "low" if place <= margin else "high" if place >= 1 - margin else ""


def _range(name: str, value: Mapping[str, Any], whole: bool) -> Range:
    unknown = sorted(set(value) - {"low", "high", "log"})
    if unknown:
        raise _invalid(name, f"a range has low, high and log, and no {unknown[0]!r}")
    if "low" not in value or "high" not in value:
        raise _invalid(name, "a range needs both low and high")
    ends = value["low"], value["high"]
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in ends):
        raise _invalid(name, "low and high are numbers", "a list of choices takes other values")
    low, high = ends
    log = value.get("log", False)
    if not isinstance(log, bool):
        raise _invalid(name, "log is true or false")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise _invalid(name, "low and high must be finite")
    if low > high:
        raise _invalid(name, f"low {low:g} is above high {high:g}", "swap them")
    if low == high:
        raise _invalid(name, f"the range from {low:g} to {high:g} is empty", f"{low:g} alone fixes the value")
    if log and low <= 0:
        raise _invalid(name, f"a logarithmic range starts above 0, not at {low:g}", "a low such as 1e-6")
    if whole and (low != int(low) or high != int(high)):
        raise _invalid(name, f"takes whole numbers, and the range is from {low:g} to {high:g}")
    return Range(float(low), float(high), log, whole)


def _options(name: str, options: Sequence[Any]) -> tuple[Value, ...]:
    if not options:
        raise _invalid(name, "there is nothing to choose from")
    if len(options) > MAX_OPTIONS:
        raise _invalid(name, f"{len(options)} choices; at most {MAX_OPTIONS}", "a range takes any number")
    checked = [_scalar(name, option) for option in options]
    for n, option in enumerate(checked):
        if any(_same(option, earlier) for earlier in checked[:n]):
            raise _invalid(name, f"{option!r} is there twice")
    return tuple(checked)


def _scalar(name: str, value: Any) -> Value:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise _invalid(name, "is a range {low, high, log}, a list of choices, or one finite value")


def _whole(name: str, value: Any, whole: bool) -> Any:
    """JSON numbers of the wire are all fractions."""
    return int(value) if whole and isinstance(value, float) and value.is_integer() else value


def _same(a: Value, b: Value) -> bool:
    return isinstance(a, bool) is isinstance(b, bool) and a == b


def _parameter_json(parameter: Parameter) -> Any:
    return [*parameter.options] if isinstance(parameter, Choice) else dataclasses.asdict(parameter)


def _invalid(name: str, what: str, hint: str = "") -> InvalidArgument:
    return InvalidArgument("SPACE_INVALID", f"{name[:80]}: {what}", field=f"space.{name[:80]}", hint=hint)
