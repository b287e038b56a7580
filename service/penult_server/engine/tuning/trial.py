"""A process that trains trials one after the other on one device; run as a program.

Standard input brings the order of the process and then one line a trial; while one trains, each epoch is a
question, and the line that comes back says whether to go on. A trial that brings the process down takes no
other with it.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from penult_server.core.finetune import TRAINING
from penult_server.core.job_faults import explain
from penult_server.core.jobs import LogLine
from penult_server.engine.finetune.evaluate import Score
from penult_server.engine.finetune.loop import finetune
from penult_server.engine.finetune.prepared import Examined, examine_job, prepare_run
from penult_server.engine.finetune.settings import parse_settings
from penult_server.engine.malloc import tune_malloc
from penult_server.engine.tuning.slots import Verdict
from penult_server.engine.workers.messages import Channel
from penult_server.engine.workers.parent import die_with_the_parent
from penult_server.engine.workers.task import Task

_LARGE = 1e9
"""In place of a loss that is not finite, which JSON has no word for."""


def fresh(examined: Examined) -> Examined:
    """With a network of its own, for a run that will change it."""
    built = dataclasses.replace(examined.built, network=copy.deepcopy(examined.built.network))
    return dataclasses.replace(examined, built=built)


def main() -> int:
    """Trains what it is told until there is no more input."""
    channel = Channel(os.dup(1))
    os.dup2(2, 1)  # whatever libraries print must not get between the lines
    die_with_the_parent()
    order = json.loads(sys.stdin.readline())
    tune_malloc()
    if order["threads"]:
        torch.set_num_threads(order["threads"])
    device = torch.device(order["device"])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with open(os.devnull, "wb") as nowhere:
        quiet = Task(Path(order["directory"]), Channel(nowhere.fileno()))  # the job has said all this already
        examined: Examined | None = None

        def verdict(epoch: int, accuracy: float, loss: float) -> str:
            asked = {"type": "epoch", "epoch": epoch, "accuracy": accuracy, "loss": loss}
            channel.write(json.dumps(asked).encode() + b"\n")
            reply = sys.stdin.readline()
            if not reply:
                os._exit(1)  # nobody waits for this trial any more
            return str(json.loads(reply)["end"])

        while line := sys.stdin.readline():
            try:
                if examined is None:
                    base = parse_settings(order["parameters"]["settings"])
                    examined = examine_job(quiet, order["parameters"], base)
                task = Task(quiet.directory, channel)
                answer = train_trial(examined, json.loads(line), device, task, quiet, verdict)
            except Exception as error:  # whatever training raises becomes the end of its trial
                why, trace = explain(error)
                if trace:
                    channel.send(LogLine("error", trace))
                answer = {"failed": dataclasses.asdict(why)}
            channel.write(json.dumps({"type": "ended", **answer}).encode() + b"\n")
    return 0


def train_trial(
    examined: Examined,
    trial: Mapping[str, Any],
    device: torch.device,
    task: Task,
    quiet: Task,
    verdict: Verdict,
) -> dict[str, Any]:
    """What Slot.train returns.

    Args:
        examined: of the job; stays as it is.
        trial: `settings` of fine-tuning, and `place`, a directory within the job's.
        device: to train on.
        task: hears what the training says.
        quiet: hears what was said for all trials already.
        verdict: is asked after each epoch.
    """
    settings, directory = parse_settings(trial["settings"]), task.directory
    place, shared = directory / trial["place"], directory / TRAINING
    job = prepare_run(fresh(examined), settings, place, shared, device, quiet)

    def ask(epoch: int, score: Score) -> str:
        return verdict(epoch, score.accuracy, min(score.loss, _LARGE))

    run = finetune(job.model, job.material, settings, job.rate, job.place, task, start=job.start, verdict=ask)
    trained = [values for name, values in run.best.items() if name != "probe"]
    accuracy, negative_loss, _ = max(trained, key=lambda values: tuple(values[:2]))
    return {
        "accuracy": accuracy,
        "loss": -negative_loss,
        "outcome": {"run": dataclasses.asdict(run), "rate": job.rate},
    }


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)
