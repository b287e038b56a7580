"""Traces for OpenTelemetry (extra `tracing`): the only place that knows its libraries, imported when on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from opentelemetry import trace as otel
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_NANOSECONDS = 1_000_000_000


class OpenTelemetryTracer:
    """Implements core.tracing.Tracer: a server span for a call, a span below it for each step."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Sends in batches, from a thread of its own."""
        self._provider = TracerProvider(resource=Resource.create({"service.name": "penult-server"}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("penult_server")
        self._propagator = TraceContextTextMapPropagator()

    @classmethod
    def to(cls, endpoint: str) -> OpenTelemetryTracer:
        """Sends by OTLP over gRPC to `http://HOST:PORT`, or encrypted to `https://HOST:PORT`."""
        return cls(OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https://")))

    def begin(self, name: str, headers: Mapping[str, str]) -> Any:
        """See core.tracing.Tracer."""
        parent = self._propagator.extract(headers)
        return self._tracer.start_span(name, context=parent, kind=otel.SpanKind.SERVER)

    def end(self, trace: Any, **attributes: str) -> None:
        """See core.tracing.Tracer."""
        trace.set_attributes({f"penult.{name}": value for name, value in attributes.items()})
        trace.end()

    def record(self, trace: Any, step: str, seconds: float, **attributes: int | float | str) -> None:
        """See core.tracing.Tracer."""
        now = time.time_ns()
        span = self._tracer.start_span(
            step,
            context=otel.set_span_in_context(trace),
            start_time=now - int(seconds * _NANOSECONDS),
            attributes={f"penult.{name}": value for name, value in attributes.items()},
        )
        span.end(now)

    def close(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()
