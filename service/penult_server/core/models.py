"""What a model is: a name, its immutable versions, and the aliases that point to them."""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Mapping
from typing import Any

from penult_server.core.errors import InvalidArgument
from penult_server.core.evidence import Evidence, from_json
from penult_server.core.names import check_name

MAX_MEMBERS = 16
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


class ModelKind(str, enum.Enum):
    """What a version is made of."""

    HEAD = "head"
    """A head on the features of a backbone."""
    ENSEMBLE = "ensemble"
    """Versions whose probabilities are averaged."""
    FINE_TUNED = "fine_tuned"
    """A head and a backbone of its own, trained together."""


@dataclasses.dataclass(frozen=True, slots=True)
class ModelReference:
    """Which version a caller means: a number, what an alias points to, or with neither the latest."""

    name: str
    version: int | None = None
    alias: str = ""

    @classmethod
    def parse(cls, text: str, field: str = "model") -> ModelReference:
        """Reads NAME, NAME@VERSION or NAME@ALIAS. Raises InvalidArgument, naming the request's field."""
        name, at, rest = text.partition("@")
        check_name(name, field)
        if not at:
            return cls(name)
        if _VERSION.fullmatch(rest):
            return cls(name, version=int(rest))
        check_alias(rest, field)
        return cls(name, alias=rest)

    def __str__(self) -> str:
        rest = self.alias if self.version is None else str(self.version)
        return f"{self.name}@{rest}" if rest else self.name


def check_alias(alias: str, field: str = "alias") -> None:
    """Raises InvalidArgument for what could be mistaken for a version, or is no name."""
    if alias.isdigit():
        raise InvalidArgument(
            "BAD_ALIAS",
            f"{alias[:80]!r} is no alias: digits alone are a version, from 1 on",
            field=field,
            hint="choose a word such as production",
        )
    check_name(alias, field)


@dataclasses.dataclass(frozen=True, slots=True)
class Lineage:
    """Where a trained version comes from.

    Attributes:
        dataset, dataset_revision, example_count: the dataset when training was asked for.
        dataset_sha256: over image, labels and split of each example; see core.snapshot.
        backbone, fingerprint: what gives the features that it takes; see core.own_backbones.
        head, parameters: kind of head, and its parameters with defaults filled in; of a fine-tuned version
            the settings of fine-tuning.
        augment: views of each image that were trained on beside the plain one, such as "flip".
        code_version: of Penult.
        parent: the version that it was trained on from; "" for none.
        job: the job that made it.
        start_backbone, start_weights_sha256: of a fine-tuned version, whose weights it started from.
        variant: which of the weights that fine-tuning gave it holds, such as "ema".
    """

    dataset: str
    dataset_revision: int
    example_count: int
    dataset_sha256: str
    backbone: str
    fingerprint: str
    head: str
    parameters: Mapping[str, Any]
    augment: str = ""
    code_version: str = ""
    parent: str = ""
    job: str = ""
    start_backbone: str = ""
    start_weights_sha256: str = ""
    variant: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class NewVersion:
    """A version as it is to be. The store gives a fine-tuned one its number, and with it its backbone's name.

    Attributes:
        labels: the classes, in the order of its probabilities.
        threshold: an answer less probable than this is rejected; None: none is.
        lineage: of a trained version.
        members: of an ensemble, each "NAME@VERSION".
        artifact: name of its files in the store; "" for a version without any.
        beside: versions that come just before it, in the same step.
        averaged: of an ensemble of such, the positions of its members in `beside`; `members` follow from it.
    """

    kind: ModelKind
    labels: tuple[str, ...]
    multi_label: bool
    threshold: float | None = None
    lineage: Lineage | None = None
    members: tuple[str, ...] = ()
    evidence: Evidence | None = None
    artifact: str = ""
    size_bytes: int = 0
    beside: tuple[NewVersion, ...] = ()
    averaged: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class ModelVersion:
    """An immutable version.

    Attributes:
        id: names it for good, even once the name of its model is used again.
        created_ms: since 1970.
        metrics: the main figures of its evidence; empty where nothing was measured.
        aliases: those that point here now, sorted.
        evidence: also None where it was not asked for.
    """

    id: int
    model: str
    version: int
    created_ms: int
    kind: ModelKind
    labels: tuple[str, ...]
    multi_label: bool
    threshold: float | None
    lineage: Lineage | None
    members: tuple[str, ...]
    metrics: Mapping[str, float]
    aliases: tuple[str, ...]
    artifact: str
    size_bytes: int
    evidence: Evidence | None = None

    @property
    def reference(self) -> str:
        """NAME@VERSION."""
        return f"{self.model}@{self.version}"


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """A named classifier. `aliases` say to which version each points; `latest` is without evidence."""

    name: str
    created_ms: int
    version_count: int
    aliases: Mapping[str, int]
    latest: ModelVersion


def main_metrics(evidence: Evidence | None) -> dict[str, float]:
    """The figures that a list shows; those that do not apply are left out."""
    if evidence is None:
        return {}
    measured = evidence.evaluation
    found = {
        "accuracy": measured.accuracy,
        "accuracy_low": measured.accuracy_low,
        "accuracy_high": measured.accuracy_high,
        "top5_accuracy": measured.top5_accuracy,
        "balanced_accuracy": measured.balanced_accuracy,
        "macro_f1": measured.macro_f1,
        "micro_f1": measured.micro_f1,
        "mean_average_precision": measured.mean_average_precision,
        "log_loss": measured.log_loss,
        "calibration_error": measured.calibration_error,
    }
    return {name: value for name, value in found.items() if value is not None}


def version_as_result(version: ModelVersion) -> Mapping[str, Any]:
    """A version as the result of a job."""
    return {"model_version": json.loads(json.dumps(dataclasses.asdict(version)))}


def version_from_json(values: Mapping[str, Any]) -> ModelVersion:
    """A version again from what `dataclasses.asdict` and JSON made of it."""
    lineage, evidence = values["lineage"], values["evidence"]
    return ModelVersion(
        **{
            **values,
            "kind": ModelKind(values["kind"]),
            "labels": tuple(values["labels"]),
            "members": tuple(values["members"]),
            "aliases": tuple(values["aliases"]),
            "lineage": None if lineage is None else Lineage(**lineage),
            "evidence": None if evidence is None else from_json(Evidence, evidence),
        }
    )
