"""Certificates of the server, read again whenever their files change."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import grpc
import structlog

from penult_server.core.errors import FailedPrecondition

log = structlog.get_logger()
_Stamp = tuple[tuple[int, int, int], ...]


class Certificates:
    """A certificate with its key, and the authorities whose clients are let in, from PEM files.

    gRPC asks before each handshake. New files that do not belong together, because only one of them has
    been written so far, are left alone until they do: the old ones serve on.
    """

    def __init__(self, cert: Path, key: Path, client_ca: Path | None = None) -> None:
        """With `client_ca`, clients must show a certificate of those authorities.

        Raises FailedPrecondition TLS_INVALID where the files cannot be used.
        """
        self._cert, self._key, self._client_ca = cert, key, client_ca
        try:
            self._seen = self._look()
            self._first = self._read()
        except OSError as error:  # of which SSLError is one
            raise FailedPrecondition(
                "TLS_INVALID",
                f"certificate, key or authorities cannot be used ({_told(error)})",
                hint="tls_cert, tls_key and tls_client_ca name PEM files, key and certificate of one pair",
            ) from error

    def credentials(self) -> grpc.ServerCredentials:
        """For a port."""
        return grpc.dynamic_ssl_server_credentials(
            self._first, self._fetch, require_client_authentication=self._client_ca is not None
        )

    def _fetch(self) -> Any:
        """The new configuration, None where nothing has changed. Called by a thread of gRPC."""
        try:
            stamp = self._look()
            if stamp == self._seen:
                return None
            self._seen = stamp
            configuration = self._read()
        except OSError as error:  # of which SSLError is one
            log.warning("certificates_unusable", why=_told(error), hint="the earlier ones are still used")
            return None
        log.info("certificates_changed")
        return configuration

    def _look(self) -> _Stamp:
        files = filter(None, (self._cert, self._key, self._client_ca))
        return tuple((s.st_ctime_ns, s.st_size, s.st_ino) for s in (file.stat() for file in files))

    def _read(self) -> Any:
        # OpenSSL says whether the files are well-formed and fit together; gRPC would only fail handshakes.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._cert, self._key, password=b"")  # else it asks on a terminal
        if self._client_ca is not None:
            context.load_verify_locations(self._client_ca)
        authorities = None if self._client_ca is None else self._client_ca.read_bytes()
        pair = (self._key.read_bytes(), self._cert.read_bytes())
        return grpc.ssl_server_certificate_configuration([pair], authorities)


def _told(error: OSError) -> str:
    """Without the path that an OSError brings."""
    return (
        error.reason if isinstance(error, ssl.SSLError) and error.reason else error.strerror or "unreadable"
    )
