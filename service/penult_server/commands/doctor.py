"""`penult-server doctor`: looks at everything that a server needs, and says what to mend."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from penult_server.core.access import exposure
from penult_server.core.errors import PenultError
from penult_server.engine.backbones.catalog import Catalog
from penult_server.engine.loader import pick_device
from penult_server.engine.machine import cores, memory_bytes
from penult_server.settings import Settings, problems
from penult_server.store.api_keys import DatabaseKeys
from penult_server.store.data_dir import exclusive
from penult_server.store.database import FILE, Database
from penult_server.store.home import MARK, check_kind
from penult_server.store.postgresql import PostgreSql
from penult_server.store.sqlite import damage

_LEAST_DISK, _LEAST_MEMORY = 2 << 30, 2 << 30
_LEAST_DAYS = 14


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """`level`: ok, warn or fail; `mend` says what to do about what is not ok."""

    level: str
    subject: str
    text: str
    mend: str = ""


def doctor_command(arguments: list[str]) -> int:
    """Takes the flags of `serve`. Exit status 0 where a server would work, 1 where not, 2 for wrong flags."""
    try:
        settings = Settings.load(arguments)
    except (FileNotFoundError, ValidationError) as error:
        sys.stderr.writelines(f"fail  settings   {line}\n" for line in problems(error))
        return 2
    failed = False
    for finding in examine(settings):
        failed |= finding.level == "fail"
        mend = f"\n                 -> {finding.mend}" if finding.mend else ""
        sys.stdout.write(f"{finding.level:<6}{finding.subject:<11}{finding.text}{mend}\n")
        sys.stdout.flush()
    return 1 if failed else 0


def examine(settings: Settings) -> Iterator[Finding]:
    """One look after the other; none depends on another."""
    for look in (_machine, _device, _data_dir, _database, _weights, _ports, _access):
        try:
            yield from look(settings)
        except PenultError as error:
            yield Finding("fail", look.__name__.strip("_"), error.message, error.hint)


def _machine(settings: Settings) -> Iterator[Finding]:
    memory = memory_bytes(torch.device("cpu"))
    enough = memory >= _LEAST_MEMORY
    text = f"{cores()} cores, {memory / 2**30:.1f} GiB of memory, Python {sys.version.split()[0]}"
    yield Finding("ok" if enough else "warn", "machine", text, "" if enough else "give it 2 GiB or more")


def _device(settings: Settings) -> Iterator[Finding]:
    try:
        device = pick_device(settings.device)
    except ValueError as error:
        yield Finding("fail", "device", str(error), "take --device auto, or look at driver and container")
        return
    try:
        values = torch.ones(64, 64, device=device)
        works = float((values @ values).sum()) == 64**3
    except RuntimeError as error:
        yield Finding(
            "fail", "device", f"{device} fails: {error}", "look at the driver, or take --device cpu"
        )
        return
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU used"
    wrong = "restart the machine: a product of ones came out wrong"
    yield Finding("ok" if works else "fail", "device", f"{device} ({name})", "" if works else wrong)


def _data_dir(settings: Settings) -> Iterator[Finding]:
    directory = settings.data_dir
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        mend = f"give it to the user that runs the server (uid {os.getuid()})"
        yield Finding("fail", "data", f"{there} cannot be written", mend)
        return
    free = shutil.disk_usage(there).free
    enough = free >= _LEAST_DISK
    mend = "" if enough else "free some space, or move the data directory"
    yield Finding("ok" if enough else "warn", "data", f"{directory}: {free / 2**30:.1f} GiB free", mend)


def _database(settings: Settings) -> Iterator[Finding]:
    directory = settings.data_dir
    check_kind(directory, settings.database)
    if settings.database is not None:
        yield from _postgresql(settings.database)
        return
    if not (directory / FILE).exists():
        return
    try:
        with exclusive(directory):
            running = False
    except PenultError:
        running = True
    found = damage(directory / FILE)
    state = "a server runs on it" if running else "no server runs on it"
    if found:
        yield Finding("fail", "database", f"damaged: {found[0]}", "restore the latest backup")
    else:
        yield Finding("ok", "database", f"whole; {state}")


def _postgresql(url: str) -> Iterator[Finding]:
    with contextlib.closing(PostgreSql(url)) as database:
        facts = database.facts()
    mend = "" if facts["fsync"] == "on" else "with fsync off, a power cut can take what was acknowledged"
    text = f"PostgreSQL {facts['server_version']} answers, fsync {facts['fsync']}"
    yield Finding("warn" if mend else "ok", "database", text, mend)


def _weights(settings: Settings) -> Iterator[Finding]:
    catalog = Catalog(
        settings.checkpoint_dir, settings.data_dir / "backbones", allow_download=settings.allow_download
    )
    for name in dict.fromkeys((settings.default_backbone, *settings.preload)):
        built = catalog.build(name)
        yield Finding("ok", "weights", f"{built.facts.name} (sha256 {built.weights_sha256[:12]})")


def _ports(settings: Settings) -> Iterator[Finding]:
    for name, address in (("listen", settings.listen), ("metrics_listen", settings.metrics_listen)):
        if address is not None:
            host, _, port = address.rpartition(":")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host.strip("[]"), int(port)))
                    yield Finding("ok", "ports", f"{name} {address} is free")
                except OSError as error:
                    mend = f"stop what listens there, or give another --{name.replace('_', '-')}"
                    yield Finding("fail", "ports", f"{name} {address}: {error.strerror}", mend)


def _access(settings: Settings) -> Iterator[Finding]:
    keys = []
    if (settings.data_dir / (FILE if settings.database is None else MARK)).exists():
        place = settings.data_dir / FILE if settings.database is None else PostgreSql(settings.database)
        with contextlib.closing(Database(place, migrate=False)) as database:
            keys = DatabaseKeys(database).all()
    if settings.tls_cert is not None and settings.tls_key is not None:
        yield _certificate(settings.tls_cert, settings.tls_key)
    encrypted, closed = settings.tls_cert is not None, bool(keys) or settings.tls_client_ca is not None
    missing = exposure(settings.listen, encrypted=encrypted, closed=closed)
    if not missing:
        who = f"{len(keys)} API keys" if keys else "no API keys"
        yield Finding(
            "ok", "access", f"{who}, {'TLS' if encrypted else 'no TLS'}, listening on {settings.listen}"
        )
    else:
        mend = "set tls_cert and tls_key, and make a key with `penult-server keys create`"
        yield Finding("warn" if settings.allow_insecure else "fail", "access", missing, mend)


def _certificate(cert: Path, key: Path) -> Finding:
    try:
        ends = ssl.cert_time_to_seconds(_handshake(cert, key)["notAfter"])
    except ssl.SSLCertVerificationError as error:
        return Finding("fail", "tls", f"the certificate is not valid: {error.verify_message}", "renew it")
    except OSError as error:
        return Finding(
            "fail", "tls", f"certificate or key cannot be used: {error}", "give PEM files of one pair"
        )
    days = (ends - time.time()) / 86400
    mend = "" if days > _LEAST_DAYS else "renew it soon; the server re-reads it by itself"
    return Finding("warn" if mend else "ok", "tls", f"the certificate is good for {days:.0f} days", mend)


def _handshake(cert: Path, key: Path) -> dict[str, Any]:
    """The certificate as a client that trusts just it sees it, without a network."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(cert, key, password=b"")
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.check_hostname = False
    client_side.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    client_side.load_verify_locations(cert)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    client = client_side.wrap_bio(to_client, to_server)
    for side in (client, server, client):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return dict(client.getpeercert() or {})
