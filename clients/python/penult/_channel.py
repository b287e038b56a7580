"""How this client reaches a server: options, credentials and the retry policy of its one channel."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import grpc

from penult._version import __version__
from penult.errors import InvalidArgument
from penult.v1 import backbone_pb2, dataset_pb2, feature_pb2, index_pb2, job_pb2, model_pb2

MAX_MESSAGE_BYTES = 64 << 20
"""Limit of one message in each direction, the same as the server's."""

API_KEY_VARIABLE = "PENULT_API_KEY"

# Calls that gRPC does not retry: `_duplex.py` says why, and retries where that can be done.
_STREAMED = [
    {"service": service.full_name, "method": method.name}
    for file in (backbone_pb2, dataset_pb2, feature_pb2, index_pb2, job_pb2, model_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if method.server_streaming
]
# One policy for all other methods: reads are idempotent, and writes carry a request_id.
_SERVICE_CONFIG = {
    "methodConfig": [
        {"name": _STREAMED},
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        },
    ]
}

_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.primary_user_agent", f"penult-python/{__version__}"),
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # So that a retry connects anew: gRPC's own pause after a refused connection is longer than ours.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]


@dataclasses.dataclass(frozen=True)
class Tls:
    """Certificates in PEM, each a path or the bytes themselves.

    Attributes:
        ca: authorities to trust; None trusts those of the system.
        cert: this client's certificate chain, for servers that ask for one; needs `key`.
        key: the private key of `cert`.
    """

    ca: str | Path | bytes | None = None
    cert: str | Path | bytes | None = None
    key: str | Path | bytes | None = dataclasses.field(default=None, repr=False)

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files. Raises InvalidArgument where one cannot be read or half of a pair is missing."""
        if (self.cert is None) != (self.key is None):
            raise InvalidArgument("a client certificate needs both cert and key", reason="TLS_INVALID")
        return grpc.ssl_channel_credentials(_pem(self.ca), _pem(self.key), _pem(self.cert))


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A server and how to talk to it. `timeout` is in seconds, for each call without one of its own."""

    target: str
    api_key: str | None = dataclasses.field(default=None, repr=False)
    tls: Tls | bool | None = None
    timeout: float = 120.0

    def __post_init__(self) -> None:
        if not self.target:
            raise InvalidArgument("target is empty", reason="TARGET_INVALID", hint='give "host:port"')
        if self.timeout <= 0:
            raise InvalidArgument("timeout must be above 0 seconds", reason="TIMEOUT_INVALID")
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable()):
            raise InvalidArgument("api_key may hold only printable ASCII", reason="API_KEY_INVALID")

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Sent with each call."""
        key = self.api_key or os.environ.get(API_KEY_VARIABLE)
        return (("authorization", f"Bearer {key}"),) if key else ()

    def open(self) -> grpc.Channel:
        """A channel that connects at its first call."""
        credentials = self._credentials()
        if credentials is None:
            return grpc.insecure_channel(self.target, _OPTIONS)
        return grpc.secure_channel(self.target, credentials, _OPTIONS)

    def open_async(self) -> grpc.aio.Channel:
        """The same for asyncio; belongs to the running event loop."""
        credentials = self._credentials()
        if credentials is None:
            return grpc.aio.insecure_channel(self.target, _OPTIONS)
        return grpc.aio.secure_channel(self.target, credentials, _OPTIONS)

    def without_secret(self) -> Endpoint:
        """A copy that may be written to disk: the API key then comes from the environment.

        Raises InvalidArgument where the private key was given as bytes, which nothing could replace.
        """
        if isinstance(self.tls, Tls) and isinstance(self.tls.key, bytes):
            raise InvalidArgument(
                "a client that holds a private key cannot be pickled",
                reason="TLS_INVALID",
                hint="give Tls(key=...) as a path",
            )
        return dataclasses.replace(self, api_key=None)

    def _credentials(self) -> grpc.ChannelCredentials | None:
        if not self.tls:
            return None
        return (Tls() if self.tls is True else self.tls).credentials()


def _pem(source: str | Path | bytes | None) -> bytes | None:
    if source is None or isinstance(source, bytes):
        return source
    try:
        return Path(source).expanduser().read_bytes()
    except OSError as error:
        raise InvalidArgument(
            f"cannot read {str(source)!r}: {error.strerror}", reason="TLS_INVALID", hint="give a PEM file"
        ) from error
