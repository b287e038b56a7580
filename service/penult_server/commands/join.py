"""`penult-server join`: lends this machine to a fine-tuning job of a server on another one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from penult_server.commands.data_dir import add_options, settings_of, told
from penult_server.engine.finetune.parallel import join_training


def join_command(arguments: list[str]) -> int:
    """Exit status of the training; 1 where there is no such job, 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog="penult-server join",
        description="Trains together with the server whose data directory this is, which both machines must "
        "have at the same place. Ends with the training.",
    )
    parser.add_argument("job", help="id of a job of fine-tuning with several nodes")
    add_options(parser)
    options = parser.parse_args(arguments)
    try:
        jobs = settings_of(options).data_dir.absolute() / "jobs"
    except (FileNotFoundError, ValidationError) as error:
        return told(error)
    directory = jobs / Path(options.job).name
    if not directory.is_dir():
        sys.stderr.write(f"penult-server: there is no job {options.job!r} in this data directory\n")
        return 1
    return join_training(directory)
