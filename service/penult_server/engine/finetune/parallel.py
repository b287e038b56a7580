"""Training in several processes that torchrun starts, each with its part of every batch.

Gradients are summed over NCCL between GPUs and over gloo between CPUs. `train_in_processes` is the job's
side; run as a program, this is the side of each process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from penult_server.core.errors import FailedPrecondition
from penult_server.core.job_faults import explain
from penult_server.core.jobs import JobError, LogLine
from penult_server.engine.finetune.loop import finetune
from penult_server.engine.finetune.prepared import prepare_job
from penult_server.engine.finetune.world import join
from penult_server.engine.machine import cores
from penult_server.engine.malloc import tune_malloc
from penult_server.engine.workers.messages import Beat, Channel, decode
from penult_server.engine.workers.task import Task

MAX_RESTARTS = 3
"""How often torchrun starts all processes again when one was lost; they go on from the checkpoint."""
_REFUSED = 3
"""Exit status of a process whose job cannot be done; another start would not help."""


def train_in_processes(task: Task, parameters: Mapping[str, Any], processes: int) -> None:
    """Trains until a last checkpoint says that it is over.

    Args:
        task: hears what the leading process says.
        parameters: of the job.
        processes: how many, on this machine.

    Raises:
        FailedPrecondition: what a process refused, or PROCESSES_LOST.
    """
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}",
        f"--max-restarts={MAX_RESTARTS}", "-m", __name__, str(task.directory),
    ]  # fmt: skip
    order = task.directory / "training" / "order.json"
    order.write_text(json.dumps(parameters), encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, cores() // processes))}
    refused: JobError | None = None
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


def main() -> int:
    """One of the processes."""
    number = int(os.environ["LOCAL_RANK"])
    # Only the leading process speaks, and whatever libraries print must not get between its lines.
    channel = Channel(os.dup(1) if os.environ["RANK"] == "0" else os.open(os.devnull, os.O_WRONLY))
    os.dup2(2, 1)
    directory = Path(sys.argv[1])
    parameters = json.loads((directory / "training" / "order.json").read_bytes())
    tune_malloc()
    kind = torch.device(parameters.get("device", "cpu")).type
    device = torch.device(kind, number) if kind == "cuda" else torch.device(kind)
    if kind == "cuda":
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(max(1, int(os.environ["OMP_NUM_THREADS"])))
    world = join(device)
    try:
        with open(os.devnull, "wb") as nowhere:
            quiet = Task(directory, Channel(nowhere.fileno()))  # the job has said all this already
            job = prepare_job(quiet, parameters, device)
        task = Task(directory, channel)
        finetune(job.model, job.material, job.settings, job.rate, job.place, task, world, job.start)
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
