r"""Filters over the JSON metadata of index items: their grammar, their tree, and what they match.

`core.filter_text` parses them:

    filter  = all { "or" all }
    all     = one { "and" one }
    one     = "not" one | "(" filter ")" | "exists" "(" field ")"
            | field ( "==" | "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
            | field [ "not" ] "in" "[" [ value { "," value } ] "]"
    field   = name { "." name }       a path into nested objects
    name    = letter or _, then letters, digits, _ and -; or anything `in backquotes`
    value   = "text" | 'text' | number | true | false | null      text escapes as in JSON, and \'

Keywords are lower-case. A row matches or it does not; there is no third answer:

- `==` matches a field of the same JSON type and value; 1 and 1.0 are the same number, and neither is true.
- `!=` is exactly `not ... ==`, so it matches rows that lack the field or hold another type.
- `<`, `<=`, `>` and `>=` match numbers against a number and text against text (by Unicode code point); a
  row that holds another type, or nothing, does not match. Ordering by true, false or null is an error.
- `in` matches where `==` does with one of the values. `exists` matches a field that is there, null too.
- Objects and arrays match only `exists` (and what negates a comparison). A path never enters an array.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

Field: TypeAlias = tuple[str, ...]
Value: TypeAlias = str | int | float | bool | None
Operator = Literal["==", "!=", "<", "<=", ">", ">="]


@dataclasses.dataclass(frozen=True, slots=True)
class Compare:
    """`field operator value`."""

    field: Field
    operator: Operator
    value: Value


@dataclasses.dataclass(frozen=True, slots=True)
class In:
    """`field in [values]`."""

    field: Field
    values: tuple[Value, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Exists:
    """`exists(field)`."""

    field: Field


@dataclasses.dataclass(frozen=True, slots=True)
class Not:
    """`not term`."""

    term: Filter


@dataclasses.dataclass(frozen=True, slots=True)
class And:
    """All of two or more terms."""

    terms: tuple[Filter, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Or:
    """One of two or more terms."""

    terms: tuple[Filter, ...]


Filter: TypeAlias = Compare | In | Exists | Not | And | Or


def matches(node: Filter, metadata: Mapping[str, Any]) -> bool:
    """Whether one item's metadata passes."""
    if isinstance(node, And):
        return all(matches(term, metadata) for term in node.terms)
    if isinstance(node, Or):
        return any(matches(term, metadata) for term in node.terms)
    if isinstance(node, Not):
        return not matches(node.term, metadata)
    there, found = _look_up(node.field, metadata)
    if isinstance(node, Exists):
        return there
    if isinstance(node, In):
        return there and any(_equal(found, value) for value in node.values)
    if node.operator == "!=":
        return not (there and _equal(found, node.value))
    return there and _compare(found, node.operator, node.value)


def show(node: Filter) -> str:
    """The filter as text that parses to an equal tree."""
    if isinstance(node, And | Or):
        word = " and " if isinstance(node, And) else " or "
        loose = (Or, And) if isinstance(node, And) else Or
        return word.join(_in_brackets(term, loose) for term in node.terms)
    if isinstance(node, Not):
        return f"not {_in_brackets(node.term, (And, Or))}"
    name = ".".join(
        part if PLAIN_NAME.fullmatch(part) and part not in WORDS else _quoted(part) for part in node.field
    )
    if isinstance(node, Exists):
        return f"exists({name})"
    if isinstance(node, In):
        return f"{name} in [{', '.join(map(literal, node.values))}]"
    return f"{name} {node.operator} {literal(node.value)}"


def fields(node: Filter) -> frozenset[Field]:
    """Every field that the filter asks about."""
    if isinstance(node, And | Or):
        return frozenset().union(*map(fields, node.terms))
    return fields(node.term) if isinstance(node, Not) else frozenset([node.field])


PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
WORDS = frozenset(("and", "or", "not", "in", "exists", "true", "false", "null"))


def _look_up(field: Field, metadata: Mapping[str, Any]) -> tuple[bool, Any]:
    found: Any = metadata
    for name in field:
        if not isinstance(found, Mapping) or name not in found:
            return False, None
        found = found[name]
    return True, found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(found: Any, value: Value) -> bool:
    if _is_number(value):
        return _is_number(found) and bool(found == value)
    return type(found) is type(value) and bool(found == value)


def _compare(found: Any, operator: Operator, value: Any) -> bool:
    if operator == "==":
        return _equal(found, value)
    if not (_is_number(found) and _is_number(value)) and not (
        isinstance(found, str) and isinstance(value, str)
    ):
        return False
    if operator in ("<", "<="):
        return bool(found < value) or (operator == "<=" and bool(found == value))
    return bool(found > value) or (operator == ">=" and bool(found == value))


def _in_brackets(node: Filter, loose: type | tuple[type, ...]) -> str:
    """Brackets only where they are needed, so that what is shown is nested no deeper than what was parsed."""
    return f"({show(node)})" if isinstance(node, loose) else show(node)


def _quoted(name: str) -> str:
    return f"`{name}`"


def literal(value: Value) -> str:
    """A value as a filter spells it."""
    return json.dumps(value, ensure_ascii=False)
