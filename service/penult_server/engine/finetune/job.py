"""The job kind `finetune`: from a snapshot and a backbone to a directory that holds a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from penult_server.core.finetune import KIND
from penult_server.engine.finetune.finish import Lineage, finish
from penult_server.engine.finetune.judge import finish_on_request
from penult_server.engine.finetune.loop import finetune
from penult_server.engine.finetune.parallel import train_in_processes
from penult_server.engine.finetune.prepared import Prepared, prepare_job
from penult_server.engine.finetune.run import Run
from penult_server.engine.malloc import tune_malloc
from penult_server.engine.workers.kinds import job_kind
from penult_server.engine.workers.task import Task


@job_kind(KIND, resumable=True)
def finetune_job(task: Task, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fine-tunes a backbone on the snapshot in the job's directory.

    `parameters`: `backbone` (a name), `settings` (of FineTuneSettings), `catalog` (arguments of Catalog,
    paths as text), `limits` (of ImageLimits), `device` (of torch), `rendezvous` (HOST:PORT; only for several
    machines).

    Returns:
        What `finish` returns; the model is in the directory `model`.
    """
    tune_malloc()
    job = prepare_job(task, parameters, torch.device(parameters.get("device", "cpu")))
    for remedy in job.remedies:
        task.log(remedy, "warning")
    if job.settings.all_processes > 1:
        train_in_processes(task, parameters, job.settings)
    # Where several processes have trained, this finds their last checkpoint and nothing left to do.
    run = finetune(
        job.model, job.material, job.settings, job.rate, job.place, task, start=job.start,
        verdict=finish_on_request(task.directory),
    )  # fmt: skip
    return finish_job(job, run, task)


def finish_job(job: Prepared, run: Run, task: Task) -> Mapping[str, Any]:
    """What `finish` returns for a run of this job."""
    run.remedies[:0] = job.remedies
    facts = job.built.facts
    lineage = Lineage(
        backbone=facts.name,
        backbone_weights_sha256=job.built.weights_sha256,
        architecture=job.built.architecture_key,
        licence=facts.licence,
        dataset=job.snapshot.dataset,
        revision=job.snapshot.revision,
    )
    return finish(
        job.model,
        job.material,
        job.division,
        job.settings,
        run,
        job.rate,
        job.checks,
        lineage,
        job.place,
        task,
    )
