from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penult_server.core.errors import InvalidArgument
from penult_server.core.paging import MAX_PAGE_SIZE, paginate


@given(st.sets(st.text(min_size=1, max_size=8), max_size=60), st.integers(0, 70))
def test_pages_together_are_the_whole_listing(names: set[str], size: int) -> None:
    rows, seen, token = sorted(names), [], ""
    while True:
        page = paginate(rows, size, token, key=str)
        seen += page.items
        token = page.next_token
        if not token:
            break
    assert seen == rows


def test_a_row_that_vanishes_between_two_pages_shifts_nothing() -> None:
    first = paginate(["a", "b", "c", "d"], 2, "", key=str)
    second = paginate(["a", "c", "d"], 2, first.next_token, key=str)
    assert first.items + second.items == ["a", "b", "c", "d"]


@given(st.text(min_size=1, max_size=30))
def test_any_token_is_a_page_or_a_clear_error(token: str) -> None:
    with contextlib.suppress(InvalidArgument):
        assert paginate(["a", "b"], 1, token, key=str).items in (["a"], ["b"], [])


def test_a_token_of_nobody_is_named() -> None:
    with pytest.raises(InvalidArgument) as caught:
        paginate(["a", "b"], 1, "no token!", key=str)
    assert (caught.value.reason, caught.value.field) == ("BAD_PAGE_TOKEN", "page_token")


def test_a_page_size_above_the_most_is_refused() -> None:
    with pytest.raises(InvalidArgument) as caught:
        paginate(["a"], MAX_PAGE_SIZE + 1, "", key=str)
    assert caught.value.field == "page_size"
