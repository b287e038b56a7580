"""For whom work is done: known without being handed through every call on the way."""

from __future__ import annotations

import contextvars

CALLER: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="")
"""Id of the API key of the call, or of the one that started the job; "" where there is none."""
