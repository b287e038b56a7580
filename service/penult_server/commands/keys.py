"""`penult-server keys`: API keys made, shown and revoked, also while the server runs."""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
from typing import Any

from pydantic import ValidationError

from penult_server.commands.data_dir import add_options, settings_of, told
from penult_server.core.access import REFRESH_SECONDS, ApiKey, Scope, make_key
from penult_server.core.errors import PenultError
from penult_server.core.wall_clock import wall_time
from penult_server.store.api_keys import DatabaseKeys
from penult_server.store.home import visited

_UNITS = {"h": 3600.0, "d": 24 * 3600.0}


def keys_command(arguments: list[str]) -> int:
    """Exit status 0; 1 where it was refused; 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        settings = settings_of(options)
        with visited(settings.data_dir, settings.database) as database:
            options.action(DatabaseKeys(database), options)
    except (PenultError, FileNotFoundError, ValidationError) as error:
        return told(error)
    return 0


def _create(keys: DatabaseKeys, options: argparse.Namespace) -> None:
    key, text = make_key(options.name, options.scopes, wall_time(), options.expires)
    first = not keys.all()
    keys.add(key)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    sys.stderr.write("This is the only time that the key is shown.\n")
    if first:
        sys.stderr.write(
            f"It is the first: within {REFRESH_SECONDS:g} s, the server refuses calls without a key.\n"
        )


def _list(keys: DatabaseKeys, options: argparse.Namespace) -> None:
    rows = [_shown(key) for key in keys.all()]
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    heads = ("id", "name", "scopes", "state", "created", "expires")
    table = [heads, *(tuple(str(row[head] or "-") for head in heads) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _revoke(keys: DatabaseKeys, options: argparse.Namespace) -> None:
    key = keys.revoke(options.id, wall_time())
    sys.stderr.write(f"Revoked {key.name} ({key.id}); calls that use it end within {REFRESH_SECONDS:g} s.\n")


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": ",".join(scope.value for scope in Scope if scope in key.scopes),
        "state": key.state(wall_time()),
        "created": _date(key.created),
        "expires": None if key.expires is None else _date(key.expires),
    }


def _date(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(" ", "seconds")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("penult-server keys", description="API keys of a server.")
    actions = parser.add_subparsers(required=True, metavar="create | list | revoke")
    create = actions.add_parser("create", help="make a key and print it, once")
    create.add_argument("name", help="who or what uses it, such as web-shop")
    create.add_argument(
        "--scopes", type=_scopes, required=True, help="some of read,write,train,admin (admin includes all)"
    )
    create.add_argument(
        "--expires", type=_lifetime, metavar="AGE", help="such as 90d or 12h; never, if not given"
    )
    create.set_defaults(action=_create)
    show = actions.add_parser("list", help="show all keys, without their secrets")
    show.add_argument("--json", action="store_true", help="for programs")
    show.set_defaults(action=_list)
    revoke = actions.add_parser("revoke", help="end a key for good")
    revoke.add_argument("id", help="as `list` shows it")
    revoke.set_defaults(action=_revoke)
    for action in (create, show, revoke):
        add_options(action)
    return parser


def _scopes(text: str) -> frozenset[Scope]:
    try:
        return frozenset(Scope(word.strip()) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of {', '.join(scope.value for scope in Scope)}"
        ) from None


def _lifetime(text: str) -> float:
    if not (given := re.fullmatch(r"(\d{1,6})([hd])", text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not an age such as 90d or 12h")
    return int(given[1]) * _UNITS[given[2]]
