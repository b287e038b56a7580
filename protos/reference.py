"""Writes docs/api.md from the comments of the protos, the scopes and the errors of the server.

    python -m protos.reference --buf .venv/bin/buf

`make proto` runs it, and a test finds that running it again changes nothing.
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from google.protobuf import descriptor_pb2 as pb

from penult_server.transport.errors import CODES
from penult_server.transport.scopes import SCOPES
from protos.reasons import Reason, of_items, raised_by

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "api.md"
Place = tuple[int, ...]
Comments = Mapping[Place, str]

_INTRO = """# API reference

Everything a client can call over gRPC, as [the proto files](../protos/penult/v1) say it: this page is
made from their comments by `make proto`. Package `penult.v1`; [concepts](concepts.md) explains the words,
[the SDK](sdk.md) says the same in Python. Beside these services there are `grpc.health.v1.Health`, which
needs no key, and server reflection.

An rpc's scope is what an [API key](operations.md#api-keys) must have for it. A field without a comment
says with its name all there is to say; an absent scalar is 0, false or empty, and a field marked
*optional* tells absent from zero.
"""
_ERRORS = """## Errors

An error is a gRPC status with `google.rpc` details: an `ErrorInfo` with one of these reasons and the
hint, a `BadRequest` that names the field where the request is wrong, a `RetryInfo` where a retry later
can help, and a `RequestInfo` with the id by which the server's log is found. `…` stands for what the
message names. The reasons of an [ItemError](#itemerror) and of a [JobError](#joberror) follow after the
statuses.
"""


def main() -> int:
    """Writes the page; exit status 0."""
    parser = argparse.ArgumentParser(description="docs/api.md from the protos")
    parser.add_argument("--buf", required=True, help="path of the buf executable")
    PAGE.write_text(page(parser.parse_args().buf), encoding="utf-8")
    return 0


def page(buf: str) -> str:
    """The whole page."""
    image = subprocess.run([buf, "build", "protos", "-o", "-"], cwd=ROOT, check=True, capture_output=True)
    files = [
        file for file in pb.FileDescriptorSet.FromString(image.stdout).file if file.package == "penult.v1"
    ]
    parts = [_INTRO]
    parts += [line for file in files for line in services(file)]
    parts.append("## Messages\n")
    parts += [line for file in files for line in messages(file)]
    parts += [_ERRORS, *error_tables()]
    return "\n".join(parts).rstrip("\n") + "\n"


def services(file: pb.FileDescriptorProto) -> Iterator[str]:
    """A section for each service, with a table of its rpcs."""
    comments = comments_of(file)
    for number, service in enumerate(file.service):
        yield f"## {service.name}\n"
        yield from prose(comments, (6, number))
        yield "| rpc | scope | takes | gives | |\n| --- | --- | --- | --- | --- |"
        scopes = SCOPES[f"{file.package}.{service.name}"]
        for place, rpc in enumerate(service.method):
            takes = ("stream of " if rpc.client_streaming else "") + link(rpc.input_type)
            gives = ("stream of " if rpc.server_streaming else "") + link(rpc.output_type)
            said = cell(comments.get((6, number, 2, place), ""))
            yield f"| `{rpc.name}` | {scopes[rpc.name].value} | {takes} | {gives} | {said} |"
        yield ""


def messages(file: pb.FileDescriptorProto) -> Iterator[str]:
    """The messages and enums of a file, each with its table."""
    comments = comments_of(file)
    for number, enum in enumerate(file.enum_type):
        yield from enum_table(enum, enum.name, comments, (5, number))
    for number, message in enumerate(file.message_type):
        yield from message_table(message, message.name, comments, (4, number))


def message_table(message: pb.DescriptorProto, name: str, comments: Comments, path: Place) -> Iterator[str]:
    """One message with its fields, then what is declared inside of it."""
    yield f"### {name}\n"
    yield from prose(comments, path)
    entries = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
    if message.field:
        yield "| field | type | |\n| --- | --- | --- |"
    for place, field in enumerate(message.field):
        said = cell(comments.get((*path, 2, place), ""))
        if field.HasField("oneof_index") and not field.proto3_optional:
            one_of = message.oneof_decl[field.oneof_index].name
            said = f"One of `{one_of}`. {said}".strip()
        yield f"| `{field.name}` | {kind(field, entries)} | {said} |"
    yield "" if message.field else "No fields.\n"
    for place, enum in enumerate(message.enum_type):
        yield from enum_table(enum, f"{name}.{enum.name}", comments, (*path, 4, place))
    for place, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            yield from message_table(nested, f"{name}.{nested.name}", comments, (*path, 3, place))


def enum_table(enum: pb.EnumDescriptorProto, name: str, comments: Comments, path: Place) -> Iterator[str]:
    """One enum with its values."""
    yield f"### {name}\n"
    yield from prose(comments, path)
    yield "| value | number | |\n| --- | --- | --- |"
    for place, value in enumerate(enum.value):
        yield f"| `{value.name}` | {value.number} | {cell(comments.get((*path, 2, place), ''))} |"
    yield ""


def kind(field: pb.FieldDescriptorProto, entries: Mapping[str, pb.DescriptorProto]) -> str:
    """The type of a field in words."""
    entry = entries.get(field.type_name.rpartition(".")[2])
    if entry is not None:
        return f"map of {kind(entry.field[0], {})} to {kind(entry.field[1], {})}"
    name = (
        link(field.type_name)
        if field.type_name
        else pb.FieldDescriptorProto.Type.Name(field.type)[5:].lower()
    )
    if field.label == pb.FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {name}"
    return f"optional {name}" if field.proto3_optional else name


def link(type_name: str) -> str:
    """To the section of a type of this package; the name alone of another's."""
    if not type_name.startswith(".penult.v1."):
        return f"`{type_name.lstrip('.')}`"
    name = type_name.removeprefix(".penult.v1.")
    return f"[{name}](#{name.lower().replace('.', '')})"


def comments_of(file: pb.FileDescriptorProto) -> Comments:
    """The comment above each declaration, by its path in the descriptor."""
    return {
        tuple(location.path): location.leading_comments
        for location in file.source_code_info.location
        if location.leading_comments
    }


def prose(comments: Comments, path: Place) -> Iterator[str]:
    """A comment as paragraphs, with an empty line after it; nothing where there is none."""
    lines = [line.removeprefix(" ").rstrip() for line in comments.get(path, "").splitlines()]
    if lines:
        yield escaped("\n".join(lines)) + "\n"


def cell(comment: str) -> str:
    """A comment on one line of a table."""
    return escaped(" ".join(comment.split())).replace("|", "\\|")


def escaped(text: str) -> str:
    """So that angle brackets and names of fields are not taken for markup."""
    return re.sub(r"(?<![`\w])(\w*_\w+|(\[[^\]]*\](\{[^}]*\})?)+|<[^>]*>)(?![`\w])", r"`\1`", text)


def error_tables() -> Iterator[str]:
    """A table of reasons for each status, and those of single items and of jobs."""
    for error, code in CODES.items():
        yield from reason_table(code.name, raised_by(error.__name__))
    yield from reason_table("Reasons of single items", of_items())
    yield from reason_table("Reasons of jobs", raised_by("JobError"))


def reason_table(title: str, reasons: list[Reason]) -> Iterator[str]:
    """Each reason once, with all that it can say; nothing where there is none."""
    if not reasons:
        return
    yield f"### {title}\n"
    yield "| reason | message |\n| --- | --- |"
    for name, same in itertools.groupby(reasons, key=lambda reason: reason.name):
        said = "; ".join(reason.message for reason in same if reason.message)
        yield f"| `{name}` | {cell(said)} |"
    yield ""


if __name__ == "__main__":
    sys.exit(main())
