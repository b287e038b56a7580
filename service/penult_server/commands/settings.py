"""`penult-server settings`."""

from __future__ import annotations

import sys

from penult_server.settings import markdown_table


def settings_command(arguments: list[str]) -> int:
    """Prints the table of docs/settings.md."""
    sys.stdout.write(markdown_table())
    return 0
