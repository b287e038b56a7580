"""Names of resources, which are the caller's to choose."""

from __future__ import annotations

import re

from penult_server.core.errors import InvalidArgument

RESOURCE_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def check_name(name: str, field: str) -> None:
    """Raises InvalidArgument for what is no resource id, naming the request's field."""
    if not RESOURCE_ID.fullmatch(name):
        raise InvalidArgument(
            "BAD_NAME",
            f"{name[:80]!r} is not a name: lower-case letters, digits, '.', '_' and '-', "
            "at most 63, starting with a letter or digit",
            field=field,
        )
