"""Runs the blocks of a page as a reader would: in their order, in one directory, against one server."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import penult
from penult.cli.app import app
from tests.page_blocks import Block, command_lines

DOCUMENTED_TARGET = "127.0.0.1:50051"
JOB_ID = "1a2090d329a-65539f"
"""Stands for any job in the pages."""
SECONDS = 300


class PageRunner:
    """The state of one page: its directory, its Python names, its server.

    The pages' server is asked under its real address wherever they write the default one; everything else
    runs as it is printed. Commands of `penult` run in this process, through the function that the installed
    command calls; those of `penult-server` in processes of their own.
    """

    def __init__(
        self,
        target: str,
        folder: Path,
        not_run: Iterable[str],
        quicker: Mapping[str, str],
        job_for: Callable[[str], str],
    ) -> None:
        """`not_run`: how commands begin that are left out; `quicker`: texts that others take the place of."""
        self.target, self.folder = target, folder
        self.ran = 0
        self._not_run, self._job_for = tuple(not_run), job_for
        self._replaced = {DOCUMENTED_TARGET: target, **quicker}
        self._names: dict[str, Any] = {"__name__": "page", "penult": penult, "client": penult.Client(target)}

    def run(self, block: Block) -> None:
        """One block; an error says where the page is wrong."""
        try:
            if block.language == "python":
                code = self._meant(block.code)
                # Line numbers of the page, in its name, so that a traceback leads there.
                exec(compile("\n" * (block.line - 1) + code, block.page, "exec"), self._names)
                self.ran += 1
            else:
                for line in command_lines(block.code):
                    self._command(line)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{block} does not run: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Ends the connections that the page's Python opened."""
        for value in list(self._names.values()):
            if isinstance(value, penult.Client):
                value.close()

    def _meant(self, code: str) -> str:
        for text, other in self._replaced.items():
            code = code.replace(text, other)
        return code

    def _command(self, line: str) -> None:
        if any(line == prefix or line.startswith(prefix + " ") for prefix in self._not_run):
            return
        self.ran += 1
        words = shell_words(self._meant(line))
        if words[0] == "penult":
            if JOB_ID in words:
                words[words.index(JOB_ID)] = self._job_for(words[2])
            status = app(words[1:], prog_name="penult", standalone_mode=False)
            assert status in (None, 0), f"{line!r} ends with {status}"
        elif words[:2] == ["penult-server", "serve"]:
            self._serve(words[2:])
        elif words[0] == "penult-server":
            self._operate(words[1:])
        else:
            raise AssertionError(f"nothing is known of {words[0]!r}: run it here, or say in NOT_RUN why not")

    def _operate(self, words: list[str]) -> None:
        """A command that ends by itself. Absolute paths of the page are meant below its directory."""
        inside = [str(self.folder) + word if word.startswith("/") else word for word in free_ports(words)]
        done = subprocess.run(
            [sys.executable, "-m", "penult_server", *inside],
            capture_output=True, text=True, check=False, timeout=SECONDS,
            cwd=self.folder, env=clean_environment(),
        )  # fmt: skip
        assert done.returncode == 0, f"{words} ends with {done.returncode}: {done.stdout}{done.stderr}"

    def _serve(self, words: list[str]) -> None:
        """A server of the page's own, on a free port of this machine; it listens, and ends at SIGTERM."""
        process = subprocess.Popen(
            [sys.executable, "-m", "penult_server", "serve", *free_ports(words), "--log-format", "json"],
            stderr=subprocess.PIPE, text=True, cwd=self.folder, env=clean_environment(),
        )  # fmt: skip
        assert process.stderr is not None
        said = []
        with contextlib.closing(process.stderr), contextlib.ExitStack() as stack:
            stack.callback(process.wait, SECONDS)
            stack.callback(process.kill)
            for event in process.stderr:
                said.append(event)
                if '"listening"' in event:
                    process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0, said
        assert any('"listening"' in event for event in said), said


def shell_words(line: str) -> list[str]:
    """The words of a command, with its unquoted patterns replaced by the files that they match."""
    lexer = shlex.shlex(line, posix=False, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, "#"
    words = []
    for word in lexer:
        quoted = word[0] in "'\""
        matches = [] if quoted or not glob.has_magic(word) else sorted(glob.glob(word))
        words += matches or shlex.split(word)
    return words


def free_ports(words: list[str]) -> list[str]:
    """The same addresses with whatever port is free."""
    return [re.sub(r"^([\d.]+):\d+$", r"\1:0", word) for word in words]


def clean_environment() -> dict[str, str]:
    """Without settings that the tests' own environment may hold."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PENULT_")}
