from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penult_server.core.errors import InvalidArgument
from penult_server.core.search_space import (
    Choice,
    Range,
    Space,
    as_given,
    at_edge,
    contains,
    draw,
    from_json,
    grid,
    narrowed,
    parse_space,
    to_json,
)

LOG = st.tuples(st.floats(1e-8, 1e3), st.floats(1.01, 1e6)).map(lambda t: Range(t[0], t[0] * t[1], log=True))
PLAIN = st.tuples(st.floats(-1e3, 1e3), st.floats(1e-2, 1e3)).map(lambda t: Range(t[0], t[0] + t[1]))
WHOLE = st.tuples(st.integers(1, 50), st.integers(1, 100), st.booleans()).map(
    lambda t: Range(t[0], t[0] + t[1], log=t[2], whole=True)
)
RANGES = st.one_of(LOG, PLAIN, WHOLE)
CHOICES = st.lists(
    st.one_of(st.booleans(), st.sampled_from(["a", "b"]), st.floats(2, 9)),
    min_size=1,
    max_size=6,
    unique=True,
).map(lambda options: Choice(tuple(options)))
SPACES = st.dictionaries(st.sampled_from("abcdef"), st.one_of(RANGES, CHOICES), min_size=1, max_size=4)


@given(RANGES, st.floats(0, 1))
def test_a_place_gives_a_value_of_the_range(parameter: Range, place: float) -> None:
    value = parameter.at(place)
    assert parameter.has(value)
    if parameter.whole:
        assert isinstance(value, int)


@given(RANGES)
def test_the_ends_are_in_it_and_places_rise_with_values(parameter: Range) -> None:
    assert parameter.at(0.0) == parameter.low
    assert parameter.at(1.0) == parameter.high
    values = [parameter.at(n / 7) for n in range(8)]
    assert values == sorted(values)
    places = [parameter.place(value) for value in values]
    assert places == sorted(places)
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in places)


def test_a_logarithmic_range_is_even_in_magnitude() -> None:
    assert Range(1e-5, 1e-1, log=True).points(5) == [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    assert Range(1, 8, log=True, whole=True).points(4) == [1, 2, 4, 8]
    assert Range(1, 3, whole=True).points(10) == [1, 2, 3]


@given(SPACES, st.integers(0, 5), st.integers(0, 1000))
def test_a_draw_is_in_the_space_and_follows_from_seed_and_number(space: Any, seed: int, number: int) -> None:
    point = draw(space, seed, number)
    assert contains(space, point)
    assert draw(dict(reversed(space.items())), seed, number) == point


def test_draws_differ_and_cover_a_range() -> None:
    space = {"learning_rate": Range(1e-5, 1e-1, log=True)}
    values = [float(draw(space, 0, n)["learning_rate"]) for n in range(400)]  # type: ignore[arg-type]
    decades = [math.floor(math.log10(value)) for value in values]
    assert all(60 < decades.count(decade) < 140 for decade in (-5, -4, -3, -2))


@given(SPACES, st.integers(0, 9), st.floats(0.1, 0.9))
def test_a_narrower_space_lies_within_and_has_the_best(space: Any, number: int, share: float) -> None:
    best, other = draw(space, 0, number), draw(space, 1, number)
    narrower = narrowed(space, best, [other], share)
    assert contains(narrower, best)
    for name, parameter in narrower.items():
        whole = space[name]
        if isinstance(parameter, Choice):
            assert set(map(str, parameter.options)) <= set(map(str, whole.options))
            assert 1 <= len(parameter.options) <= 2
        else:
            assert whole.low <= parameter.low < parameter.high <= whole.high
    for again in range(5):
        assert contains(space, draw(narrower, 2, again))


@given(LOG, st.floats(0, 1))
def test_a_third_of_a_range_is_left(parameter: Range, place: float) -> None:
    around = parameter.around(float(parameter.at(place)), 1 / 3)
    share = parameter.place(around.high) - parameter.place(around.low)
    assert share <= 1 / 3 + 0.02 * max(1.0, 1 / math.log(parameter.high / parameter.low))


def test_a_range_at_an_end_moves_inward() -> None:
    around = Range(1e-6, 1e0, log=True).around(1e0, 1 / 3)
    assert (around.low, around.high) == (0.01, 1.0)


@given(SPACES)
def test_a_space_survives_json(space: Any) -> None:
    assert from_json(to_json(space)) == space
    whole = {name for name, parameter in space.items() if isinstance(parameter, Range) and parameter.whole}
    again, fixed = parse_space(as_given(space), whole)
    assert {**again, **{name: Choice((value,)) for name, value in fixed.items()}} == space


def test_a_grid_is_every_combination() -> None:
    space: Space = {"x": Range(0, 1), "y": Choice(("a", "b"))}
    points = grid(space, 3)
    assert len(points) == 6
    assert {"x": 0.5, "y": "b"} in points
    with pytest.raises(InvalidArgument, match="points"):
        grid({name: Range(0, 1) for name in "abcd"}, 100)


def test_what_a_client_sends_is_read() -> None:
    space, fixed = parse_space(
        {
            "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
            "batch_size": [8.0, 16.0],
            "epochs": {"low": 2.0, "high": 9.0},
            "augmentation": ["crop", "none"],
            "mixup": 0.0,
            "optimizer": ["adamw"],
            "last_stages": 2.0,
        },
        whole=("batch_size", "epochs", "last_stages"),
    )
    assert space == {
        "learning_rate": Range(1e-5, 1e-2, log=True),
        "batch_size": Choice((8, 16)),
        "epochs": Range(2, 9, whole=True),
        "augmentation": Choice(("crop", "none")),
    }
    assert fixed == {"mixup": 0.0, "optimizer": "adamw", "last_stages": 2}
    assert isinstance(fixed["last_stages"], int)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"low": 2, "high": 1}, "above"),
        ({"low": 1, "high": 1}, "empty"),
        ({"low": 0, "high": 1, "log": True}, "above 0"),
        ({"low": 1}, "both low and high"),
        ({"low": 1, "high": 2, "step": 1}, "'step'"),
        ({"low": "1", "high": 2}, "numbers"),
        ({"low": True, "high": 2}, "numbers"),
        ({"low": 1, "high": float("inf")}, "finite"),
        ({"low": 1, "high": 2, "log": 1}, "true or false"),
        ({"low": 1.5, "high": 2}, "whole numbers"),
        ([], "nothing to choose"),
        ([1, 1.0], "twice"),
        ([[1]], "one finite value"),
        (float("nan"), "one finite value"),
        (list(range(51)), "at most 50"),
    ],
)
def test_what_cannot_be_searched_is_refused(value: Any, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said) as refused:
        parse_space({"epochs": value}, whole=("epochs",))
    assert refused.value.reason == "SPACE_INVALID"
    assert refused.value.field == "space.epochs"


def test_true_and_one_are_two_options() -> None:
    assert parse_space({"x": [True, 1, False, 0]})[0] == {"x": Choice((True, 1, False, 0))}
    assert not Choice((True,)).has(1)


def test_the_ends_of_a_range_are_seen() -> None:
    wide = Range(1e-5, 1e-1, log=True)
    assert at_edge(wide, 1e-5) == "low"
    assert at_edge(wide, 0.09) == "high"
    assert at_edge(wide, 1e-3) == ""
    assert at_edge(Choice((1, 2)), 1) == ""
