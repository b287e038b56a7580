"""A line with an interval around it, as SVG."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT = 640, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 40
_TICKS = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """Where it lies, and the ends of its interval. `x` must be above 0: that axis is logarithmic."""

    x: float
    y: float
    low: float
    high: float
    faint: bool = False


def line_chart(points: Sequence[Point], x_label: str, y_label: str, *, marked: float | None = None) -> str:
    """The points by rising x; faint ones are drawn beside the line. `marked` gets a vertical line.

    There must be a point at least.
    """
    ordered = sorted(points, key=lambda point: point.x)
    x_low, x_high = _span(math.log10(ordered[0].x), math.log10(ordered[-1].x))
    y_low, y_high = _span(min(p.low for p in ordered), max(p.high for p in ordered))

    def across(x: float) -> float:
        return _LEFT + (math.log10(x) - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT)

    def down(y: float) -> float:
        return _TOP + (y_high - y) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM)

    firm = [point for point in ordered if not point.faint]
    parts = [_axes(x_low, x_high, y_low, y_high, x_label, y_label)]
    if marked is not None:
        x = across(marked)
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
    if len(firm) > 1:
        above = [f"{across(p.x):.1f},{down(p.high):.1f}" for p in firm]
        below = [f"{across(p.x):.1f},{down(p.low):.1f}" for p in reversed(firm)]
        parts.append(f'<polygon class="interval" points="{" ".join(above + below)}"/>')
        line = " ".join(f"{across(p.x):.1f},{down(p.y):.1f}" for p in firm)
        parts.append(f'<polyline class="curve" points="{line}"/>')
    for point in ordered:
        kind = "faint" if point.faint else "dot"
        said = f"{x_label} {point.x:.4g}: {point.y:.4f}"
        parts.append(
            f'<circle class="{kind}" cx="{across(point.x):.1f}" cy="{down(point.y):.1f}" r="3.5">'
            f"<title>{escape(said)}</title></circle>"
        )
    return f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(parts)}</svg>'


CHART_STYLE = """\
.chart { width: 100%; max-width: 720px; font: 12px sans-serif; }
.chart .grid { stroke: #8884; } .chart text { fill: currentColor; }
.chart .interval { fill: #2a7de133; } .chart .curve { fill: none; stroke: #2a7de1; stroke-width: 2; }
.chart .dot { fill: #2a7de1; } .chart .faint { fill: #8889; }
.chart .mark { stroke: #d9622b; stroke-dasharray: 4 3; }
"""


def _axes(x_low: float, x_high: float, y_low: float, y_high: float, x_label: str, y_label: str) -> str:
    parts = []
    for step in range(_TICKS + 1):
        share = step / _TICKS
        y = _TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM)
        x = _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
        value, power = y_low + share * (y_high - y_low), x_low + share * (x_high - x_low)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{10**power:.3g}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>')
    parts.append(f'<text x="{_LEFT}" y="{_TOP - 1}">{escape(y_label)}</text>')
    return "".join(parts)


def _span(low: float, high: float) -> tuple[float, float]:
    """The same with some room, and never empty."""
    room = 0.05 * (high - low) or max(0.05 * abs(high), 0.05)
    return low - room, high + room
