"""Everything in one run: measured things take turns, so that a noisy neighbour hits them all alike."""

from __future__ import annotations

import collections
import contextlib
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.bare import Arrangement, BareLoops
from benchmarks.clients import ConcurrentClient, StreamClient
from benchmarks.plain_timm import PlainTimm
from benchmarks.process import Remote, Timing
from benchmarks.results import CALLERS, STREAM, Latency, Results, unary
from benchmarks.server_process import running_server

# How many of a provider's arrangements go from the selection into the rounds.
_FINALISTS = 2
# One in so many pictures is enough for the selection, and for the plain loop, slow and only a landmark.
_SHARE = 4
_PLAIN_BATCH = 32

Contest = dict[str, Callable[[], Timing]]


def measure(
    backbone: str,
    pictures: list[bytes],
    small: bytes,
    providers: list[str],
    *,
    rounds: int,
    calls: int,
    console: Console,
) -> Results:
    """Starts the processes, picks the best bare loops, then measures everything `rounds` times in turn.

    Args:
        backbone: of all measurements.
        pictures: JPEG files.
        small: the JPEG file for latency, `calls` times a round.
        providers: names of those whose bare loops are measured.
        rounds: times that each thing is measured.
        calls: single calls a round, local and served.
        console: hears of the progress.
    """
    cores = len(os.sched_getaffinity(0))
    with contextlib.ExitStack() as stack:
        console.print("starting the server, the bare loops and the clients")
        target, pid = stack.enter_context(running_server("--default-backbone", backbone))
        loops = {
            name: stack.enter_context(Remote(BareLoops, backbone, name, pictures, cores))
            for name in providers
        }
        plain = stack.enter_context(Remote(PlainTimm, backbone, pictures[::_SHARE], cores))
        stream = stack.enter_context(Remote(StreamClient, target, pid, pictures))
        callers = stack.enter_context(Remote(ConcurrentClient, target, pid, pictures))

        console.print("looking for the best arrangement of the bare loop")
        bare: Contest = {}
        alone: Contest = {}
        for provider, remote in loops.items():
            finalists = _select(remote)
            console.print(f"  {provider}: " + "; ".join(map(str, finalists)))
            for finalist in finalists:
                bare[f"bare loop, {provider}, {finalist}"] = _bind(remote, "run", finalist)
            alone[f"model alone, {provider}"] = _bind(remote, "model_alone", finalists[0].batch)
        served: Contest = {STREAM: _bind(stream, "run")}
        served |= {
            unary(count, together): _bind(callers, "run", count, together)
            for count in CALLERS
            for together in ((True, False) if count > 1 else (True,))
        }
        contest = {"plain timm loop": _bind(plain, "run", _PLAIN_BATCH), **alone, **bare, **served}

        timings, latency = _take_turns(contest, loops, stream, small, rounds, calls, console)
        best = max(bare, key=lambda name: statistics.median(timing.rate for timing in timings[name]))
        judge = next(remote for provider, remote in loops.items() if f", {provider}, " in best)
        return Results(
            timings,
            list(bare),
            latency,
            judge.call("decode_alone").cpu_ms,
            stream.call("own_cpu_ms"),
            _worst_cosine(judge.call("features"), stream.call("features")),
            _facts(backbone, pictures, stream.call("provider", backbone), rounds, cores),
        )


def _select(remote: Remote) -> list[Arrangement]:
    """The fastest few arrangements by the better of two short passes."""
    rates: dict[Arrangement, float] = collections.defaultdict(float)
    for _ in range(2):
        for arrangement in remote.call("arrangements"):
            rates[arrangement] = max(rates[arrangement], remote.call("run", arrangement, _SHARE).rate)
    return sorted(rates, key=lambda arrangement: -rates[arrangement])[:_FINALISTS]


def _take_turns(
    contest: Contest,
    loops: dict[str, Remote],
    stream: Remote,
    small: bytes,
    rounds: int,
    calls: int,
    console: Console,
) -> tuple[dict[str, list[Timing]], Latency]:
    timings: dict[str, list[Timing]] = {name: [] for name in contest}
    local: list[list[float]] = []
    served: list[list[float]] = []
    # A local call is as quick as the quickest provider makes it.
    quickest = min(loops.values(), key=lambda remote: statistics.median(remote.call("latency", small, calls)))
    stream.call("latency", small, calls)
    for number in range(rounds):
        start = time.perf_counter()
        # Every other round backwards: nobody always follows the same neighbour.
        for name in list(contest)[:: -1 if number % 2 else 1]:
            timings[name].append(contest[name]())
        local.append(quickest.call("latency", small, calls))
        served.append(stream.call("latency", small, calls))
        console.print(f"round {number + 1} of {rounds}: {time.perf_counter() - start:.0f} s")
    return timings, Latency(local, served)


def _bind(remote: Remote, method: str, *arguments: Any) -> Callable[[], Timing]:
    return lambda: remote.call(method, *arguments)


def _worst_cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def _facts(backbone: str, pictures: list[bytes], provider: str, rounds: int, cores: int) -> dict[str, Any]:
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{cores} cores of {_processor()}",
        "python": platform.python_version(),
        "backbone": backbone,
        "provider": provider,
        "pictures": len(pictures),
        "picture_kb": round(statistics.mean(map(len, pictures)) / 1000),
        "rounds": rounds,
    }


def _processor() -> str:
    """Its name as Linux tells it, else as Python does."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
