"""Results for people: one table on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks.results import GOALS, MAX_OVERHEAD_MS, Results, percentile_ms


def show(results: Results, console: Console) -> None:
    """Prints throughput, latency, and where the time of an image goes."""
    facts = results.facts
    console.print(
        f"\n{facts['backbone']} on {facts['machine']}, {facts['pictures']} pictures of "
        f"{facts['picture_kb']} KB, {facts['rounds']} rounds; the server chose {facts['provider']}"
    )
    console.print(_throughput(results))
    console.print(_latency(results))
    console.print(
        f"Processor time an image: decode and resize {results.decode_ms:.2f} ms, "
        f"bare loop {results.cpu_ms(results.best_bare):.2f} ms in all, SDK {results.client_cpu_ms:.2f} ms. "
        f"Features of server and bare loop: worst cosine {results.worst_cosine:.6f}."
    )


def _throughput(results: Results) -> Table:
    table = Table(title="Throughput: JPEG files in, features out", title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("images/s", "CPU ms/image", "to best bare", "goal", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in results.timings:
        best = name == results.best_bare
        table.add_row(
            name,
            f"{results.rate(name):.1f}",
            f"{results.cpu_ms(name):.2f}",
            "1" if best else f"{results.ratio(name):.2f}",
            f">= {GOALS[name]}" if name in GOALS else "",
            _verdict(results.met(name)),
            style="bold" if best else None,
        )
    return table


def _latency(results: Results) -> Table:
    latency = results.latency
    table = Table("One 224-pixel JPEG at a time", title="Latency", title_justify="left")
    for heading in ("p50 ms", "p95 ms", "goal", ""):
        table.add_column(heading, justify="right")
    for name, rounds in (("local call", latency.local), ("Extract", latency.served)):
        table.add_row(name, f"{percentile_ms(rounds, 0.5):.2f}", f"{percentile_ms(rounds, 0.95):.2f}", "", "")
    overhead = latency.overhead_ms
    table.add_row(
        "overhead", f"{overhead:.2f}", "", f"<= {MAX_OVERHEAD_MS:g}", _verdict(overhead <= MAX_OVERHEAD_MS)
    )
    return table


def _verdict(met: bool | None) -> str:
    return {None: "", True: "[green]met", False: "[red]missed"}[met]
