"""Every rpc has its line in the table of scopes, and the table names no other."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from google.protobuf.descriptor import MethodDescriptor

import penult.v1
from penult_server.core.access import Scope
from penult_server.transport.scopes import OPEN_SERVICE, SCOPES, scope_of

REFLECTION = "grpc.reflection.v1alpha.ServerReflection"


def methods() -> Iterator[MethodDescriptor]:
    """Every rpc of all protos."""
    for module in pkgutil.iter_modules(penult.v1.__path__):
        if module.name.endswith("_pb2"):
            file = importlib.import_module(f"penult.v1.{module.name}").DESCRIPTOR
            for service in file.services_by_name.values():
                yield from service.methods


def test_every_rpc_has_a_scope_in_transport_scopes_py() -> None:
    table = {(service, name) for service, names in SCOPES.items() for name in names if service != REFLECTION}
    rpcs = {(method.containing_service.full_name, method.name) for method in methods()}
    assert table == rpcs, "give each rpc a line in service/penult_server/transport/scopes.py"


def test_what_the_table_lacks_is_for_admins_only() -> None:
    assert scope_of("/penult.v1.NoService/Anything") is Scope.ADMIN
    assert scope_of("garbage") is Scope.ADMIN
    assert OPEN_SERVICE not in SCOPES
