"""API keys in the database: their sha256, never the keys."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from penult_server.core.access import ApiKey, Scope
from penult_server.core.errors import AlreadyExists, NotFound
from penult_server.store.database import Database, metadata

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("scopes_json", sa.String, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("expires", sa.Float),
    sa.Column("revoked", sa.Float),
    sqlite_with_rowid=False,
)
"""A revoked key keeps its row: a server that ever had a key stays closed."""


class DatabaseKeys:
    """Implements core.access.KeyStore."""

    def __init__(self, database: Database) -> None:
        """Keys of this database."""
        self._database = database

    def all(self) -> list[ApiKey]:
        """See core.access.KeyStore."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(api_keys).order_by(api_keys.c.created, api_keys.c.id))
            return [_from_row(row) for row in rows]

    def add(self, key: ApiKey) -> None:
        """See core.access.KeyStore."""
        same_name = sa.select(api_keys).where(api_keys.c.name == key.name)
        with self._database.write() as connection:
            others = map(_from_row, connection.execute(same_name))
            if any(other.state(key.created) == "valid" for other in others):
                raise AlreadyExists(
                    "KEY_EXISTS",
                    f"there is a key {key.name!r}",
                    hint="choose another name, or revoke that one",
                )
            connection.execute(
                api_keys.insert().values(
                    id=key.id,
                    name=key.name,
                    digest=key.digest,
                    scopes_json=json.dumps(sorted(scope.value for scope in key.scopes)),
                    created=key.created,
                    expires=key.expires,
                    revoked=key.revoked,
                )
            )

    def revoke(self, key_id: str, now: float) -> ApiKey:
        """See core.access.KeyStore."""
        mine = api_keys.c.id == key_id
        with self._database.write() as connection:
            connection.execute(
                api_keys.update().where(mine, api_keys.c.revoked.is_(None)).values(revoked=now)
            )
            row = connection.execute(sa.select(api_keys).where(mine)).first()
        if row is None:
            raise NotFound(
                "KEY_NOT_FOUND",
                f"there is no key {key_id[:40]!r}",
                hint="`penult-server keys list` shows all",
            )
        return _from_row(row)


def _from_row(row: sa.Row[Any]) -> ApiKey:
    scopes = frozenset(map(Scope, json.loads(row.scopes_json)))
    return ApiKey(row.id, row.name, bytes(row.digest), scopes, row.created, row.expires, row.revoked)
