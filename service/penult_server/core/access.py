"""Who may do what: API keys, the scopes they carry, and the check of one call.

A key is 256 random bits, so a plain sha256 of it is kept: no dictionary holds such a key, and the slow
hashes that passwords need would only slow down every call. While no key was ever made, everybody on the
listening address may do everything; from the first key on, nobody may without one, and revoking the last
key does not open the server again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from penult_server.core.errors import InvalidArgument, PermissionDenied, Unauthenticated
from penult_server.core.names import check_name
from penult_server.core.wall_clock import wall_time

KEY_PREFIX = "penult"
REFRESH_SECONDS = 1.0
"""A key that another process made or revoked counts after this long at the latest."""
_ID_BYTES, _SECRET_BYTES = 6, 32
_NO_DIGEST = bytes(hashlib.sha256().digest_size)
_HINT = "send 'authorization: Bearer KEY'; `penult-server keys create` makes a key"


class Scope(enum.Enum):
    """What a key is for. `admin` includes the others; these do not include each other."""

    READ = "read"
    WRITE = "write"
    TRAIN = "train"
    ADMIN = "admin"


@dataclasses.dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key. Times are seconds since 1970; None where there is no end."""

    id: str
    name: str
    digest: bytes = dataclasses.field(repr=False)
    scopes: frozenset[Scope]
    created: float
    expires: float | None = None
    revoked: float | None = None

    def allows(self, scope: Scope) -> bool:
        """Whether it may do what needs `scope`, as long as it is valid."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def state(self, now: float) -> str:
        """valid, expired or revoked."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and now >= self.expires else "valid"


def make_key(
    name: str, scopes: Iterable[Scope], now: float, lifetime: float | None = None
) -> tuple[ApiKey, str]:
    """A new key and its text, which nobody can get from it again. `lifetime` in seconds.

    Raises InvalidArgument for a name that is none, no scope, or a lifetime that is over at once.
    """
    check_name(name, "name")
    if not (wanted := frozenset(scopes)):
        raise InvalidArgument("NO_SCOPE", "a key needs at least one scope", field="scopes")
    if lifetime is not None and lifetime <= 0:
        raise InvalidArgument("BAD_LIFETIME", "a key must live longer than 0 seconds", field="expires")
    key_id = secrets.token_hex(_ID_BYTES)
    text = f"{KEY_PREFIX}_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    expires = None if lifetime is None else now + lifetime
    return ApiKey(key_id, name, _digest(text), wanted, now, expires), text


class KeyStore(Protocol):
    """Keeps keys. Blocking."""

    def all(self) -> Sequence[ApiKey]:
        """Every key that was ever made, oldest first."""
        ...

    def add(self, key: ApiKey) -> None:
        """Keeps a new one. Raises AlreadyExists where a valid key has its name."""
        ...

    def revoke(self, key_id: str, now: float) -> ApiKey:
        """Ends one for good; again does nothing. Raises NotFound."""
        ...


class AccessControl:
    """Checks calls against the keys in the store, which other processes may change. On one event loop."""

    def __init__(
        self,
        store: KeyStore,
        *,
        wall: Callable[[], float] = wall_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wall` is held against expiry, and must not run backwards; `clock` only measures time."""
        self._store = store
        self._wall = wall
        self._clock = clock
        self._keys: Mapping[str, ApiKey] = {}
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    @property
    def closed(self) -> bool:
        """Whether calls need a key, as of the last look into the store."""
        return bool(self._keys)

    async def refresh(self) -> None:
        """Reads the store unless that was done within REFRESH_SECONDS."""
        if self._fresh():
            return
        async with self._reading:
            if not self._fresh():
                now = self._clock()
                self._keys = {key.id: key for key in await asyncio.to_thread(self._store.all)}
                self._read_at = now

    async def authorize(self, text: str | None, scope: Scope) -> ApiKey | None:
        """The key of a call that needs `scope`; None where the server is open.

        Raises:
            Unauthenticated: no key, or none that is valid.
            PermissionDenied: the key lacks the scope.
        """
        await self.refresh()
        if not self._keys:
            return None
        if not text:
            raise Unauthenticated("API_KEY_MISSING", "this server needs an API key", hint=_HINT)
        key = self._find(text)
        self._check_valid(key)
        if not key.allows(scope):
            raise PermissionDenied(
                "SCOPE_MISSING",
                f"the API key {key.name!r} lacks the scope {scope.value!r}",
                hint="use a key that has it",
                scope=scope.value,
            )
        return key

    async def check_again(self, key: ApiKey | None) -> None:
        """For calls that last. Raises Unauthenticated once the key has been revoked or has expired."""
        if key is not None:
            await self.refresh()
            self._check_valid(self._keys.get(key.id, key))

    def _find(self, text: str) -> ApiKey:
        prefix, _, rest = text.partition("_")
        key = self._keys.get(rest.partition("_")[0]) if prefix == KEY_PREFIX else None
        # The id is no secret. The rest is compared in a time that does not tell how much of it is right,
        # and compared also where there is no such key.
        same = hmac.compare_digest(_digest(text), _NO_DIGEST if key is None else key.digest)
        if key is None or not same:
            raise Unauthenticated("API_KEY_UNKNOWN", "this server does not know the API key", hint=_HINT)
        return key

    def _check_valid(self, key: ApiKey) -> None:
        if (state := key.state(self._wall())) != "valid":
            raise Unauthenticated(
                f"API_KEY_{state.upper()}", f"the API key {key.name!r} is {state}", hint=_HINT
            )

    def _fresh(self) -> bool:
        return self._read_at is not None and self._clock() - self._read_at < REFRESH_SECONDS


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach HOST:PORT."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def exposure(address: str, *, encrypted: bool, closed: bool) -> str:
    """What is missing for listening on HOST:PORT, "" where nothing is.

    `encrypted`: by TLS. `closed`: callers must show an API key or a certificate.
    """
    if is_loopback(address) or (encrypted and closed):
        return ""
    missing = [*([] if encrypted else ["TLS"]), *([] if closed else ["API keys or client certificates"])]
    return f"other machines can reach {address}, and there are no {' and no '.join(missing)}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
