"""What calls on models return."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Literal

from penult.evaluation_types import Evidence
from penult.types import ItemError

ExportFormat = Literal["onnx", "checkpoint", "arrays"]
ModelKind = Literal["head", "ensemble", "fine_tuned"]


@dataclasses.dataclass(frozen=True, slots=True)
class Lineage:
    """Where a version comes from: enough to train it again.

    Attributes:
        dataset, dataset_revision, example_count: the dataset when training was asked for.
        dataset_sha256: over image, labels and split of each example; equal for equal training data.
        backbone, fingerprint: what gives the features that it takes; of a fine-tuned version its own,
            "models/NAME@VERSION".
        head, parameters: kind of head, and its parameters with defaults filled in; of a fine-tuned version
            the settings of fine-tuning.
        augment: views of each image that were trained on beside the plain one, such as "flip".
        code_version: of Penult.
        parent: the version that it was trained on from, "" for none.
        job: the job that made it.
        start_backbone, start_weights_sha256: of a fine-tuned version, whose weights it started from.
        variant: which of the weights that training gave it holds: "probe", "plain", "ema", "mean" or
            "snapshot-STEP".
    """

    dataset: str
    dataset_revision: int
    example_count: int
    dataset_sha256: str
    backbone: str
    fingerprint: str
    head: str
    parameters: Mapping[str, Any]
    augment: str
    code_version: str
    parent: str
    job: str
    start_backbone: str = ""
    start_weights_sha256: str = ""
    variant: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of a version as the server keeps it. `sha256` is lower-case hex."""

    name: str
    size_bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True)
class Schedule:
    """The learning rate of a training before it starts.

    Attributes:
        factors: what multiplies the peak rate at every step.
        peak_rate: None where the range test is to propose it.
        png: its picture.
    """

    factors: tuple[float, ...]
    peak_rate: float | None
    png: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class ModelExport:
    """A version as a file that works without the server.

    Attributes:
        format: "onnx", "checkpoint" or "arrays".
        file_name: what to call it, such as "shoes-3.onnx".
        sha256: of the file, lower-case hex.
        max_difference: largest difference between a probability from the file and the server's, over some
            photographs.
    """

    model: str
    version: int
    format: str
    file_name: str
    size_bytes: int
    sha256: str
    max_difference: float


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """An immutable version of a model.

    Attributes:
        metrics: main figures of its evidence, such as "accuracy" and "macro_f1"; {} where nothing was
            measured, as for an ensemble.
        kind: "head", "ensemble" or "fine_tuned".
        labels: the classes.
        multi_label: an image may have several.
        threshold: an answer less probable than this is rejected; None: none is.
        lineage: None for an ensemble.
        members: of an ensemble, each "NAME@VERSION".
        aliases: those that pointed here when the server answered.
        size_bytes: of its files.
        evidence: from `get` and a training job's `result`; lists leave it out.
    """

    name: str
    version: int
    metrics: Mapping[str, float]
    kind: ModelKind
    labels: tuple[str, ...]
    multi_label: bool
    threshold: float | None
    lineage: Lineage | None
    members: tuple[str, ...]
    aliases: tuple[str, ...]
    created: datetime.datetime
    size_bytes: int
    evidence: Evidence | None = None

    @property
    def reference(self) -> str:
        """NAME@VERSION, which every call takes for a model."""
        return f"{self.name}@{self.version}"

    @property
    def backbone(self) -> str:
        """What gives the features that it takes, as every call names a backbone; "" for an ensemble."""
        return self.lineage.backbone if self.lineage is not None else ""


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one image.

    Attributes:
        label: the likeliest label, and `probability` what the model gives it.
        top: the likeliest labels with their probabilities, the likeliest first.
        rejected: it is less probable than the model's threshold: none of these.
        labels: multi-label: all with a probability of at least 0.5, the likeliest first.
        name: path of the image where it has one.
    """

    label: str
    probability: float
    top: tuple[tuple[str, float], ...]
    rejected: bool
    labels: tuple[str, ...] = ()
    name: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class PredictionBatch:
    """Predictions of some images.

    Attributes:
        predictions: None for an image that failed; with `on_error="skip"` such are left out.
        model: the version that was used, "NAME@VERSION".
        errors: the images that failed, by position.
        first_index: position of the first image of this batch among all images of the call.
        count: images of this batch, failed ones as well.
    """

    predictions: tuple[Prediction | None, ...]
    model: str
    errors: tuple[ItemError, ...]
    first_index: int
    count: int
