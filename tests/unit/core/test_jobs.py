from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from penult_server.core.errors import FailedPrecondition
from penult_server.core.jobs import (
    CANCELLED,
    TRANSITIONS,
    Job,
    JobError,
    JobSignal,
    JobState,
    StateChange,
    advance,
    states_table,
)

PAGE = Path(__file__).resolve().parents[3] / "docs" / "jobs.md"
ERROR = JobError("BROKEN", "it broke", "mend it")


def step(job: Job, signal: JobSignal, now: float = 0.0) -> Job:
    needs_error = signal in (JobSignal.FAIL, JobSignal.LOSE)
    change = advance(
        job,
        signal,
        now,
        error=ERROR if needs_error else None,
        result={"made": 1} if signal is JobSignal.SUCCEED else None,
    )
    expected = CANCELLED if signal is JobSignal.CANCEL else ERROR if needs_error else None
    assert change.events == (StateChange(change.job.state, expected),)
    return change.job


def new() -> Job:
    return Job("1", "kind", "subject", JobState.QUEUED, 0.0, resumable=True)


class Life(RuleBasedStateMachine):
    """Whatever happens in whatever order, a job is in one state of the table and says what belongs to it."""

    def __init__(self) -> None:
        super().__init__()
        self.job = new()
        self.now = 0.0

    @rule(signal=st.sampled_from(JobSignal))
    def happen(self, signal: JobSignal) -> None:
        before, self.now = self.job, self.now + 1
        if (before.state, signal) not in TRANSITIONS:
            with pytest.raises(FailedPrecondition) as refused:
                step(before, signal, self.now)
            assert refused.value.reason == "JOB_STATE_MISMATCH"
            return
        self.job = step(before, signal, self.now)
        assert self.job.state is TRANSITIONS[before.state, signal]
        if signal is JobSignal.START:
            assert self.job.started == self.now

    @invariant()
    def exactly_one_outcome(self) -> None:
        job = self.job
        assert (job.result is not None) == (job.state is JobState.SUCCEEDED)
        failed = (JobState.FAILED, JobState.CANCELLED, JobState.INTERRUPTED)
        assert (job.error is not None) == (job.state in failed)
        assert (job.ended is not None) == job.state.ended


TestLife = Life.TestCase


def test_success_is_final_and_every_other_state_can_still_reach_it() -> None:
    reachable = {JobState.SUCCEEDED}
    for _ in JobState:
        reachable |= {before for (before, _), after in TRANSITIONS.items() if after in reachable}
    assert reachable == set(JobState)
    assert not [signal for before, signal in TRANSITIONS if before is JobState.SUCCEEDED]


def test_what_ended_moves_only_when_somebody_resumes_it() -> None:
    moves = {signal for before, signal in TRANSITIONS if before.ended}
    assert moves == {JobSignal.RESUME}


def test_every_state_and_signal_is_in_the_table() -> None:
    assert {state for pair in TRANSITIONS for state in (pair[0], TRANSITIONS[pair])} == set(JobState)
    assert {signal for _, signal in TRANSITIONS} == set(JobSignal)


@pytest.mark.parametrize("state", JobState)
def test_a_job_that_is_cancelled_is_not_cancelling_any_more(state: JobState) -> None:
    for signal in JobSignal:
        if TRANSITIONS.get((state, signal)) is JobState.CANCELLED:
            error = ERROR if state is JobState.INTERRUPTED else None
            job = Job("1", "kind", "subject", state, 0.0, True, error=error, cancelling=True)
            assert not step(job, signal).cancelling


def test_the_page_has_the_table_of_the_code() -> None:
    assert "\n\n" + states_table() + "\n" in PAGE.read_text(encoding="utf-8")
    assert len(set(itertools.chain(states_table().splitlines()))) == len(TRANSITIONS) + 2
