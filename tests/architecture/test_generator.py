"""The generator's version, the stubs it wrote and the floors of the client must tell one story."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STUBS = ROOT / "clients" / "python" / "penult" / "v1"
MESSAGES = sorted(STUBS.glob("*_pb2.py"))
SERVICES = sorted(STUBS.glob("*_pb2_grpc.py"))


def version(pattern: str, path: Path) -> tuple[int, ...]:
    found = re.search(pattern, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert found, f"{path.name} does not hold {pattern}"
    return tuple(map(int, found[1].split(".")))


def floor(package: str) -> tuple[int, ...]:
    return version(rf'^    "{package}>=([\d.]+)"', ROOT / "pyproject.toml")


@pytest.mark.parametrize("stub", SERVICES, ids=lambda path: path.name)
def test_oldest_grpcio_can_load_stub(stub: Path) -> None:
    generated_by = version(r"^GRPC_GENERATED_VERSION = '([\d.]+)'", stub)
    assert generated_by == version(r"^GENERATOR := grpcio-tools==([\d.]+)$", ROOT / "Makefile")
    assert floor("grpcio") >= generated_by


@pytest.mark.parametrize("stub", MESSAGES, ids=lambda path: path.name)
def test_oldest_protobuf_can_load_stub(stub: Path) -> None:
    assert floor("protobuf") >= version(r"^# Protobuf Python Version: ([\d.]+)$", stub)


def test_every_proto_has_its_stubs_and_no_other() -> None:
    protos = {path.stem for path in (ROOT / "protos" / "penult" / "v1").glob("*.proto")}
    assert protos
    assert {path.name.removesuffix("_pb2.py") for path in MESSAGES} == protos
    assert {path.name.removesuffix("_pb2_grpc.py") for path in SERVICES} == protos
