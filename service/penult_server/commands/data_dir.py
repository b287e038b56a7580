"""The data directory of a command, and its database, whether or not a server uses them at the moment."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from penult_server.core.errors import FailedPrecondition
from penult_server.settings import Settings
from penult_server.store.data_dir import exclusive
from penult_server.store.database import FILE, Database


def add_option(parser: argparse.ArgumentParser) -> None:
    """`--data-dir` and `--config`, which mean what they mean to `serve`."""
    parser.add_argument("--data-dir", metavar="DIR", help="data directory of the server")
    parser.add_argument("--config", metavar="FILE", help="settings file of the server")


def data_dir_of(arguments: argparse.Namespace) -> Path:
    """From the flag, the environment, the file, or the default. Raises as Settings.load does."""
    given = {"--data-dir": arguments.data_dir, "--config": arguments.config}
    return Settings.load([word for flag, value in given.items() if value for word in (flag, value)]).data_dir


@contextlib.contextmanager
def opened(data_dir: Path) -> Iterator[Database]:
    """The database, brought up to date only where no server is running on it.

    Raises:
        FailedPrecondition: a server of another version runs.
        PenultError: the database cannot be opened.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(exclusive(data_dir))
            alone = True
        except FailedPrecondition:
            alone = False
        yield held.enter_context(contextlib.closing(Database(data_dir / FILE, migrate=alone)))
