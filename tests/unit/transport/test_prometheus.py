from __future__ import annotations

import urllib.request

import pytest
import structlog

from penult_server.core.errors import FailedPrecondition
from penult_server.core.metrics import NO_METER
from penult_server.transport.prometheus import PrometheusMeter


def scrape(meter: PrometheusMeter) -> tuple[str, str]:
    """The page, and where it was."""
    with structlog.testing.capture_logs() as logs:
        close = meter.serve("127.0.0.1:0")
    address = next(line["address"] for line in logs if line["event"] == "metrics")
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        page: str = answer.read().decode()
    close()
    return page, address


def test_instruments_and_gauges_are_on_the_page_and_a_broken_gauge_hides_nothing() -> None:
    meter = PrometheusMeter()
    meter.counter("penult_a_total", "Some.", ["kind"]).add(2, "x")
    meter.counter("penult_b_total", "Some.").add()
    meter.histogram("penult_c_seconds", "Some.", (1, 2)).observe(1.5)
    meter.gauge("penult_d_bytes", "Some.", lambda: 7)
    meter.gauge("penult_e_bytes", "Some.", lambda: {"p": 1, "q": 2}, "part")
    meter.total("penult_g_total", "Some.", lambda: {"hit": 3}, "outcome")
    meter.gauge("penult_f_bytes", "Some.", lambda: 1 / 0)
    page, _ = scrape(meter)
    for line in (
        'penult_a_total{kind="x"} 2.0',
        "penult_b_total 1.0",
        'penult_c_seconds_bucket{le="1.0"} 0.0',
        'penult_c_seconds_bucket{le="2.0"} 1.0',
        "penult_d_bytes 7.0",
        'penult_e_bytes{part="q"} 2.0',
        'penult_g_total{outcome="hit"} 3.0',
        "process_resident_memory_bytes",
    ):
        assert f"\n{line}" in page
    assert "\npenult_f_bytes" not in page


def test_a_port_that_is_taken_is_told() -> None:
    with structlog.testing.capture_logs() as logs:
        close = PrometheusMeter().serve("127.0.0.1:0")
    with pytest.raises(FailedPrecondition) as caught:
        PrometheusMeter().serve(logs[0]["address"])
    assert caught.value.reason == "CANNOT_LISTEN"
    close()


def test_without_a_meter_counting_does_nothing() -> None:
    NO_METER.counter("a_total", "Some.").add(1)
    NO_METER.histogram("a_seconds", "Some.").observe(1)
    NO_METER.gauge("a", "Some.", lambda: 1 / 0)
    NO_METER.total("b_total", "Some.", lambda: 1 / 0)
