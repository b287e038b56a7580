"""What a run of the benchmark found, and the goals that it is held against."""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any

from benchmarks.process import Timing

STREAM = "ExtractStream"
CALLERS = (1, 8, 32)
MAX_OVERHEAD_MS = 3.0


def unary(callers: int, together: bool = True) -> str:
    """Name of the measurement with this many concurrent callers, whose calls share messages or do not."""
    name = f"Extract, {callers} callers" if callers > 1 else "Extract, 1 caller"
    return name if together else f"{name}, a message each"


# Least ratio to the faster bare loop.
GOALS = {STREAM: 0.95, unary(32): 0.9, unary(32, together=False): 0.9}


@dataclasses.dataclass(frozen=True, slots=True)
class Latency:
    """Seconds of single calls: one list a round, local and served measured next to each other."""

    local: list[list[float]]
    served: list[list[float]]

    @property
    def overhead_ms(self) -> float:
        """Median over the rounds of what the median call costs beyond the median local one."""
        pairs = zip(self.local, self.served, strict=True)
        return 1000 * statistics.median(statistics.median(s) - statistics.median(x) for x, s in pairs)


def percentile_ms(rounds: list[list[float]], share: float) -> float:
    """Nearest-rank percentile of all rounds together, in milliseconds."""
    values = sorted(value for one in rounds for value in one)
    return 1000 * values[min(len(values) - 1, int(share * len(values)))]


@dataclasses.dataclass(frozen=True, slots=True)
class Results:
    """Everything measured. `timings` holds one timing a round under each name, in the same order.

    `bare` names those of the bare loops, whichever provider. `worst_cosine` compares the features of
    the server with those of the faster bare loop's provider, picture by picture.
    """

    timings: dict[str, list[Timing]]
    bare: list[str]
    latency: Latency
    decode_ms: float
    client_cpu_ms: float
    worst_cosine: float
    facts: dict[str, Any]

    @property
    def best_bare(self) -> str:
        """Name of the faster bare loop."""
        return max(self.bare, key=self.rate)

    def rate(self, name: str) -> float:
        """Images a second: the median round."""
        return statistics.median(timing.rate for timing in self.timings[name])

    def cpu_ms(self, name: str) -> float:
        """Processor milliseconds an image: the median round."""
        return statistics.median(timing.cpu_ms for timing in self.timings[name])

    def ratio(self, name: str) -> float:
        """Rate beside that of the best bare loop in the same round: the median round."""
        pairs = zip(self.timings[name], self.timings[self.best_bare], strict=True)
        return statistics.median(timing.rate / bare.rate for timing, bare in pairs)

    def met(self, name: str) -> bool | None:
        """Whether the goal is met; None where there is none."""
        return self.ratio(name) >= GOALS[name] if name in GOALS else None

    def as_json(self) -> dict[str, Any]:
        """For machines: medians, ratios, goals and every round."""
        latency = self.latency
        return {
            **self.facts,
            "best_bare": self.best_bare,
            "worst_cosine": self.worst_cosine,
            "throughput": {
                name: {
                    "images_per_second": self.rate(name),
                    "cpu_ms_per_image": self.cpu_ms(name),
                    "ratio_to_best_bare": self.ratio(name),
                    "goal": GOALS.get(name),
                    "met": self.met(name),
                    "rounds": [timing.rate for timing in timings],
                }
                for name, timings in self.timings.items()
            },
            "latency_ms": {
                "local_p50": percentile_ms(latency.local, 0.5),
                "local_p95": percentile_ms(latency.local, 0.95),
                "served_p50": percentile_ms(latency.served, 0.5),
                "served_p95": percentile_ms(latency.served, 0.95),
                "overhead_p50": latency.overhead_ms,
                "goal": MAX_OVERHEAD_MS,
                "met": latency.overhead_ms <= MAX_OVERHEAD_MS,
            },
            "cpu_ms_per_image": {"decode": self.decode_ms, "client": self.client_cpu_ms},
        }
