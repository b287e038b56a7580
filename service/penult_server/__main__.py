"""`penult-server`: the command of the operator."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable

_NEEDED = (
    "torch",
    "timm",
    "pydantic_settings",
    "structlog",
    "sklearn",
    "grpc_reflection",
    "sqlalchemy",
    "alembic",
)
_USAGE = """usage: penult-server COMMAND [OPTIONS]

commands:
  serve     run the server in the foreground (serve --help lists every setting)
  join      lend this machine to a fine-tuning of a server on another
  keys      make, show and revoke API keys
  backup    copy all that a server keeps, also while it runs
  restore   make a data directory of a backup
  doctor    look at devices, weights, disk, ports and settings, and say what to mend
  settings  print the table of settings
  version   print the version
"""
_COMMANDS = {
    "serve": ("app", "serve_command"),
    "settings": ("commands.settings", "settings_command"),
    "backup": ("commands.backup", "backup_command"),
    "restore": ("commands.backup", "restore_command"),
    "doctor": ("commands.doctor", "doctor_command"),
    "join": ("commands.join", "join_command"),
    "keys": ("commands.keys", "keys_command"),
}


def main() -> None:
    """Entry point; exits with the command's status."""
    command, *arguments = sys.argv[1:] or ["--help"]
    if command in ("-h", "--help", "help"):
        sys.stdout.write(_USAGE)
        return
    if command in ("version", "--version"):
        sys.stdout.write(f"penult-server {importlib.metadata.version('penult')}\n")
        return
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        sys.exit(
            f"penult-server: the server's libraries are not installed ({', '.join(missing)}).\n"
            "Install them with:  pip install 'penult[server,bundled]'"
        )
    # Workers are started by fork and exec, and never use the parent's gRPC: its fork handlers have nothing to
    # do, and say so between the lines of the log. It reads this when it is imported.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    if command not in _COMMANDS:
        sys.exit(f"penult-server: unknown command {command!r}\n\n{_USAGE}")
    module, name = _COMMANDS[command]
    # Only now, because it needs what was just looked for; and only this one, because PyTorch takes seconds.
    run: Callable[[list[str]], int] = getattr(importlib.import_module(f"penult_server.{module}"), name)
    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
