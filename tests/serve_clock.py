"""`python -m tests.serve_clock serve …`: the server on a machine whose clock somebody puts.

The file that the environment variable CLOCK names holds the seconds by which it is off; it may change while
the server runs.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

true_time, true_time_ns = time.time, time.time_ns


def offset() -> float:
    """By how much the clock is off now."""
    return float(Path(os.environ["CLOCK"]).read_text() or "0")


def put() -> None:
    """Puts the clock of this process, before anything asks it."""
    time.time = lambda: true_time() + offset()
    time.time_ns = lambda: true_time_ns() + int(offset() * 1e9)


if __name__ == "__main__":
    put()
    from penult_server.__main__ import main

    main()
