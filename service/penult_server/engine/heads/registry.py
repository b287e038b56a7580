"""The kinds of head. A kind is a class in a file of its own that registers itself; light to import."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from penult_server.core.errors import InvalidArgument
from penult_server.engine.heads.base import HeadKind
from penult_server.engine.heads.parameters import HeadParameters, checked

_kinds: dict[str, HeadKind] = {}
K = TypeVar("K", bound=HeadKind)


def head(name: str) -> Callable[[type[K]], type[K]]:
    """Registers the decorated class under the name that clients use."""

    def register(kind: type[K]) -> type[K]:
        _kinds[name] = kind()
        return kind

    return register


def head_kinds() -> list[str]:
    """Names of all that are registered, sorted."""
    return sorted(_kinds)


def find(name: str) -> HeadKind:
    """A kind by name. Raises InvalidArgument HEAD_UNKNOWN with near names."""
    if name in _kinds:
        return _kinds[name]
    near = difflib.get_close_matches(name, _kinds, n=3, cutoff=0.4)
    raise InvalidArgument(
        "HEAD_UNKNOWN",
        f"there is no head {name!r}",
        field="head",
        hint=f"near: {', '.join(near)}" if near else f"there are: {', '.join(head_kinds())}",
        near_matches=",".join(near),
    )


def parse(name: str, parameters: Mapping[str, Any]) -> HeadParameters:
    """The parameters of a head with types and defaults. Raises InvalidArgument as `find` and `checked` do."""
    return checked(find(name).Parameters, parameters)


def validate(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as complete JSON, for the time of submitting. Raises InvalidArgument as `parse` does."""
    return parse(name, parameters).model_dump(mode="json")


def markdown_table() -> str:
    """The table of docs/heads.md: every parameter, and which heads take it."""
    takers: dict[tuple[str, str, str], list[str]] = {}
    for name in head_kinds():
        for parameter, field in _kinds[name].Parameters.model_fields.items():
            key = (parameter, json.dumps(field.default), field.description or "")
            takers.setdefault(key, []).append(name)
    rows = ["| parameter | default | heads | meaning |", "| --- | --- | --- | --- |"]
    for (parameter, default, meaning), heads in sorted(takers.items(), key=lambda item: -len(item[1])):
        whose = "all" if len(heads) == len(_kinds) else ", ".join(f"`{each}`" for each in heads)
        rows.append(f"| `{parameter}` | `{default}` | {whose} | {meaning} |")
    return "\n".join(rows) + "\n"
