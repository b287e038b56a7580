"""Everything a call can fail with, as one small exception tree.

The classes mirror gRPC's status codes; `reason` is the server's stable upper-case word for the
cause, to be compared by programs, and `hint` says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penult.types import ItemError


class PenultError(Exception):
    """Base of all errors of this package.

    Attributes:
        message: what happened.
        reason: stable upper-case word, such as `BACKBONE_NOT_FOUND`.
        hint: what to do about it; may be empty.
        metadata: further facts from the server, such as both fingerprints of a mismatch.
        request_id: names the call in the server's log; empty for errors found before a call.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        hint: str = "",
        metadata: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.hint = hint
        self.metadata = dict(metadata or {})
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InvalidArgument(PenultError):
    """The request is wrong, whatever the state of the server."""


class NotFound(PenultError):
    """The named resource does not exist."""


class AlreadyExists(PenultError):
    """The name is taken by something different."""


class FailedPrecondition(PenultError):
    """The request is well formed, but does not fit the present state."""


class ResourceExhausted(PenultError):
    """A bound is reached. `retry_after`: seconds until another try has a chance, None where it has none."""

    retry_after: float | None = None


class Unavailable(PenultError):
    """The server, or something it needs, cannot be reached now."""


class DeadlineExceeded(PenultError):
    """The answer did not come within the timeout."""


class Cancelled(PenultError):
    """The call was cancelled before it ended."""


class Unauthenticated(PenultError):
    """No API key, or one that the server does not know."""


class PermissionDenied(PenultError):
    """The API key may not do this."""


class DataLoss(PenultError):
    """Stored or sent bytes are damaged."""


class Internal(PenultError):
    """A fault of the server. Its log has the details under `request_id`."""


class ItemFailed(PenultError):
    """Some images could not be used, and `on_error` is "raise". `errors` says which and why."""

    errors: tuple[ItemError, ...] = ()

    @classmethod
    def of(cls, errors: Sequence[ItemError]) -> ItemFailed:
        """Names the first failed image, and how many more there are."""
        more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        failed = cls(
            f"{errors[0]}{more}",
            reason=errors[0].reason,
            hint='on_error="skip" or "return" goes on with the others',
        )
        failed.errors = tuple(errors)
        return failed


class JobFailed(PenultError):
    """A job has failed. `reason`, `message` and `hint` are the job's; `metadata["job"]` is its id."""


class SkippedImages(UserWarning):
    """Some images could not be used, and `on_error` is "skip"."""
