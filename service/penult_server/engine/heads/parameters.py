"""What a client can choose about a head: one pydantic model a head, checked before a job starts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penult_server.core.errors import InvalidArgument

P = TypeVar("P", bound=BaseModel)


class HeadParameters(BaseModel):
    """What every head takes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    normalisation: Literal["l2", "standardize", "none"] = Field(
        "l2",
        description="What is done to features first: each scaled to length 1, or each dimension to mean 0 "
        "and variance 1 over the training images, or nothing.",
    )
    class_weight: Literal["balanced"] | None = Field(
        None, description="`balanced`: every class counts alike, however many images it has."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Decides the folds and the order of random search.")
    folds: int = Field(5, ge=2, le=20, description="Folds of cross-validation.")
    reject: Literal["none", "auto"] = Field(
        "none",
        description="`auto`: answers below a probability are rejected as none of the classes. The threshold "
        "is chosen on images that were not trained on, so that `reject_keep` of the right answers stay.",
    )
    reject_keep: float = Field(
        0.95, gt=0, le=1, description="Share of right answers that a reject threshold keeps."
    )
    learning_curve: bool = Field(
        True, description="Measure accuracy with a part of the training images as well."
    )


class SearchedParameters(HeadParameters):
    """What a head takes that has a strength of regularisation to choose."""

    C: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="Inverse strength of regularisation, as in scikit-learn. Given: nothing is searched.",
    )
    search: Literal["coarse_to_fine", "grid", "random"] = Field(
        "coarse_to_fine",
        description="How C is chosen by cross-validation: every 8th of the grid's points and then closer "
        "around the best, or all of them, or at random between its ends (uniform in log space).",
    )
    C_min: float = Field(1e-6, gt=0, le=1e9, description="Least C that is tried.")
    C_max: float = Field(1e5, gt=0, le=1e9, description="Greatest C that is tried.")
    points: int = Field(45, ge=2, le=1000, description="Points of the grid, or of random search.")


def checked(model: type[P], parameters: Mapping[str, Any], *, field: str = "parameters") -> P:
    """The parameters with their types and defaults.

    Args:
        model: of the head.
        parameters: JSON as a client sent it.
        field: where they are in the request.

    Raises:
        InvalidArgument: PARAMETER_UNKNOWN with near names, or PARAMETER_INVALID; the first problem.
    """
    try:
        return model.model_validate(dict(parameters))
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, model.model_fields, n=3, cutoff=0.5)
            known = near or sorted(model.model_fields)
            raise InvalidArgument(
                "PARAMETER_UNKNOWN",
                f"there is no parameter {name!r}",
                field=f"{field}.{name}",
                hint=f"{'near' if near else 'there are'}: {', '.join(known)}",
                near_matches=",".join(near),
            ) from None
        raise InvalidArgument(
            "PARAMETER_INVALID",
            f"parameter {name!r}: {problem['msg'].lower()}" if name else problem["msg"],
            field=f"{field}.{name}" if name else field,
        ) from None
