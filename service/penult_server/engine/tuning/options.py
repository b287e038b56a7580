"""What a search or a pruner can be told: one pydantic model each, checked before a job starts."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from penult_server.core.errors import InvalidArgument

O = TypeVar("O", bound="Options")  # noqa: E741 - a type, not a number


class Options(BaseModel):
    """Base of all."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def checked(model: type[O], values: Mapping[str, Any], field: str) -> O:
    """The options with types and defaults. Raises InvalidArgument TUNING_OPTION_INVALID with near names."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, model.model_fields, n=3, cutoff=0.4)
            known = near or sorted(model.model_fields) or ["none"]
            raise InvalidArgument(
                "TUNING_OPTION_INVALID",
                f"there is no option {name[:80]!r}",
                field=f"{field}.{name[:80]}",
                hint=f"{'near' if near else 'there are'}: {', '.join(known)}",
            ) from None
        raise InvalidArgument(
            "TUNING_OPTION_INVALID", f"{name}: {problem['msg'].lower()}", field=f"{field}.{name}"
        ) from None


def unknown(what: str, name: str, known: Collection[str]) -> InvalidArgument:
    """The refusal of a name that nothing is registered under."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return InvalidArgument(
        f"{what.upper()}_UNKNOWN",
        f"there is no {what} {name[:80]!r}",
        field=what,
        hint=f"near: {', '.join(near)}" if near else f"there are: {', '.join(sorted(known))}",
    )
