from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penult_server.core.errors import InvalidArgument
from penult_server.core.filter_text import MAX_DEPTH, MAX_LENGTH, MAX_VALUES, parse
from penult_server.core.filters import And, Compare, Exists, Filter, In, Not, Or, fields, matches, show

ROW = {
    "price": 12,
    "color": "red",
    "sold": None,
    "size": {"width": 2.5, "unit": "cm"},
    "tags": ["a"],
    "new": True,
}

names = st.sampled_from(["price", "color", "size", "width", "a-b", "not", "odd name", "é"])
paths = st.lists(names, min_size=1, max_size=3).map(tuple)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
ordered = st.one_of(st.integers(-5, 5), st.floats(-5, 5), st.text("ab", max_size=2))
leaves: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Compare, paths, st.sampled_from(["==", "!="]), scalars),
    st.builds(Compare, paths, st.sampled_from(["<", "<=", ">", ">="]), ordered),
    st.builds(In, paths, st.lists(scalars, max_size=3).map(tuple)),
    st.builds(Exists, paths),
)
filters: st.SearchStrategy[Filter] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)
rows = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(names, inner, max_size=3)),
    max_leaves=8,
)
objects = st.dictionaries(names, rows, max_size=4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("price == 12", True),
        ("price = 12.0", True),
        ("price == '12'", False),
        ("price != '12'", True),
        ("price < 20 and price >= 12", True),
        ("price > 12 or price <= 11", False),
        ("price < 'a'", False),
        ("color < 'z'", True),
        ("color in ['blue', 'red']", True),
        ("color not in ['blue', 'red']", False),
        ("color in []", False),
        ("new == true", True),
        ("new == 1", False),
        ("price == true", False),
        ("sold == null", True),
        ("exists(sold)", True),
        ("exists(gone)", False),
        ("gone == null", False),
        ("gone != 1", True),
        ("gone < 1", False),
        ("not gone < 1", True),
        ("size.width > 2 and size.unit == 'cm'", True),
        ("size == 'cm'", False),
        ("exists(size)", True),
        ("tags == 'a'", False),
        ("exists(tags.a)", False),
        ("`price` == 12", True),
        ("not (price == 12 and color == 'red') or exists(new)", True),
        ("price == 1 or price == 12 and color == 'blue'", False),
    ],
)
def test_what_matches(text: str, expected: bool) -> None:
    assert matches(parse(text), ROW) is expected


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("price <", 7),
        ("price < true", 6),
        ("(price == 1", 11),
        ("price == 1 color", 11),
        ("price $ 1", 6),
        ("1 == price", 0),
        ("price == 01", 9),
        ("price == 1e999", 9),
        ("price == 99999999999999999999", 9),
        ("price == 'open", 9),
        (r"price == '\x'", 9),
        ("price in 1", 9),
        ("price in [1 2]", 12),
        ("and == 1", 0),
        ("price..x == 1", 6),
        ("price AND 1", 6),
        ("not", 3),
        ("exists price", 7),
    ],
)
def test_a_mistake_is_named_with_its_position(text: str, position: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(text)
    assert caught.value.reason == "FILTER_INVALID"
    assert caught.value.metadata == {"position": str(position)}
    assert f"character {position + 1}" in caught.value.message


def test_size_is_bounded() -> None:
    parse("(" * MAX_DEPTH + "a == 1" + ")" * MAX_DEPTH)
    many = "a in [" + ",".join(["1"] * MAX_VALUES)
    parse(many + "]")
    for text in (
        "(" * (MAX_DEPTH + 1) + "a == 1" + ")" * (MAX_DEPTH + 1),
        "not " * (MAX_DEPTH + 1) + "a == 1",
        many + ",1]",
        "a == 1" + " " * MAX_LENGTH,
    ):
        with pytest.raises(InvalidArgument, match="the filter is wrong"):
            parse(text)


def test_fields_are_those_asked_about() -> None:
    assert fields(parse("a.b < 1 and not (exists(c) or d in [1])")) == {("a", "b"), ("c",), ("d",)}


@given(filters)
def test_what_is_shown_parses_to_the_same(node: Filter) -> None:
    assert parse(show(node)) == node


@given(filters, filters, objects)
def test_de_morgan(one: Filter, other: Filter, row: dict[str, Any]) -> None:
    assert matches(Not(And((one, other))), row) == matches(Or((Not(one), Not(other))), row)
    assert matches(Not(Or((one, other))), row) == matches(And((Not(one), Not(other))), row)
    assert matches(Not(Not(one)), row) == matches(one, row)


@given(paths, scalars, objects)
def test_in_is_one_of_several_equals(path: tuple[str, ...], value: Any, row: dict[str, Any]) -> None:
    assert matches(In(path, (value,)), row) == matches(Compare(path, "==", value), row)
    assert matches(Compare(path, "!=", value), row) != matches(Compare(path, "==", value), row)


@given(st.one_of(st.text(max_size=60), st.text("ab.<>=!'\"`()[], 01\\ \nnotinexsd", max_size=60)))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        matches(parse(text), ROW)
    except InvalidArgument as error:
        at = int(error.metadata["position"])
    else:
        at = 0
    assert 0 <= at <= len(text)
