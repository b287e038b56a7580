"""Who gets in, and with how much."""

from __future__ import annotations

import dataclasses

from penult_server.core.access import AccessControl
from penult_server.core.call_limits import Bounds, CallLimits
from penult_server.settings import Settings
from penult_server.store.api_keys import DatabaseKeys
from penult_server.store.database import Database
from penult_server.transport.front_door import open_front_door
from penult_server.transport.tls import Certificates


@dataclasses.dataclass(frozen=True, slots=True)
class Gate:
    """What the server listens with; without certificates in plain text."""

    access: AccessControl
    limits: CallLimits
    certificates: Certificates | None


async def gate(settings: Settings, database: Database) -> Gate:
    """Raises FailedPrecondition where it would stand open by mistake, or the certificates cannot be used."""
    access = AccessControl(DatabaseKeys(database))
    certificates = await open_front_door(
        settings.listen,
        access,
        cert=settings.tls_cert,
        key=settings.tls_key,
        client_ca=settings.tls_client_ca,
        allow_insecure=settings.allow_insecure,
    )
    bounds = Bounds(
        calls=settings.max_calls,
        calls_per_key=settings.max_calls_per_key,
        bytes=settings.max_inflight_mb << 20,
        bytes_per_key=settings.max_inflight_mb_per_key << 20,
        stream_messages=settings.max_stream_messages,
    )
    return Gate(access, CallLimits(bounds), certificates)
