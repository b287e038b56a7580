"""`penult-server backup` and `penult-server restore`."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penult_server.commands.data_dir import add_options, settings_of, told
from penult_server.core.errors import PenultError
from penult_server.settings import Settings
from penult_server.store import backup as store


def backup_command(arguments: list[str]) -> int:
    """Exit status 0; 1 where it was refused or failed; 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        "penult-server backup", description="Copy all that a server keeps, also while it runs."
    )
    parser.add_argument("target", type=Path, help="folder to make")
    add_options(parser)
    options = parser.parse_args(arguments)
    version = importlib.metadata.version("penult")
    return _told(options, lambda at: store.backup(at.data_dir, options.target, version, at.database))


def restore_command(arguments: list[str]) -> int:
    """Exit status 0; 1 where it was refused or failed; 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        "penult-server restore", description="Make a data directory of a backup, after checking all of it."
    )
    parser.add_argument("source", type=Path, help="folder that `backup` made")
    add_options(parser)
    options = parser.parse_args(arguments)
    return _told(options, lambda at: store.restore(options.source, at.data_dir, at.database))


def _told(options: argparse.Namespace, work: Callable[[Settings], dict[str, Any]]) -> int:
    try:
        made = work(settings_of(options))
    except (PenultError, FileNotFoundError, ValidationError) as error:
        return told(error)
    except OSError as error:
        sys.stderr.write(f"penult-server: {error.strerror}\n")
        return 1
    sys.stdout.write(f"{len(made['files'])} files, of version {made['version']}\n")
    return 0
