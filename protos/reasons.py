"""The reasons of all errors, read from the source of the server: for docs/api.md."""

from __future__ import annotations

import ast
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "service" / "penult_server"
_ITEM_FAULTS = (
    ("core/images.py", "ImageFault"),
    ("core/datasets.py", "ExampleFault"),
    ("core/indexes.py", "ItemFault"),
)
_GAP = "…"


@dataclasses.dataclass(frozen=True, order=True)
class Reason:
    """A stable reason with what its message says, `…` for what the message names."""

    name: str
    message: str


def raised_by(error: str) -> list[Reason]:
    """Those of one class of core/errors.py, or of JobError."""
    return sorted({reason for kind, reason in _all() if kind == error})


def of_items() -> list[Reason]:
    """Those that a single image, example or item of a batch gets."""
    return sorted(reason for file, name in _ITEM_FAULTS for reason in _members(SOURCE / file, name))


@functools.cache
def _all() -> tuple[tuple[str, Reason], ...]:
    return tuple(found for file in sorted(SOURCE.rglob("*.py")) for found in _calls(file))


def _calls(file: Path) -> Iterator[tuple[str, Reason]]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = _text(node.args[0], constants)
            if name.replace(_GAP, "").replace("_", "").isupper():
                message = _text(node.args[1], constants) if len(node.args) > 1 else ""
                yield (
                    ast.unparse(node.func).rpartition(".")[2],
                    Reason(name, message.strip(f"{_GAP} ()") and message),
                )


def _text(node: ast.expr, constants: dict[str, ast.expr]) -> str:
    """The text of an expression as far as the source says it; a gap alone where it is only known later."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, constants) for part in node.values)
    if isinstance(node, ast.Name) and node.id in constants:
        return _text(constants[node.id], {})
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, constants) + _text(node.right, constants)
    return _GAP


def _members(file: Path, name: str) -> Iterator[Reason]:
    """The members of an enum with the docstring below each."""
    (found,) = (
        node
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name == name
    )
    for member, said in zip(found.body, [*found.body[1:], None], strict=True):
        if isinstance(member, ast.Assign):
            meaning = _text(said.value, {}) if isinstance(said, ast.Expr) else ""
            yield Reason(_text(member.value, {}), meaning.rstrip("."))
