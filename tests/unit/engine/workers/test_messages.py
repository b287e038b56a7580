from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penult_server.core.job_ports import Saved
from penult_server.core.jobs import JobError, LogLine, Metrics, Progress
from penult_server.engine.workers.messages import MAX_TEXT, Beat, Channel, Message, decode, encode
from penult_server.engine.workers.result_file import read_result, write_result

MESSAGES: list[Message] = [
    Progress(3, 10, "images", "decode"),
    Metrics({"loss": 0.5}, 7),
    LogLine("error", "two\nlines and a ✓"),
    Saved(),
    JobError("REASON", "what", "do"),
    Beat(),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_one_line_and_comes_back(message: Message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line.rstrip(b"\n")) == message


@given(st.binary(max_size=200))
def test_whatever_comes_through_the_pipe_is_a_message(line: bytes) -> None:
    assert isinstance(decode(line), LogLine | Progress | Metrics | Saved | JobError | Beat)


def test_half_a_line_of_a_worker_that_died_is_a_log_line() -> None:
    half = encode(Progress(1, 2))[:20]
    assert decode(half) == LogLine("warning", half.decode())


def test_texts_are_cut() -> None:
    for message in (LogLine("info", "x" * 9999), JobError("A", "x" * 9999)):
        back = decode(encode(message))
        text = back.text if isinstance(back, LogLine) else back.message  # type: ignore[union-attr]
        assert len(text) == MAX_TEXT


def test_a_channel_writes_everything() -> None:
    read, write = os.pipe()
    Channel(write).send(MESSAGES[0])
    os.close(write)
    with open(read, "rb") as file:
        assert decode(file.read()) == MESSAGES[0]


def test_a_result_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    assert read_result(tmp_path) is None
    (tmp_path / "result.json.part").write_text('{"ha')
    assert read_result(tmp_path) is None
    write_result(tmp_path, {"a": [1]})
    assert read_result(tmp_path) == {"a": [1]}
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
