"""Training in several processes that torchrun starts, each with its part of every batch.

Gradients are summed over NCCL between GPUs and over gloo between CPUs. `train_in_processes` is the job's
side; `join_training` is that of another machine; run as a program, this is the side of each process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from penult_server.core.errors import FailedPrecondition
from penult_server.core.finetune import TRAINING
from penult_server.core.job_faults import explain
from penult_server.core.jobs import JobError, LogLine
from penult_server.engine.finetune.judge import finish_on_request
from penult_server.engine.finetune.loop import finetune
from penult_server.engine.finetune.prepared import prepare_job
from penult_server.engine.finetune.settings import FineTuneSettings, parse_settings
from penult_server.engine.finetune.world import join
from penult_server.engine.machine import cores
from penult_server.engine.malloc import tune_malloc
from penult_server.engine.workers.messages import Beat, Channel, decode
from penult_server.engine.workers.task import Task

MAX_RESTARTS = 3
"""How often torchrun starts all processes again when one was lost; they go on from the checkpoint."""
_ORDER = Path(TRAINING, "order.json")
"""The parameters of the job, for its processes; in its directory."""
_HOSTS = "PENULT_TRAINING_HOST"
"""Environment variable of the processes: not empty on the job's own machine."""
_REFUSED = 3
"""Exit status of a process whose job cannot be done; another start would not help."""


def train_in_processes(task: Task, parameters: Mapping[str, Any], settings: FineTuneSettings) -> None:
    """Trains until a last checkpoint says that it is over.

    Args:
        task: hears what the leading process says.
        parameters: of the job.
        settings: say how many processes on how many machines; the others have to join.

    Raises:
        FailedPrecondition: what a process refused, or PROCESSES_LOST.
    """
    order = task.directory / _ORDER
    part = order.with_suffix(".part")
    part.write_text(json.dumps(parameters), encoding="utf-8")
    part.rename(order)
    if settings.nodes > 1:
        task.log(f"waits at {parameters['rendezvous']} for {settings.nodes - 1} more machines to join")
    refused: JobError | None = None
    command, environment = _torchrun(task.directory, parameters, settings, hosts=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as torchrun:
        assert torchrun.stdout is not None
        try:
            for line in torchrun.stdout:
                message = decode(line.rstrip(b"\n"))
                if isinstance(message, JobError):
                    refused = message
                    torchrun.terminate()
                elif not isinstance(message, Beat):
                    task.relay(message)
        finally:
            torchrun.terminate()
    if refused is not None:
        raise FailedPrecondition(refused.reason, refused.message, hint=refused.hint)
    if torchrun.returncode:
        raise FailedPrecondition(
            "PROCESSES_LOST",
            f"training processes ended {MAX_RESTARTS + 1} times before the training did",
            hint="resume the job; fewer processes or a smaller micro_batch take less memory",
        )


def join_training(directory: Path) -> int:
    """Lends this machine to a job of another, once that is ready for it. The exit status of torchrun.

    Args:
        directory: of the job, on a file system that both machines have at the same place.
    """
    while not (directory / _ORDER).exists():
        time.sleep(1.0)
    parameters = json.loads((directory / _ORDER).read_bytes())
    settings = parse_settings(parameters["settings"])
    command, environment = _torchrun(directory, parameters, settings, hosts=False)
    return subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode


def _torchrun(
    directory: Path, parameters: Mapping[str, Any], settings: FineTuneSettings, *, hosts: bool
) -> tuple[list[str], dict[str, str]]:
    """Command and environment. `hosts`: this is the job's own machine, where its leading process is."""
    if settings.nodes > 1:
        where = [
            f"--nnodes={settings.nodes}", "--rdzv-backend=c10d", f"--rdzv-id={directory.name}",
            f"--rdzv-endpoint={parameters['rendezvous']}", f"--rdzv-conf=is_host={hosts}",
        ]  # fmt: skip
    else:
        where = ["--standalone"]
    command = [
        sys.executable, "-m", "torch.distributed.run", *where, f"--nproc-per-node={settings.processes}",
        f"--max-restarts={MAX_RESTARTS}", "-m", __name__, str(directory),
    ]  # fmt: skip
    threads = max(1, cores() // settings.processes)
    return command, {**os.environ, "OMP_NUM_THREADS": str(threads), _HOSTS: "1" if hosts else ""}


def main() -> int:
    """One of the processes."""
    number = int(os.environ["LOCAL_RANK"])
    # The ranks of machines are torchrun's to give: the leading process is the first one of the job's own.
    leads = number == 0 and bool(os.environ[_HOSTS])
    # Only it speaks, and whatever libraries print must not get between its lines.
    channel = Channel(os.dup(1) if leads else os.open(os.devnull, os.O_WRONLY))
    os.dup2(2, 1)
    directory = Path(sys.argv[1])
    parameters = json.loads((directory / _ORDER).read_bytes())
    tune_malloc()
    kind = torch.device(parameters.get("device", "cpu")).type
    device = torch.device(kind, number) if kind == "cuda" else torch.device(kind)
    if kind == "cuda":
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(max(1, int(os.environ["OMP_NUM_THREADS"])))
    world = join(device, leads=leads)
    try:
        with open(os.devnull, "wb") as nowhere:
            quiet = Task(directory, Channel(nowhere.fileno()))  # the job has said all this already
            job = prepare_job(quiet, parameters, device)
        task = Task(directory, channel)
        finetune(
            job.model, job.material, job.settings, job.rate, job.place, task, world, job.start,
            finish_on_request(directory),
        )  # fmt: skip
    except Exception as error:  # the end of the process: whatever training raises becomes its job's error
        why, trace = explain(error)
        if trace:
            channel.send(LogLine("error", trace))
        channel.send(why)
        return _REFUSED
    dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
