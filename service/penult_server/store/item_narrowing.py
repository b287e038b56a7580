"""What every item that matches a filter has in the text of its metadata, as SQL of any database.

Where a database's idea of JSON numbers or text is not that of core.filters, this leaves few rows to look at
one by one. It relies on the one form in which metadata is kept (core.indexes.check_metadata).
"""

from __future__ import annotations

import json

import sqlalchemy as sa

from penult_server.core.filters import And, Compare, Exists, Field, Filter, In, Not, Or, Value

_MANY = 100
"""Values after which looking for each is dearer than looking at the rows."""


def narrowing(node: Filter, column: sa.ColumnElement[str]) -> sa.ColumnElement[bool] | None:
    """A condition that holds for all items that match, and perhaps for others; None for no condition."""
    if isinstance(node, And | Or):
        parts = [narrowing(term, column) for term in node.terms]
        said = [part for part in parts if part is not None]
        if isinstance(node, And):
            return sa.and_(*said) if said else None
        return sa.or_(*said) if said and len(said) == len(parts) else None
    if isinstance(node, Not) or (isinstance(node, Compare) and node.operator == "!="):
        return None
    if isinstance(node, In):
        values = node.values
    elif isinstance(node, Compare) and node.operator == "==":
        values = (node.value,)
    else:
        assert isinstance(node, Exists | Compare)
        return _holds(column, _name(node.field))
    if not values:
        return sa.false()
    if len(values) > _MANY:
        return _holds(column, _name(node.field))
    return sa.or_(*(_holds(column, _pair(node.field, value)) for value in values))


def _holds(column: sa.ColumnElement[str], text: str) -> sa.ColumnElement[bool]:
    return sa.func.strpos(column, text) > 0


def _pair(field: Field, value: Value) -> str:
    """A number may be written in several ways, all else in one."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _name(field)
    return _name(field) + _text(value)


def _name(field: Field) -> str:
    return _text(field[-1]) + ":"


def _text(value: Value) -> str:
    # No row holds a NUL, and PostgreSQL takes none.
    return json.dumps(value, ensure_ascii=False).replace("\0", "\\u0000")
