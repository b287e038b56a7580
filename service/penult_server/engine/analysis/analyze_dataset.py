"""The job kind `analyze_dataset`: looks at every picture of a snapshot once."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from penult_server.core.analyze_dataset import KIND
from penult_server.core.images import ImageLimits
from penult_server.core.snapshot import Snapshot, image_file, read_examples
from penult_server.engine.analysis.picture import Picture, examine
from penult_server.engine.analysis.report import analysis
from penult_server.engine.workers.kinds import job_kind
from penult_server.engine.workers.task import Task

_CHUNK = 256
_SEEN = "pictures.jsonl"


@job_kind(KIND, resumable=True)
def analyze_dataset(task: Task, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Examines pictures, saving after every 256, then compares them all."""
    snapshot, limits = Snapshot.read(task.directory), ImageLimits(**parameters["limits"])
    pictures = _seen(task.directory / _SEEN)
    task.log(f"{snapshot.count} examples, {len(pictures)} of them examined before")
    todo = islice(read_examples(task.directory), len(pictures), None)
    # Decoders release the interpreter's lock; half of the cores are left to serving.
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    with ThreadPoolExecutor(threads) as pool, open(task.directory / _SEEN, "a", encoding="utf-8") as file:
        while chunk := list(islice(todo, _CHUNK)):
            files = [image_file(task.directory, example.sha256) for example in chunk]
            for picture in pool.map(lambda path: examine(path, limits), files):
                pictures.append(picture)
                file.write(json.dumps(dataclasses.asdict(picture)) + "\n")
                task.progress(len(pictures), snapshot.count, unit="images", phase="examine")
            file.flush()
            os.fsync(file.fileno())
            task.saved()
            task.metrics(
                {"unreadable": sum(bool(picture.reason) for picture in pictures)}, step=len(pictures)
            )
    task.progress(0, 1, phase="compare")
    found = analysis(snapshot, list(read_examples(task.directory)), pictures)
    task.progress(1, 1, phase="compare")
    return found


def _seen(file: Path) -> list[Picture]:
    """What an earlier run saved. A line that it did not finish is cut off."""
    if not file.exists():
        return []
    data = file.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(file, len(whole))
    return [Picture(**json.loads(line)) for line in whole.splitlines()]
