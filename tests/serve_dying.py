"""`python -m tests.serve_dying serve …`: the server, made to end or to fail in the middle of a publication.

The environment variable DIE_AT says where: "files", when the files of a version are in place and its row is
not; "row", when both are and the job does not know it yet; "full", where the disk is full while there is a
file named full in the working directory.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from penult_server.__main__ import main
from penult_server.core.disk_faults import disk_full
from penult_server.core.models import ModelVersion, NewVersion
from penult_server.store.artifacts import ArtifactStore
from penult_server.store.models import DatabaseModels

add, publish = ArtifactStore.add, DatabaseModels.publish


def dying_add(self: ArtifactStore, name: str, source: Path) -> int:
    if os.environ["DIE_AT"] == "full" and Path("full").exists():
        raise disk_full()
    size = add(self, name, source)
    if os.environ["DIE_AT"] == "files":
        os.kill(os.getpid(), signal.SIGKILL)
    return size


def dying_publish(
    self: DatabaseModels, name: str, job_id: str, make: Callable[[], NewVersion]
) -> ModelVersion:
    version = publish(self, name, job_id, make)
    if os.environ["DIE_AT"] == "row":
        os.kill(os.getpid(), signal.SIGKILL)
    return version


if __name__ == "__main__":
    ArtifactStore.add = dying_add  # type: ignore[method-assign]
    DatabaseModels.publish = dying_publish  # type: ignore[method-assign]
    main()
