"""Filters over metadata as SQL of SQLite, with exactly the effect of core.filters.matches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penult_server.core.filters import And, Compare, Exists, Field, Filter, In, Not, Or, Value

_NUMBERS = "('integer','real')"


class NotInSqlError(Exception):
    """SQLite cannot say this; the rows must be looked at one by one."""


def condition(node: Filter, column: str) -> tuple[str, dict[str, Any]]:
    """An expression that is 1 or 0, never NULL, and its parameters.

    Raises:
        NotInSqlError: for names with quotes, backslashes or control characters, and text with NUL.
    """
    builder = _Builder(column)
    return builder.expression(node), builder.parameters


class _Builder:
    def __init__(self, column: str) -> None:
        self._column = column
        self.parameters: dict[str, Any] = {}
        self._paths: dict[Field, str] = {}

    def expression(self, node: Filter) -> str:
        if isinstance(node, And | Or):
            word = "AND" if isinstance(node, And) else "OR"
            return _balanced(word, [self.expression(term) for term in node.terms])
        if isinstance(node, Not):
            return f"(NOT {self.expression(node.term)})"
        if isinstance(node, Exists):
            return f"({self._type(node.field)} IS NOT NULL)"
        if isinstance(node, In):
            return self._in(node.field, node.values)
        if node.operator == "!=":
            return f"(NOT {self._in(node.field, (node.value,))})"
        if node.operator == "==":
            return self._in(node.field, (node.value,))
        return self._order(node)

    def _in(self, field: Field, values: Sequence[Value]) -> str:
        kind, value = self._type(field), self._value(field)
        texts = [self._bind(item) for item in values if isinstance(item, str)]
        numbers = [
            self._bind(item)
            for item in values
            if isinstance(item, int | float) and not isinstance(item, bool)
        ]
        words = {
            "null" if item is None else str(item).lower()
            for item in values
            if item is None or isinstance(item, bool)
        }
        either = []
        if texts:
            either.append(f"({kind} = 'text' AND {value} IN ({','.join(texts)}))")
        if numbers:
            either.append(f"({kind} IN {_NUMBERS} AND {value} IN ({','.join(numbers)}))")
        either += [f"({kind} = '{word}')" for word in sorted(words)]
        return f"ifnull({' OR '.join(either)}, 0)" if either else "0"

    def _order(self, node: Compare) -> str:
        among = "= 'text'" if isinstance(node.value, str) else f"IN {_NUMBERS}"
        kind, value, bound = self._type(node.field), self._value(node.field), self._bind(node.value)
        return f"ifnull({kind} {among} AND {value} {node.operator} {bound}, 0)"

    def _type(self, field: Field) -> str:
        return f"json_type({self._column}, {self._path(field)})"

    def _value(self, field: Field) -> str:
        return f"json_extract({self._column}, {self._path(field)})"

    def _path(self, field: Field) -> str:
        if field not in self._paths:
            for name in field:
                # SQLite compares names with the text of the JSON, where these are escaped.
                if not name or any(letter in '"\\' or letter < " " for letter in name):
                    raise NotInSqlError
            self._paths[field] = self._bind("$" + "".join(f'."{name}"' for name in field))
        return self._paths[field]

    def _bind(self, value: Value) -> str:
        if isinstance(value, str) and "\0" in value:
            raise NotInSqlError
        name = f"f{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"


def _balanced(word: str, terms: list[str]) -> str:
    """All terms joined; as a tree, because SQLite bounds how deep an expression is."""
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return f"({_balanced(word, terms[:middle])} {word} {_balanced(word, terms[middle:])})"
