"""The time limit on each answer of a stream."""

from __future__ import annotations

import threading

import pytest

import penult
from penult._stream import next_response

SECONDS = 0.05


class _Call:
    """A call whose answer arrives at the very moment when it is given up."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def __next__(self) -> str:
        assert self.cancelled.wait(60)
        return "answer"

    def cancel(self) -> None:
        self.cancelled.set()


def test_an_answer_that_crosses_the_time_limit_is_late_not_the_start_of_a_cancelled_stream() -> None:
    with pytest.raises(penult.DeadlineExceeded, match="no answer on the stream"):
        next_response(_Call(), SECONDS)


def test_an_answer_in_time_leaves_the_call_alone() -> None:
    call = _Call()
    call.cancelled.set()  # so that it answers at once
    assert next_response(call, 60) == "answer"
