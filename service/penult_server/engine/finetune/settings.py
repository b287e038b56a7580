"""Everything that a fine-tuning job can be told, each with a default that evidence speaks for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penult_server.core.errors import FailedPrecondition, InvalidArgument
from penult_server.core.finetune import Augmentation, BatchNorm, Precision, Start
from penult_server.core.schedules import Schedule, make_schedule
from penult_server.engine.finetune.optimizers import check_optimizer, default_rate

_RATE_BATCH = 32
PROBE_SHARE = 0.1
"""Share of the usual rate from a linear probe on. The first steps all move one way, and at the full rate
twenty of them undo what the probe knew: measured in docs/finetuning.md."""


class FineTuneSettings(BaseModel):
    """The recipe. Defaults are LP-FT: a linear probe, then everything at a low rate.

    Kumar et al. 2022 (arXiv:2202.10054): as accurate as plain fine-tuning on the data at hand, and more
    accurate away from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    start: Start = Field(
        default="pretrained",
        description="`pretrained` weights of the backbone, or `random` ones from `seed`.",
    )
    linear_probe: bool = Field(
        default=True,
        description="Start from a logistic regression on pretrained features instead of a random head.",
    )
    trainable: str = Field(
        default="all",
        description="What learns: `all`, the `last` stages and the head, the `head` alone, or all from a "
        "stage on, by its name, such as `blocks.4`.",
    )
    last_stages: int = Field(default=2, ge=1, description="How many stages `last` means.")
    batch_norm: BatchNorm = Field(
        default="auto",
        description="`frozen` keeps the statistics of pre-training; `auto` does below 2,000 training images.",
    )
    epochs: int = Field(default=20, ge=1, le=10_000, description="Passes over the training images, at most.")
    batch_size: int = Field(
        default=32, ge=1, le=65_536, description="Images that one update of the weights sees."
    )
    micro_batch: int = Field(
        default=0,
        ge=0,
        description="Images computed at once; gradients accumulate up to `batch_size`. 0: all.",
    )
    optimizer: str = Field(
        default="adamw",
        description="`sgd`, `momentum`, `nesterov`, `adagrad`, `rmsprop`, `adam`, `adamw`, or timm's name.",
    )
    optimizer_options: dict[str, Any] = Field(
        default={}, description="More arguments of the optimiser, such as `betas`."
    )
    learning_rate: Annotated[float, Field(gt=0)] | Literal["default", "proposed"] = Field(
        default="default",
        description="Peak rate; `default` is the optimiser's usual one for `batch_size` (linear scaling), a "
        "tenth of it after a linear probe; `proposed` that of the range test.",
    )
    layer_decay: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="Each stage further from the head learns at this share of the next one's rate.",
    )
    weight_decay: float = Field(default=0.02, ge=0, description="Not applied to norms and biases.")
    schedule: str = Field(
        default="cosine",
        description="`constant`, `step`, `cosine`, `linear`, `inverse_sqrt`, `one_cycle` or `cyclic`.",
    )
    schedule_options: dict[str, Any] = Field(default={}, description="Options of the schedule.")
    warmup: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the steps in which the rate rises linearly first."
    )
    label_smoothing: float = Field(
        default=0.1, ge=0, lt=1, description="Share of each target spread over all classes."
    )
    mixup: float = Field(default=0.0, ge=0, description="alpha of mixup; 0 for none.")
    cutmix: float = Field(
        default=0.0, ge=0, description="alpha of cutmix; with both, each batch gets one of them."
    )
    augmentation: Augmentation = Field(
        default="crop",
        description="`none`, `flip` (the picture as it is served, mirrored), `crop` (random resized crop and "
        "flips), or that with `randaugment` or `trivialaugment`.",
    )
    crop_scale: float = Field(
        default=0.5, gt=0, le=1, description="Least share of the picture that a random crop shows."
    )
    horizontal_flip: float = Field(default=0.5, ge=0, le=1, description="Probability of a mirrored picture.")
    vertical_flip: float = Field(
        default=0.0, ge=0, le=1, description="Probability of an upside-down picture."
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout before the head.")
    stochastic_depth: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Probability of skipping the last residual block; earlier ones less.",
    )
    clip_norm: float = Field(
        default=1.0, ge=0, description="Longest gradient; longer ones are scaled down. 0: any."
    )
    class_balanced: bool = Field(default=False, description="Draw every class as often as every other.")
    precision: Precision = Field(
        default="auto",
        description="`auto`: bfloat16 or float16 on a GPU, float32 on a CPU. The weights stay float32.",
    )
    patience: int = Field(
        default=0,
        ge=0,
        description="Epochs without a better score before it stops; 0: half of `epochs`, at least 5.",
    )
    ema: float = Field(
        default=0.98, ge=0, lt=1, description="Decay of the moving average of the weights; 0 for none."
    )
    average_from: float = Field(
        default=0.75,
        gt=0,
        le=1,
        description="Share of the epochs after which their weights are averaged; 1 for no average.",
    )
    keep: int = Field(
        default=0,
        ge=0,
        le=20,
        description="How many snapshots of a `cyclic` schedule become an ensemble, and are kept.",
    )
    keep_averages: bool = Field(
        default=False, description="Keep the weights that were not the best beside those that were."
    )
    validation_share: float = Field(
        default=0.15,
        gt=0,
        lt=0.9,
        description="Share of the training images that judge where no validation images are.",
    )
    preflight: bool = Field(
        default=True, description="Check initial loss, learning and learning rate before training."
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**31,
        description="Order, augmentation, dropout and random weights follow from it.",
    )
    checkpoint_seconds: float = Field(
        default=60.0, ge=0, description="Time between checkpoints within an epoch."
    )
    loader_workers: int = Field(
        default=-1,
        ge=-1,
        le=64,
        description="Processes that augment pictures; -1: half of the cores, at most 4.",
    )
    processes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that share each batch, on as many GPUs or on the cores of the CPU.",
    )
    nodes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Machines with `processes` each; the others join the job by `penult-server join`.",
    )
    cache_mb: int = Field(
        default=8192, ge=0, description="MiB of disk for decoded pictures; else they are decoded each time."
    )

    def make_schedule(self) -> Schedule:
        """The schedule, which can be drawn. Raises InvalidArgument."""
        return make_schedule(self.schedule, self.schedule_options, self.warmup)

    def known_rate(self) -> float | None:
        """The peak rate as far as the settings say it; None where the range test is to propose it."""
        if self.learning_rate == "proposed":
            return None
        return self.usual_rate() if self.learning_rate == "default" else self.learning_rate

    def usual_rate(self) -> float:
        """The optimiser's rate for 32 images, scaled with the batch (Goyal et al. 2017, arXiv:1706.02677).

        A tenth of it where the trunk starts to move under a head that is right already.
        """
        probed = self.linear_probe and self.start == "pretrained" and self.trainable != "head"
        share = PROBE_SHARE if probed else 1.0
        return share * default_rate(self.optimizer) * self.batch_size / _RATE_BATCH

    @property
    def all_processes(self) -> int:
        """On all machines."""
        return self.processes * self.nodes

    def epochs_of_patience(self) -> int:
        """Epochs without a better score before training stops."""
        return self.patience or max(5, self.epochs // 2)


def parse_settings(values: Mapping[str, Any]) -> FineTuneSettings:
    """Checks all that can be checked before any image is looked at.

    Raises:
        InvalidArgument: SETTING_UNKNOWN, BAD_SETTING, OPTIMIZER_UNKNOWN, OPTIMIZER_UNSUPPORTED,
            BAD_OPTIMIZER_OPTION, SCHEDULE_UNKNOWN or BAD_SCHEDULE_OPTION.
    """
    try:
        settings = FineTuneSettings(**values)
    except ValidationError as error:
        raise _explained(error) from error
    if (settings.mixup or settings.cutmix) and (settings.batch_size % 2 or settings.micro_batch % 2):
        raise InvalidArgument(
            "BAD_SETTING", "mixup and cutmix mix pairs: the batch must be even", field="batch_size",
            hint=f"batch_size={settings.batch_size + settings.batch_size % 2}",
        )  # fmt: skip
    pairs = 2 if settings.mixup or settings.cutmix else 1
    shared = settings.all_processes * pairs
    if settings.all_processes > 1 and settings.batch_size % shared:
        raise InvalidArgument(
            "BAD_SETTING",
            f"{settings.all_processes} processes cannot share {settings.batch_size} images evenly",
            field="batch_size",
            hint=f"a multiple of {shared}",
        )
    check_optimizer(settings.optimizer, settings.optimizer_options)
    settings.make_schedule()
    return settings


def check_size(settings: FineTuneSettings, training_images: int) -> None:
    """Raises FailedPrecondition SET_TOO_SMALL where several processes cannot share a batch."""
    if settings.all_processes > 1 and training_images < settings.batch_size:
        raise FailedPrecondition(
            "SET_TOO_SMALL",
            f"{training_images} training images do not fill a batch of {settings.batch_size} for "
            f"{settings.all_processes} processes",
            hint="one process, or a smaller batch_size",
        )


def _explained(error: ValidationError) -> InvalidArgument:
    fault = error.errors()[0]
    name = str(fault["loc"][0]) if fault["loc"] else ""
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, FineTuneSettings.model_fields, n=3)
        return InvalidArgument(
            "SETTING_UNKNOWN",
            f"fine-tuning has no setting {name[:80]!r}" + (f"; near: {', '.join(near)}" if near else ""),
            field=name,
            hint="docs/finetuning.md lists them",
        )
    description = FineTuneSettings.model_fields[name].description or ""
    return InvalidArgument("BAD_SETTING", f"{name}: {fault['msg']}", field=name, hint=description)


def markdown_table() -> str:
    """The table of docs/finetuning.md."""
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for name, field in FineTuneSettings.model_fields.items():
        default = str(field.default).lower() if isinstance(field.default, bool) else field.default
        rows.append(f"| `{name}` | `{default}` | {field.description} |")
    return "\n".join(rows) + "\n"
