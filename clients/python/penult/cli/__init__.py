"""The `penult` command."""

from penult.cli.app import main

__all__ = ["main"]
