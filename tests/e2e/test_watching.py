"""Metrics over HTTP, and traces sent by OTLP, of a real server."""

from __future__ import annotations

import concurrent.futures
import re
import urllib.error
import urllib.request
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

import penult
from tests.conftest import ROOT
from tests.e2e.conftest import RunningServer, ServerFactory
from tests.otlp import Collector

OPERATIONS = ROOT / "docs" / "operations.md"


def scraped(server: RunningServer) -> dict[tuple[str, tuple[str, ...]], float]:
    """Values by name of the sample and values of its labels, in the order of their names."""
    address = server.event("metrics")["address"]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Takes traces on a free port."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    yield Collector(server)
    server.stop(None)


def test_metrics_and_traces_follow_images_from_call_through_batch(
    start_server: ServerFactory, collector: Collector, sample_jpegs: list[bytes]
) -> None:
    flags = ("--metrics-listen", "127.0.0.1:0", "--tracing-endpoint", collector.endpoint)
    with start_server(*flags) as server, penult.Client(server.target) as client:
        before = scraped(server)
        client.extract(sample_jpegs[:1])
        client.extract([*sample_jpegs, b"no image"], on_error="return")
        with pytest.raises(penult.NotFound):
            client.backbones.get("no-such-backbone")
        index = client.indexes.create("watched", dim=4)
        index.add_vectors(np.eye(4, dtype=np.float32), ids=list("abcd"))
        index.search(vector=np.ones((3, 4), np.float32))
        after = scraped(server)

        def grown(name: str, *labels: str) -> float:
            return after.get((name, labels), 0) - before.get((name, labels), 0)

        assert grown("penult_images_total", "ok") == 9
        assert grown("penult_images_total", "failed") == 1
        calls = {key[1]: after[key] for key in after if key[0] == "penult_calls_total"}
        assert calls["NOT_FOUND", "/penult.v1.BackboneService/GetBackbone"] == 1
        assert (
            sum(count for (code, method), count in calls.items() if "Extract" in method and code == "OK") >= 2
        )
        assert grown("penult_decode_seconds_count") == 9
        assert grown("penult_batch_images_sum") >= 9
        assert grown("penult_inference_seconds_count") == grown("penult_queue_wait_seconds_count") >= 2
        assert after["penult_queued_images", ()] == after["penult_calls_in_flight", ()] == 0
        assert after["penult_backbone_memory_bytes", ("tf_efficientnet_lite0",)] > 1e6
        assert after["penult_jobs", ("queued",)] == 0
        assert after["penult_disk_free_bytes", ()] > 0
        assert after["penult_indexes", ("ready",)] == 1
        assert after["penult_index_items", ("flat",)] == 4
        assert after["penult_index_memory_bytes", ("flat",)] > 0
        assert after["penult_index_unsaved_items", ()] == 4
        assert 0 < after["penult_index_snapshot_age_seconds", ()] < 3600
        assert grown("penult_searches_total", "flat") == 3
        assert grown("penult_search_seconds_count", "flat") == 1
        suffixes = re.compile("_(bucket|sum|count|created|total)$")
        page = OPERATIONS.read_text(encoding="utf-8")
        documented = {suffixes.sub("", name) for name in re.findall(r"penult_[a-z_]+", page)}
        names = {suffixes.sub("", name) for name, _ in after if name.startswith("penult_")}
        assert names <= documented, "each metric has its line in docs/operations.md"
        assert after["process_resident_memory_bytes", ()] > 1e8
        address = server.event("metrics")["address"]
        assert server.terminate() == 0  # which sends the last spans
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(f"http://{address}/metrics", timeout=5)

    spans = collector.spans
    call = next(span for span in spans if span.name == "/penult.v1.FeatureService/Extract")
    below = [span for span in spans if span.parent_span_id == call.span_id]
    assert {span.name for span in below} == {"decode", "batch"}
    assert all(span.trace_id == call.trace_id for span in below)
    attributes = {item.key: item.value.string_value for item in call.attributes}
    assert attributes["penult.code"] == "OK"
    assert attributes["penult.request_id"] in {event.get("request_id") for event in server.events}
    batches = [span for span in spans if span.name == "batch"]
    images = sum(
        item.value.int_value for span in batches for item in span.attributes if item.key == "penult.images"
    )
    assert images == 9
