"""What the server listens with: certificates, or a reason why it does not listen like this at all."""

from __future__ import annotations

from pathlib import Path

import structlog

from penult_server.core.access import AccessControl, exposure
from penult_server.core.errors import FailedPrecondition
from penult_server.transport.tls import Certificates

log = structlog.get_logger()


async def open_front_door(
    address: str,
    access: AccessControl,
    *,
    cert: Path | None,
    key: Path | None,
    client_ca: Path | None,
    allow_insecure: bool,
) -> Certificates | None:
    """Certificates where there are some.

    Raises:
        FailedPrecondition: they cannot be used, or everybody on the network could call without
            `allow_insecure`; with it, a warning is logged.
    """
    await access.refresh()
    certificates = None if cert is None or key is None else Certificates(cert, key, client_ca)
    closed = access.closed or client_ca is not None
    if missing := exposure(address, encrypted=certificates is not None, closed=closed):
        if not allow_insecure:
            raise FailedPrecondition(
                "INSECURE",
                missing,
                hint="set tls_cert and tls_key and make a key with `penult-server keys create`; "
                "on a network that you trust, --allow-insecure",
            )
        log.warning("insecure", why=missing, hint="do this only on a network that you trust")
    return certificates
