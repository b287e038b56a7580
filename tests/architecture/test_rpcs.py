"""Every rpc is written: none is left to the generated base of its service."""

from __future__ import annotations

import importlib
import pkgutil

import penult_server.transport
from tests.architecture.test_scopes import methods


def test_every_rpc_has_a_handler_of_its_own() -> None:
    for module in pkgutil.iter_modules(penult_server.transport.__path__):
        importlib.import_module(f"penult_server.transport.{module.name}")
    for method in methods():
        service = method.containing_service
        generated = importlib.import_module(
            service.file.name.replace("/", ".").replace(".proto", "_pb2_grpc")
        )
        base = getattr(generated, f"{service.name}Servicer")
        # Other tests have servicers of their own.
        (handlers,) = (made for made in base.__subclasses__() if made.__module__.startswith("penult_server."))
        assert method.name in vars(handlers), f"{handlers.__name__}.{method.name}"
