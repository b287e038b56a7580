"""The part of `client.models` that tunes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penult._finetuning import FineTuning
from penult._trials import tune_request
from penult.jobs import Job
from penult.tuning_types import Space, Tuning


class TuningModels(FineTuning):
    """Base of `Models`."""

    def tune(
        self,
        name: str,
        *,
        dataset: str,
        backbone: str | None = None,
        init_from: str | None = None,
        space: Space | None = None,
        search: str = "tpe",
        search_options: Mapping[str, Any] | None = None,
        pruner: str = "median",
        pruner_options: Mapping[str, Any] | None = None,
        trials: int = 0,
        minutes: float = 0.0,
        refine: float | None = None,
        parallel: int = 0,
        timeout: float | None = None,
        **settings: Any,
    ) -> Job[Tuning]:
        """Starts a job that fine-tunes many times with different settings; its `result()` is the Tuning.

        The best trial becomes a version of the model. `client.jobs.plot(job.id, "trials.png")` draws the
        trials so far: learning rate against weight decay, coloured by validation error.

        Args:
            name: of the model, new or not; the job adds one version.
            dataset: to learn from, as it is now.
            backbone: whose weights training starts from; None is the server's default.
            init_from: in its place, the model whose backbone training starts from, such as "clothing@3".
            space: settings that vary: a range `{"low": 1e-5, "high": 1e-2, "log": True}`, a list of choices,
                or one value; None for the usual ones (docs/finetuning.md lists them).
            search: "tpe", "random" or "grid".
            search_options: of the search, such as `{"points": 4}` of a grid.
            pruner: who ends trials early by their validation score: "median", "asha" or "none".
            pruner_options: of the pruner, such as `{"warmup_epochs": 3}`.
            trials: most to train; 0 for 20, or as many as fit into `minutes`.
            minutes: after which no trial begins, and those that run end with their epoch; 0 for any.
            refine: share of the trials, up to 0.9, that search a narrower space around the best.
            parallel: trials at once; 0 for one on each GPU, or one on the CPU.
            timeout: seconds for the call, not for the job.
            **settings: of fine-tuning, the same in every trial.

        Raises:
            InvalidArgument: an unknown or wrong setting, range, search, pruner or budget.
            FailedPrecondition: the dataset cannot be trained on.
        """
        request = tune_request(
            name, dataset, backbone=backbone, init_from=init_from, space=space, search=search,
            search_options=search_options, pruner=pruner, pruner_options=pruner_options, trials=trials,
            minutes=minutes, refine=refine, parallel=parallel, settings=settings,
        )  # fmt: skip
        return Job.of(self._link, self._link.call(self._stub.Tune, request, timeout).job)
