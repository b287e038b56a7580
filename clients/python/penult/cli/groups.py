"""Groups of commands."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class ListByDefault(TyperGroup):
    """`penult GROUP [OPTIONS]` is `penult GROUP list [OPTIONS]`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Part of click's Command."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)
