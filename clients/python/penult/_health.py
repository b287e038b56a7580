"""Messages of the standard health service."""

from __future__ import annotations

from typing import Any

from grpc_health.v1 import health_pb2

from penult.types import Health

HEALTH_TIMEOUT = 10.0  # a healthy server answers at once


def health_request() -> Any:
    """Asks for the server as a whole."""
    return health_pb2.HealthCheckRequest(service="")


def health(response: Any) -> Health:
    """The answer without its message."""
    serving = response.status == health_pb2.HealthCheckResponse.SERVING
    return Health(serving, health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))
