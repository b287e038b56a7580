"""The code blocks of README and docs, in the order of each page."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@dataclasses.dataclass(frozen=True)
class Block:
    """One fenced block: what a reader copies."""

    page: str
    """Path below the root of the project."""
    line: int
    """Of the page, where its code begins."""
    heading: str
    """The nearest heading above it."""
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name_of(page: Path) -> str:
    """The path below the root, as tests print it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks of a page; the language of a bare fence is empty."""
    heading, fence, start, code = "", None, 0, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(keepends=True), start=1):
        if fence is None and (opened := re.match(r"```(\w*)$", line.rstrip())):
            fence, start, code = opened[1], number + 1, []
        elif fence is not None and line.rstrip() == "```":
            yield Block(name_of(page), start, heading, fence, "".join(code))
            fence = None
        elif fence is not None:
            code.append(line)
        elif title := re.match(r"#+ (.+)", line):
            heading = title[1].strip()
    assert fence is None, f"{name_of(page)}:{start}: this block has no end"


def of_language(language: str) -> list[Block]:
    """The blocks of all pages that are in this language."""
    found = [block for page in PAGES for block in blocks(page) if block.language == language]
    assert found, f"no page has a block of {language}"
    return found


def command_lines(code: str) -> Iterator[str]:
    """The commands of a shell block: continued lines joined, here-documents with their command."""
    lines = iter(code.replace("\\\n", " ").splitlines())
    for line in lines:
        command = line.strip()
        if not command or command.startswith("#"):
            continue
        if here := re.search(r"<<(\w+)$", command):
            body = []
            for inner in lines:
                body.append(inner)
                if inner == here[1]:
                    break
            command = "\n".join([command, *body])
        yield command
