"""Metrics for Prometheus, on a port of their own. The only place that knows prometheus_client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import prometheus_client as prometheus
import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from penult_server.core import metrics
from penult_server.core.errors import FailedPrecondition

log = structlog.get_logger()
_Family = CounterMetricFamily | GaugeMetricFamily


class PrometheusMeter:
    """Implements core.metrics.Meter with a registry of its own."""

    def __init__(self) -> None:
        """Begins with the figures of the process and of Python."""
        self._registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self._registry)
        prometheus.PlatformCollector(registry=self._registry)
        prometheus.GCCollector(registry=self._registry)

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> metrics.Counter:
        """See core.metrics.Meter."""
        return _Counter(prometheus.Counter(name, text, labels, registry=self._registry))

    def histogram(
        self, name: str, text: str, bounds: Sequence[float] = metrics.SECONDS, labels: Sequence[str] = ()
    ) -> metrics.Histogram:
        """See core.metrics.Meter."""
        return _Histogram(prometheus.Histogram(name, text, labels, buckets=bounds, registry=self._registry))

    def gauge(
        self, name: str, text: str, read: Callable[[], float | Mapping[str, float]], label: str = ""
    ) -> None:
        """See core.metrics.Meter."""
        self._registry.register(_Reading(GaugeMetricFamily, name, text, read, label))

    def total(
        self, name: str, text: str, read: Callable[[], float | Mapping[str, float]], label: str = ""
    ) -> None:
        """See core.metrics.Meter."""
        self._registry.register(_Reading(CounterMetricFamily, name, text, read, label))

    def serve(self, address: str) -> Callable[[], None]:
        """Answers `GET /metrics` at HOST:PORT from a thread; returns what ends that.

        Raises FailedPrecondition where the address cannot be bound.
        """
        host, _, port = address.rpartition(":")
        try:
            server, thread = prometheus.start_http_server(int(port), host.strip("[]"), self._registry)
        except OSError as error:
            raise FailedPrecondition(
                "CANNOT_LISTEN",
                f"the metrics cannot be served at {address} ({error.strerror})",
                hint="give --metrics-listen another port",
            ) from error
        log.info("metrics", address=f"{host}:{server.server_port}")

        def close() -> None:
            server.shutdown()
            thread.join()
            server.server_close()

        return close


class _Counter:
    def __init__(self, counter: prometheus.Counter) -> None:
        self._counter = counter

    def add(self, amount: float = 1.0, /, *labels: str) -> None:
        (self._counter.labels(*labels) if labels else self._counter).inc(amount)


class _Histogram:
    def __init__(self, histogram: prometheus.Histogram) -> None:
        self._histogram = histogram

    def observe(self, value: float, /, *labels: str) -> None:
        (self._histogram.labels(*labels) if labels else self._histogram).observe(value)


class _Reading(Collector):
    """Read at each scrape. One that cannot be read is left out, and the others are not."""

    def __init__(
        self,
        family: type[_Family],
        name: str,
        text: str,
        read: Callable[[], float | Mapping[str, float]],
        label: str,
    ) -> None:
        self._family, self._name, self._text, self._read, self._label = family, name, text, read, label

    def describe(self) -> Iterable[_Family]:
        """So that registering does not read."""
        return [self._family(self._name, self._text)]

    def collect(self) -> Iterable[_Family]:
        """See Collector."""
        family = self._family(self._name, self._text, labels=[self._label] if self._label else [])
        try:
            value = self._read()
        except Exception as error:  # whatever it is, it must not hide all other figures
            log.warning("metric_unreadable", metric=self._name, exc_info=error)
            return []
        for label, number in value.items() if isinstance(value, Mapping) else [("", value)]:
            family.add_metric([label] if self._label else [], number)
        return [family]
