"""Which server a command is about: its data directory and database, whether or not it runs at the moment."""

from __future__ import annotations

import argparse
import sys

from pydantic import ValidationError

from penult_server.core.errors import PenultError
from penult_server.settings import Settings, problems


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--data-dir`, `--database-url` and `--config`, which mean what they mean to `serve`."""
    parser.add_argument("--data-dir", metavar="DIR", help="data directory of the server")
    parser.add_argument(
        "--database-url", metavar="URL", help="database of the server, where it is PostgreSQL"
    )
    parser.add_argument("--config", metavar="FILE", help="settings file of the server")


def settings_of(arguments: argparse.Namespace) -> Settings:
    """From the flags, the environment, the file, or the defaults. Raises as Settings.load does."""
    given = {
        "--data-dir": arguments.data_dir,
        "--database-url": arguments.database_url,
        "--config": arguments.config,
    }
    return Settings.load([word for flag, value in given.items() if value for word in (flag, value)])


def told(error: PenultError | FileNotFoundError | ValidationError) -> int:
    """Says on standard error what is wrong; the exit status: 1 where it was refused, 2 for wrong settings."""
    if isinstance(error, PenultError):
        lines = [f"{error.message}{f' ({error.hint})' if error.hint else ''}"]
    else:
        lines = problems(error)
    sys.stderr.writelines(f"penult-server: {line}\n" for line in lines)
    return 1 if isinstance(error, PenultError) else 2
