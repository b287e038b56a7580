"""SQL finds exactly what core.filters.matches does."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from penult_server.core.filter_text import parse
from penult_server.core.filters import And, Compare, Exists, Filter, In, Not, Or, Value, matches
from penult_server.core.indexes import check_metadata
from penult_server.store.item_filters import NotInSqlError, condition
from penult_server.store.item_narrowing import narrowing

NAMES = st.sampled_from(["a", "b", "größe", "with space", "a.b", "$", "[0]", "it's"])
NUMBERS = st.one_of(
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.sampled_from([0, 1, -1, 2**53, 2**53 + 1, 2**63 - 1]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, 0.1, 2.0**53, 1e300]),
)
TEXT = st.one_of(
    st.sampled_from(["", "a", "b", "1", "true", "null", "\U0001f600", "\uffff", "é", "e\u0301"]),
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=4),
)
VALUES: st.SearchStrategy[Value] = st.one_of(NUMBERS, TEXT, st.booleans(), st.none())
METADATA = st.dictionaries(
    NAMES,
    st.recursive(
        VALUES,
        lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=3)),
        max_leaves=5,
    ),
    max_size=4,
)
FIELDS = st.lists(NAMES, min_size=1, max_size=2).map(tuple)
ORDERED = st.builds(Compare, FIELDS, st.sampled_from(["<", "<=", ">", ">="]), st.one_of(NUMBERS, TEXT))
LEAVES: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Compare, FIELDS, st.sampled_from(["==", "!="]), VALUES),
    ORDERED,
    st.builds(In, FIELDS, st.lists(VALUES, max_size=4).map(tuple)),
    st.builds(Exists, FIELDS),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)
CONNECTION = sqlite3.connect(":memory:")


def found(node: Filter, metadata: dict[str, Any]) -> object:
    expression, parameters = condition(node, ":row")
    row = json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))
    return CONNECTION.execute(f"SELECT {expression}", {**parameters, "row": row}).fetchone()[0]


@given(FILTERS, METADATA)
def test_sql_and_python_agree(node: Filter, metadata: dict[str, Any]) -> None:
    assert found(node, metadata) == int(matches(node, metadata))


@given(st.data(), METADATA)
def test_sql_and_python_agree_on_values_that_are_there(data: Any, metadata: dict[str, Any]) -> None:
    values = [value for value in metadata.values() if not isinstance(value, list | dict)]
    if not values:
        return
    value = data.draw(st.sampled_from(values))
    field = (data.draw(st.sampled_from(sorted(metadata))),)
    nodes: list[Filter] = [Compare(field, "==", value), In(field, (value, 3))]
    if not isinstance(value, bool | None):
        nodes += [Compare(field, operator, value) for operator in ("<", "<=", ">", ">=")]
    for node in nodes:
        assert found(node, metadata) == int(matches(node, metadata))


def test_a_very_long_filter_is_not_too_deep() -> None:
    node = parse(" or ".join(f"a = {n}" for n in range(4000)))
    assert found(node, {"a": 3999})
    assert not found(node, {"a": 4000})


@pytest.mark.parametrize("text", ['`a"b` = 1', "`a\\b` = 1", r'a = "x\u0000y"'])
def test_what_sqlite_cannot_say_is_left_to_python(text: str) -> None:
    with pytest.raises(NotInSqlError):
        condition(parse(text), "m")


def narrowed(node: Filter, metadata: dict[str, Any]) -> bool:
    text = check_metadata(json.dumps(metadata)) or "{}"
    said = narrowing(node, sa.literal(text))
    if said is None:
        return True
    query = str(sa.select(said).compile(compile_kwargs={"literal_binds": True}))
    return bool(CONNECTION.execute(query.replace("strpos", "instr")).fetchone()[0])


@given(FILTERS, METADATA)
def test_narrowing_loses_nothing_that_matches(node: Filter, metadata: dict[str, Any]) -> None:
    assert narrowed(node, metadata) or not matches(node, metadata)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('a = "x"', True),
        ('a = "y"', False),
        ("b = 1", False),
        ('a = "x" and c = 2', False),
        ('a = "y" or n > 7', True),
        ('not a = "x"', True),
        ('a = "y" or missing = true', False),
    ],
)
def test_narrowing_narrows(text: str, kept: bool) -> None:
    assert narrowed(parse(text), {"a": "x", "n": 1.5}) == kept
