"""Ways to search. A way is a class in a file of its own that registers itself."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from penult_server.core.search_space import Point, Space
from penult_server.core.tuning import Study
from penult_server.engine.tuning.options import Options, unknown

_ways: dict[str, SearchWay] = {}
W = TypeVar("W", bound="SearchWay")


class SearchWay(abc.ABC):
    """Proposes points. What it proposes is a function of the study alone, so that a crash changes nothing."""

    Options: ClassVar[type[Options]] = Options
    refine: ClassVar[float] = 1 / 3
    """Usual share of the trials that go to the second, narrower stage."""

    def points(self, space: Space, options: Any) -> int | None:
        """How many points it has for a space; None for as many as are asked for."""
        return None

    @abc.abstractmethod
    def propose(self, study: Study, stage: int, options: Any, count: int) -> Point | None:
        """A point of the space of this stage that was not tried yet; None where there is none.

        Args:
            study: everything that was tried.
            stage: whose space it comes from, counted from 1.
            options: an instance of `Options`.
            count: validation images.
        """


def search_way(name: str) -> Callable[[type[W]], type[W]]:
    """Registers the decorated class under the name that clients use."""

    def register(way: type[W]) -> type[W]:
        _ways[name] = way()
        return way

    return register


def search_ways() -> list[str]:
    """Names of all that are registered, sorted."""
    return sorted(_ways)


def find_search(name: str) -> SearchWay:
    """By name. Raises InvalidArgument SEARCH_UNKNOWN with near names."""
    if name not in _ways:
        raise unknown("search", name, _ways)
    return _ways[name]
