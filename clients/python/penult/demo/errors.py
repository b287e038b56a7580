"""What ends the demo with a message instead of a traceback."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot go on. `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
