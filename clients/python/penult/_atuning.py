"""The part of `client.models` for asyncio that tunes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penult._afinetuning import AsyncFineTuning
from penult._trials import tune_request
from penult.aio_jobs import AsyncJob
from penult.tuning_types import Space, Tuning


class AsyncTuningModels(AsyncFineTuning):
    """Base of `AsyncModels`; `TuningModels` explains the arguments."""

    async def tune(
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
    ) -> AsyncJob[Tuning]:
        """Starts a job that fine-tunes many times with different settings; its `result()` is the Tuning."""
        request = tune_request(
            name, dataset, backbone=backbone, init_from=init_from, space=space, search=search,
            search_options=search_options, pruner=pruner, pruner_options=pruner_options, trials=trials,
            minutes=minutes, refine=refine, parallel=parallel, settings=settings,
        )  # fmt: skip
        return AsyncJob.of(self._link, (await self._link.call(self._stub.Tune, request, timeout)).job)
