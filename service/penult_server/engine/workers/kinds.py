"""The kinds of job. A kind is a function in a file of its own that registers itself."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import Any

from penult_server.core.errors import Internal
from penult_server.engine.workers.task import Task

Run = Callable[[Task, Mapping[str, Any]], Mapping[str, Any]]
"""Does the work of a job in a worker process: gets the job's parameters, returns its result, both JSON.

What it reads is in `task.directory`, and it writes nowhere else. It raises a PenultError for what
is wrong with the job. A resumable kind finds there what an earlier run saved.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """A registered kind."""

    name: str
    run: Run
    resumable: bool


_kinds: dict[str, Kind] = {}


def job_kind(name: str, *, resumable: bool) -> Callable[[Run], Run]:
    """Registers the decorated function. `resumable`: a new run goes on from what the last one saved."""

    def register(run: Run) -> Run:
        _kinds[name] = Kind(name, run, resumable)
        return run

    return register


def find(name: str) -> Kind:
    """A kind by name. Raises Internal where no imported module registers it."""
    try:
        return _kinds[name]
    except KeyError:
        raise Internal(
            "JOB_KIND_UNKNOWN",
            f"this version of the server has no jobs of kind {name!r}",
            hint="run the version that made the job, or delete it",
        ) from None


def find_in(module: str, name: str) -> Kind:
    """A kind of a module that may not have been imported yet."""
    importlib.import_module(module)
    return find(name)


class RegisteredKinds:
    """Implements core.job_ports.JobKinds."""

    def __init__(self, without_worker: Mapping[str, bool]) -> None:
        """`without_worker`: kinds that are done by a stage in the server alone, and whether they resume."""
        self._without_worker = without_worker

    def resumable(self, kind: str) -> bool:
        """See core.job_ports.JobKinds."""
        return self._without_worker[kind] if kind in self._without_worker else find(kind).resumable
