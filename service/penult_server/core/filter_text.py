"""Parses the text of a filter; the grammar is at the top of `core.filters`."""

from __future__ import annotations

import json
import math
import re

from penult_server.core.errors import InvalidArgument
from penult_server.core.filters import WORDS, And, Compare, Exists, Field, Filter, In, Not, Or, Value, literal

MAX_LENGTH = 65_536
MAX_DEPTH = 32
MAX_VALUES = 4096
"""Most characters, levels of nesting, and values in one filter."""


def parse(text: str) -> Filter:
    """The tree of a filter.

    Raises:
        InvalidArgument: FILTER_INVALID, with the position in the message and its metadata, from 0.
    """
    if len(text) > MAX_LENGTH:
        raise _invalid(MAX_LENGTH, f"it is longer than {MAX_LENGTH} characters")
    return _Parser(text).whole()


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<name>[A-Za-z_][A-Za-z0-9_-]*)
    | (?P<quoted>`[^`]+`)
    | (?P<sign>==|!=|<=|>=|[=<>()\[\],.])
    | (?P<end>\Z)
    )""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "null": None}
_LARGEST = 2**63 - 1


class _Parser:
    """Recursive descent, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._values = 0
        self._next = 0
        self._advance()

    def whole(self) -> Filter:
        node = self._any(0)
        if self._kind != "end":
            raise self._wrong("'and', 'or' or the end")
        return node

    def _any(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise _invalid(self._at, f"it is nested deeper than {MAX_DEPTH} levels")
        terms = [self._all(depth)]
        while self._take("or"):
            terms.append(self._all(depth))
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _all(self, depth: int) -> Filter:
        terms = [self._one(depth)]
        while self._take("and"):
            terms.append(self._one(depth))
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _one(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise _invalid(self._at, f"it is nested deeper than {MAX_DEPTH} levels")
        if self._take("not"):
            return Not(self._one(depth + 1))
        if self._take("("):
            node = self._any(depth + 1)
            self._expect(")")
            return node
        if self._take("exists"):
            self._expect("(")
            field = self._field()
            self._expect(")")
            return Exists(field)
        field = self._field()
        if self._take("not"):
            self._expect("in")
            return Not(In(field, self._list()))
        if self._take("in"):
            return In(field, self._list())
        return self._comparison(field)

    def _comparison(self, field: Field) -> Filter:
        at, operator = self._at, self._word
        if self._kind != "sign" or operator not in ("==", "=", "!=", "<", "<=", ">", ">="):
            raise self._wrong("an operator such as ==, < or in")
        self._advance()
        value = self._value()
        if operator in ("==", "="):
            return Compare(field, "==", value)
        if operator == "!=":
            return Compare(field, "!=", value)
        if value is None or isinstance(value, bool):
            raise _invalid(at, f"{literal(value)} has no order, so {operator} cannot compare with it")
        return Compare(field, operator, value)  # type: ignore[arg-type]

    def _field(self) -> Field:
        parts = [self._field_name()]
        while self._take("."):
            parts.append(self._field_name())
        return tuple(parts)

    def _field_name(self) -> str:
        word = self._word
        if self._kind == "quoted":
            self._advance()
            return word[1:-1]
        if self._kind != "name" or word in WORDS:
            raise self._wrong("the name of a field")
        self._advance()
        return word

    def _list(self) -> tuple[Value, ...]:
        self._expect("[")
        values: list[Value] = []
        while not self._take("]"):
            if values:
                self._expect(",")
            values.append(self._value())
        return tuple(values)

    def _value(self) -> Value:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _invalid(self._at, f"it has more than {MAX_VALUES} values")
        value: Value
        if self._kind == "number":
            value = _number(self._word, self._at)
        elif self._kind == "text":
            value = _text(self._word, self._at)
        elif self._kind == "name" and self._word in _CONSTANTS:
            value = _CONSTANTS[self._word]
        else:
            raise self._wrong("a value: text in quotes, a number, true, false or null")
        self._advance()
        return value

    def _take(self, word: str) -> bool:
        if self._kind not in ("name", "sign") or self._word != word:
            return False
        self._advance()
        return True

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._wrong(f"'{word}'")

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._next)
        if found is None:
            at = self._next + len(self._text[self._next :]) - len(self._text[self._next :].lstrip())
            raise _invalid(at, f"{self._text[at : at + 20]!r} is nothing that a filter can hold")
        self._kind = found.lastgroup or ""
        self._word = found.group(self._kind)
        self._at = found.start(self._kind)
        self._next = found.end()

    def _wrong(self, expected: str) -> InvalidArgument:
        return _invalid(self._at, f"expected {expected}, found {self._word[:40] or 'the end'!r}")


def _number(word: str, at: int) -> int | float:
    if word.lstrip("-").isdigit():
        if len(word) > 20 or abs(int(word)) > _LARGEST:
            raise _invalid(at, "whole numbers go up to 64 bits")
        return int(word)
    value = float(word)
    if not math.isfinite(value):
        raise _invalid(at, f"{word[:40]} is too large for a number")
    return value


def _text(word: str, at: int) -> str:
    inner = word[1:-1]
    if word[0] == "'":
        inner = re.sub(
            r"\\.|\"", lambda found: {"\\'": "'", '"': '\\"'}.get(found[0], found[0]), inner, flags=re.DOTALL
        )
    try:
        value = json.loads(f'"{inner}"', strict=False)
        value.encode()
    except ValueError:
        raise _invalid(at, "the text has an escape that JSON does not know") from None
    return str(value)


def _invalid(at: int, what: str) -> InvalidArgument:
    return InvalidArgument(
        "FILTER_INVALID",
        f"the filter is wrong at character {at + 1}: {what}",
        field="filter",
        hint='such as: price < 20 and color in ["red", "blue"] and not exists(sold)',
        position=str(at),
    )
