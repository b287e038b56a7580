"""`penult-server backup` and `penult-server restore`."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penult_server.commands.data_dir import add_option, data_dir_of
from penult_server.core.errors import PenultError
from penult_server.store import backup as store


def backup_command(arguments: list[str]) -> int:
    """Exit status 0; 1 where it was refused or failed; 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        "penult-server backup", description="Copy all that a server keeps, also while it runs."
    )
    parser.add_argument("target", type=Path, help="folder to make")
    add_option(parser)
    options = parser.parse_args(arguments)
    return _told(
        options, lambda data_dir: store.backup(data_dir, options.target, importlib.metadata.version("penult"))
    )


def restore_command(arguments: list[str]) -> int:
    """Exit status 0; 1 where it was refused or failed; 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        "penult-server restore", description="Make a data directory of a backup, after checking all of it."
    )
    parser.add_argument("source", type=Path, help="folder that `backup` made")
    add_option(parser)
    options = parser.parse_args(arguments)
    return _told(options, lambda data_dir: store.restore(options.source, data_dir))


def _told(options: argparse.Namespace, work: Callable[[Path], dict[str, Any]]) -> int:
    try:
        made = work(data_dir_of(options))
    except PenultError as error:
        sys.stderr.write(f"penult-server: {error.message}{f' ({error.hint})' if error.hint else ''}\n")
        return 1
    except (FileNotFoundError, ValidationError) as error:
        sys.stderr.write(f"penult-server: the settings cannot be read: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"penult-server: {error.strerror}\n")
        return 1
    sys.stdout.write(f"{len(made['files'])} files, of version {made['version']}\n")
    return 0
