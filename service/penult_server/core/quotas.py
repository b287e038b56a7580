"""How much may be kept. A refusal names no time to come back at: somebody has to delete something first."""

from __future__ import annotations

import dataclasses

from penult_server.core.errors import ResourceExhausted

UNBOUNDED = 1 << 62


@dataclasses.dataclass(frozen=True, slots=True)
class Quotas:
    """Most of each kind; most bytes of examples, items and models, of all and of what one key has made."""

    datasets: int = UNBOUNDED
    indexes: int = UNBOUNDED
    index_items: int = UNBOUNDED
    models: int = UNBOUNDED
    bytes: int = UNBOUNDED
    bytes_per_key: int = UNBOUNDED

    def one_more(self, kind: str, there: int) -> None:
        """Before a new one of a kind, "datasets", "indexes" or "models". Raises ResourceExhausted."""
        most: int = getattr(self, kind)
        if there >= most:
            raise ResourceExhausted(
                f"TOO_MANY_{kind.upper()}",
                f"the server holds {there} {kind}, which is the most that it takes",
                hint=f"delete some, or raise max_{kind} in the server's settings",
            )

    def items(self, there: int, more: int) -> None:
        """Before `more` new items of an index that holds `there`. Raises ResourceExhausted INDEX_QUOTA."""
        if more and there + more > self.index_items:
            raise ResourceExhausted(
                "INDEX_QUOTA",
                f"the index holds {there} items and may hold {self.index_items}; {more} more do not fit",
                hint="remove some, or raise max_index_items in the server's settings",
            )

    @property
    def bound_bytes(self) -> bool:
        """Whether bytes are to be counted at all."""
        return min(self.bytes, self.bytes_per_key) < UNBOUNDED

    def stored(self, there: int, of_key: int | None, more: int) -> None:
        """Before `more` bytes; `of_key` are those of the key whose they will be, None for no key.

        Raises ResourceExhausted STORAGE_QUOTA.
        """
        for held, most, whose in ((there, self.bytes, "all"), (of_key, self.bytes_per_key, "this API key")):
            if held is not None and held + more > most:
                raise ResourceExhausted(
                    "STORAGE_QUOTA",
                    f"what {whose} has stored takes {held >> 20} MiB of {most >> 20}; "
                    f"{more} bytes more do not fit",
                    hint="delete something, or raise max_stored_mb or max_stored_mb_per_key in the settings",
                )


NO_QUOTAS = Quotas()
"""Bounds nothing."""
