"""Everything that a request can be refused for, as one small exception tree.

A raiser says what happened (`message`), what to do (`hint`) and a stable upper-case `reason` for
programs. The transport maps the class, never the text, to a status code.
"""

from __future__ import annotations


class PenultError(Exception):
    """Base of all refusals. Raise a subclass."""

    def __init__(self, reason: str, message: str, *, hint: str = "", **metadata: str) -> None:
        """Keeps `metadata` as strings that travel with the error, such as both fingerprints of a mismatch."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint
        self.metadata = metadata


class InvalidArgument(PenultError):
    """The request is wrong whatever the state of the server."""

    def __init__(
        self, reason: str, message: str, *, field: str = "", hint: str = "", **metadata: str
    ) -> None:
        """Names the offending request field as a path such as `options.tta.scales[0]`."""
        super().__init__(reason, message, hint=hint, **metadata)
        self.field = field


class NotFound(PenultError):
    """The named resource does not exist."""


class AlreadyExists(PenultError):
    """The name is taken by something different."""


class FailedPrecondition(PenultError):
    """The request is well formed, but not in this state of the server."""


class ResourceExhausted(PenultError):
    """A bound is reached. With `retry_after` it is worth another try after that many seconds."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        retry_after: float | None = None,
        hint: str = "",
        **metadata: str,
    ) -> None:
        """`retry_after`: seconds until a retry has a chance, or None where a retry cannot help."""
        super().__init__(reason, message, hint=hint, **metadata)
        self.retry_after = retry_after


class Unavailable(PenultError):
    """Something the server needs cannot be reached now, or the server is draining."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        retry_after: float | None = None,
        hint: str = "",
        **metadata: str,
    ) -> None:
        """`retry_after`: seconds until a retry here has a chance, or None where that is not known."""
        super().__init__(reason, message, hint=hint, **metadata)
        self.retry_after = retry_after


class Unauthenticated(PenultError):
    """Nobody knows who calls: no API key, or one that is not valid."""


class PermissionDenied(PenultError):
    """The caller is known, and may not do this."""


class DataLoss(PenultError):
    """Stored bytes are damaged: a checksum or a format does not hold."""


class Unimplemented(PenultError):
    """This version of the server does not have it."""


class Internal(PenultError):
    """A fault of the server itself. The log has the details under the request id."""
