"""Writes that were acknowledged, so that a repeat of a request_id gets the same answer and writes nothing.

A record is made in the transaction of its write: both last, or neither.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from penult_server.core.errors import InvalidArgument
from penult_server.core.wall_clock import wall_ms
from penult_server.store.database import metadata

MAX_ID_BYTES = 128
KEPT_SECONDS = 7 * 24 * 3600

acknowledged = sa.Table(
    "acknowledged",
    metadata,
    sa.Column("request_id", sa.String, primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True),
    sa.Column("write", sa.String, nullable=False),
    sa.Column("answer_json", sa.String, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Index("acknowledged_by_time", "at_ms"),
    sqlite_with_rowid=False,
)


def recall(connection: sa.Connection, request_id: str, write: str, position: int = 0) -> Any:
    """The answer given before, None for a new request.

    `write` says what is written to what, such as "CreateDataset flowers"; `position` tells the messages
    of one stream apart. Raises InvalidArgument where the request_id was used for another write.
    """
    if not request_id:
        return None
    query = _of(request_id).where(acknowledged.c.position == position)
    row = connection.execute(query).first()
    return None if row is None else _answer(row, request_id, write)


def recall_all(connection: sa.Connection, request_id: str, write: str) -> dict[int, Any]:
    """The answers given to the messages of one stream, by position. Raises as `recall` does."""
    rows = connection.execute(_of(request_id)).all()
    return {row.position: _answer(row, request_id, write) for row in rows}


def remember(connection: sa.Connection, request_id: str, write: str, answer: Any, position: int = 0) -> None:
    """Keeps the answer of a new request; does nothing without a request_id."""
    if request_id:
        connection.execute(
            acknowledged.insert().values(
                request_id=request_id,
                position=position,
                write=write,
                answer_json=json.dumps(answer),
                at_ms=wall_ms(),
            )
        )


def forget_old(connection: sa.Connection) -> None:
    """Drops records that no client will ask for any more."""
    connection.execute(acknowledged.delete().where(acknowledged.c.at_ms < wall_ms() - KEPT_SECONDS * 1000))


def _of(request_id: str) -> sa.Select[tuple[int, str, str]]:
    if len(request_id.encode()) > MAX_ID_BYTES or "\0" in request_id:
        raise InvalidArgument(
            "BAD_REQUEST_ID", f"a request_id has at most {MAX_ID_BYTES} bytes and no NUL", field="request_id"
        )
    columns = acknowledged.c.position, acknowledged.c.write, acknowledged.c.answer_json
    return sa.select(*columns).where(acknowledged.c.request_id == request_id)


def _answer(row: sa.Row[tuple[int, str, str]], request_id: str, write: str) -> Any:
    if row.write != write:
        raise InvalidArgument(
            "REQUEST_ID_REUSED",
            f"request_id {request_id!r} was used for another write",
            field="request_id",
            hint="give each write a request_id of its own, such as a UUID",
        )
    return json.loads(row.answer_json)
