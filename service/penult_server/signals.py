"""Signals that are for this process alone."""

from __future__ import annotations

import os
import signal


def keep_from_children() -> None:
    """A forked child has the pipe by which signals reach the event loop: what ended it would end us too.

    asyncio does this itself from Python 3.12 on.
    """
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
