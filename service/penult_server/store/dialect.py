"""What differs between the databases that Penult keeps its rows in."""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError

from penult_server.core.errors import PenultError


class Dialect(Protocol):
    """One of them, at one address."""

    engine: Engine
    reading: dict[str, Any]
    """Execution options of a transaction that reads: it sees one state of everything."""
    writing: dict[str, Any]
    """Execution options of a transaction that writes."""

    def lock(self, connection: Connection) -> None:
        """The first thing in a transaction that writes: waits until no other one does, of any process."""
        ...

    def migrated(self, connection: Connection) -> None:
        """Finishes what migrations have made."""
        ...

    def refusal(self, error: DatabaseError) -> PenultError | None:
        """What an error of the database means to a caller; None for a fault of the program."""
        ...

    def close(self) -> None:
        """Closes every connection; none may be in use."""
        ...
