"""What an exception in the work of a job says to people, wherever the work is done."""

from __future__ import annotations

import traceback

from penult_server.core.disk_faults import meaning
from penult_server.core.errors import PenultError
from penult_server.core.jobs import JobError

_MAX_TRACE = 4000
"""Characters; the end of a traceback says most."""


def explain(error: Exception) -> tuple[JobError, str]:
    """The job's error, and a traceback for its log; that is empty unless the fault is the server's own."""
    if isinstance(error, OSError):
        error = meaning(error) or error
    if isinstance(error, PenultError):
        return JobError(error.reason, error.message, error.hint), ""
    if isinstance(error, MemoryError):
        memory = JobError(
            "OUT_OF_MEMORY", "the worker ran out of memory", "use less data or smaller settings"
        )
        return memory, ""
    crash = f"{type(error).__name__}: {error}"
    hint = "the job's log has the details; report it"
    return JobError("JOB_CRASHED", crash, hint), "".join(traceback.format_exception(error))[-_MAX_TRACE:]
