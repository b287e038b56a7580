"""What a server is watched with: a meter and a tracer, or nothing, as the settings say."""

from __future__ import annotations

import contextlib
import importlib.util

from penult_server.core.errors import FailedPrecondition
from penult_server.core.metrics import NO_METER, Meter
from penult_server.core.tracing import Tracer
from penult_server.transport.prometheus import PrometheusMeter


class Watching:
    """Ends with `close`."""

    meter: Meter = NO_METER
    tracer: Tracer | None = None

    def __init__(self, metrics_address: str | None, tracing_endpoint: str | None) -> None:
        """Serves metrics at HOST:PORT and sends traces to the endpoint, each only where given.

        Raises FailedPrecondition where one of them cannot be had.
        """
        self._closing = contextlib.ExitStack()
        if tracing_endpoint is not None:
            if importlib.util.find_spec("opentelemetry.sdk") is None:
                raise FailedPrecondition(
                    "TRACING_NOT_INSTALLED",
                    "the libraries that tracing_endpoint needs are not installed",
                    hint="pip install 'penult[server,tracing]'",
                )
            from penult_server.transport.opentelemetry import OpenTelemetryTracer  # no cost when off

            tracer = OpenTelemetryTracer.to(tracing_endpoint)
            self._closing.callback(tracer.close)
            self.tracer = tracer
        if metrics_address is not None:
            meter = PrometheusMeter()
            self._closing.callback(meter.serve(metrics_address))
            self.meter = meter

    def close(self) -> None:
        """Sends what is left, and frees the port."""
        self._closing.close()
