"""Pages of a sorted listing, behind an opaque token."""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from penult_server.core.errors import InvalidArgument

T = TypeVar("T")
DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the token of the rows after them (empty on the last page)."""

    items: list[T]
    next_token: str


def start_of_page(size: int, token: str) -> tuple[int, str]:
    """How many rows a page shows, and the key after which they start ("" for the first page).

    Raises:
        InvalidArgument: the size is above MAX_PAGE_SIZE, or the token is none of ours.
    """
    if size > MAX_PAGE_SIZE:
        raise InvalidArgument(
            "BAD_PAGE_SIZE", f"page_size {size} is above {MAX_PAGE_SIZE}", field="page_size"
        )
    return size or DEFAULT_PAGE_SIZE, _decode(token) if token else ""


def page_of(rows: Sequence[T], size: int, *, key: Callable[[T], str]) -> Page[T]:
    """The page of the first `size` rows; one row more than that says that there is another page."""
    items = list(rows[:size])
    return Page(items, _encode(key(items[-1])) if len(rows) > size else "")


def paginate(rows: Sequence[T], size: int, token: str, *, key: Callable[[T], str]) -> Page[T]:
    """The page after `token` of rows sorted by `key`.

    A row that vanished between two pages shifts nothing, because the token holds a key and not a position.
    Raises as `start_of_page` does.
    """
    size, last = start_of_page(size, token)
    if token:
        rows = [row for row in rows if key(row) > last]
    return page_of(rows, size, key=key)


def _encode(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _decode(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise InvalidArgument(
            "BAD_PAGE_TOKEN",
            "page_token is not one that this server gave out",
            field="page_token",
            hint="start again without a token",
        ) from error
