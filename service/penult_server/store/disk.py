"""How much is free."""

from __future__ import annotations

import shutil
from pathlib import Path

from penult_server.core.disk_faults import disk_full


def check_room(directory: Path, size_bytes: int) -> None:
    """Raises ResourceExhausted DISK_FULL where so much is not free."""
    if shutil.disk_usage(directory).free < size_bytes:
        raise disk_full()
