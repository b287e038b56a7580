"""Healthy means it works: a forward pass on the device decides, at start and again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from penult_server.core.backbone_pool import BackbonePool
from penult_server.core.errors import PenultError


class Readiness:
    """Runs the check of the default backbone and reports every change."""

    def __init__(
        self,
        pool: BackbonePool,
        backbone: str,
        *,
        interval: float,
        report: Callable[[bool, str], Awaitable[None]],
    ) -> None:
        """`interval` in seconds, also the longest a check may take. `report(ready, why)` hears of changes."""
        self._pool = pool
        self._backbone = backbone
        self._interval = interval
        self._report = report
        self._ready: bool | None = None

    async def watch(self) -> None:
        """Checks until it is cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(self._interval)

    async def check(self) -> bool:
        """One check now."""
        try:
            async with self._pool.lease(self._backbone) as loaded:
                # Not wait_for's business to stop the thread: a device that hangs keeps it, and is reported.
                ready = await asyncio.wait_for(asyncio.to_thread(loaded.check), self._interval)
            why = "" if ready else "the device gives other features than at load"
        except asyncio.TimeoutError:
            ready, why = False, f"no answer from the device within {self._interval} s"
        except PenultError as error:
            ready, why = False, error.message
        except RuntimeError as error:  # what torch raises for a lost device
            ready, why = False, f"{type(error).__name__} on the device: {error}"
        if ready != self._ready:
            self._ready = ready
            await self._report(ready, why)
        return ready
