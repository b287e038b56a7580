from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penult_server.core.search_space import Range, contains
from penult_server.core.tuning import (
    EpochDone,
    StageBegan,
    Study,
    TrialBegan,
    TrialEnded,
    TrialState,
    TuningPlan,
    objective,
)
from penult_server.core.tuning_notes import luck, notes

SPACE = {"learning_rate": Range(1e-5, 1e-1, log=True)}


def began(number: int, rate: float = 1e-3, stage: int = 1, clock: float = 0.0) -> TrialBegan:
    return TrialBegan(number, stage, {"learning_rate": rate}, clock)


def ended(
    number: int, accuracy: float | None, loss: float = 0.5, state: TrialState = TrialState.FINISHED
) -> TrialEnded:
    given_loss = None if accuracy is None else loss
    reason = "TRAINING_DIVERGED" if state is TrialState.FAILED else ""
    return TrialEnded(number, state, accuracy, given_loss, 1.0, reason, "", {"run": number}, 0.0)


def study(plan: TuningPlan, accuracies: list[float | None]) -> Study:
    made = Study(plan)
    for number, accuracy in enumerate(accuracies, 1):
        made.apply(began(number, 10.0 ** -(1 + number % 4)))
        failed = TrialState.FAILED if accuracy is None else TrialState.FINISHED
        made.apply(ended(number, accuracy, state=failed))
    return made


def test_a_study_has_a_budget_of_trials_in_two_stages() -> None:
    plan = TuningPlan(SPACE, trials=6, refine=1 / 3)
    assert plan.coarse_trials == 4
    assert study(plan, [0.1, 0.2, 0.3]).next_stage(0) == 1
    four = study(plan, [0.1, 0.4, 0.3, 0.2])
    assert four.next_stage(0) == 2
    four.apply(StageBegan(2, four.refined(), 0.0))
    assert four.next_stage(0) == 2
    assert contains(four.spaces[1], four.trial(2).point)
    for number in (5, 6):
        four.apply(began(number, stage=2))
    assert four.next_stage(0) is None
    assert TuningPlan(SPACE, trials=1, refine=0.9).coarse_trials == 1


def test_the_second_stage_waits_for_a_score_to_go_by() -> None:
    plan = TuningPlan(SPACE, trials=6, refine=1 / 3)
    made = study(plan, [None, None, None, None])
    assert made.next_stage(0) == 1
    made.apply(began(5))
    made.apply(ended(5, 0.5))
    assert made.next_stage(0) == 2


def test_time_ends_a_study_once_a_trial_has_a_score() -> None:
    plan = TuningPlan(SPACE, trials=100, seconds=60, refine=0.5)
    none = Study(plan)
    assert none.next_stage(90) == 1
    some = study(plan, [0.5])
    assert some.next_stage(10) == 1
    assert some.next_stage(31) == 2
    assert some.next_stage(60) is None
    assert some.time_is_over(60)
    assert not study(TuningPlan(SPACE, trials=9), [0.5]).time_is_over(1e9)


def test_an_exhausted_stage_is_followed_by_the_next() -> None:
    made = study(TuningPlan(SPACE, trials=9, refine=0.5), [0.5])
    made.exhausted(1)
    assert made.next_stage(0) == 2
    made.apply(StageBegan(2, made.refined(), 0.0))
    made.exhausted(2)
    assert made.next_stage(0) is None
    plain = study(TuningPlan(SPACE, trials=9), [0.5])
    plain.exhausted(1)
    assert plain.next_stage(0) is None


def test_the_best_has_the_highest_accuracy_then_the_lowest_loss_then_the_lowest_number() -> None:
    made = Study(TuningPlan(SPACE, trials=9))
    for number, (accuracy, loss) in enumerate([(0.8, 0.4), (0.9, 0.5), (0.9, 0.3), (0.9, 0.3)], 1):
        made.apply(began(number))
        made.apply(ended(number, accuracy, loss))
    best = made.best()
    assert best is not None
    assert best.number == 3


def test_what_runs_or_failed_is_never_the_best() -> None:
    made = Study(TuningPlan(SPACE, trials=9))
    made.apply(began(1))
    made.apply(EpochDone(1, 1, 0.99, 0.1, 0.0))
    assert made.best() is None
    assert [trial.number for trial in made.unfinished()] == [1]
    made.apply(ended(1, None, state=TrialState.FAILED))
    assert made.best() is None
    assert made.unfinished() == []


def test_an_epoch_that_comes_again_counts_once() -> None:
    made = Study(TuningPlan(SPACE, trials=9))
    made.apply(began(1))
    for epoch in (1, 2, 2, 3):
        made.apply(EpochDone(1, epoch, 0.5, 0.5, float(epoch)))
    assert len(made.trial(1).epochs) == 3
    assert made.clock == 3.0


def test_a_study_in_which_everything_fails_is_hopeless() -> None:
    plan = TuningPlan(SPACE, trials=20)
    assert study(plan, [None] * 4).hopeless() is None
    last = study(plan, [None] * 5).hopeless()
    assert last is not None
    assert last.number == 5
    assert study(plan, [None] * 5 + [0.5]).hopeless() is None
    assert study(TuningPlan(SPACE, trials=2), [None] * 2).hopeless() is not None


@given(st.integers(1, 500), st.integers(0, 500), st.integers(0, 500), st.floats(0, 50), st.floats(0, 50))
def test_the_objective_orders_as_scores_do(count: int, a: int, b: int, first: float, second: float) -> None:
    one, other = (min(a, count) / count, -first), (min(b, count) / count, -second)
    numbers = [objective(accuracy, -loss, count) for accuracy, loss in (one, other)]
    if one[0] != other[0] or abs(first - second) > 1e-3:
        assert (numbers[0] > numbers[1]) == (one > other)


def test_luck_is_that_of_the_best_of_many() -> None:
    assert luck(1, 0.8, 100) == 0
    assert 0.02 < luck(2, 0.8, 100) < luck(20, 0.8, 100) < 0.1
    assert luck(20, 0.8, 10_000) < 0.01
    assert luck(5, 1.0, 10) > 0


def test_the_notes_say_what_the_numbers_do_not() -> None:
    plan = TuningPlan(SPACE, trials=4)
    made = Study(plan)
    for number, (rate, accuracy) in enumerate([(0.1, 0.9), (1e-3, 0.895), (1e-4, 0.5)], 1):
        made.apply(began(number, rate))
        made.apply(ended(number, accuracy))
    made.apply(began(4))
    made.apply(ended(4, None, state=TrialState.FAILED))
    best = made.best()
    assert best is not None
    said = "\n".join(notes(made, best, 100, tested=True))
    assert "best of 3 trials, so optimistic" in said
    assert "trust that figure" in said
    assert "1 other trials are within the noise" in said
    assert "best learning_rate (0.1) lies at the high end of its range" in said
    assert "1 of 4 trials failed (TRAINING_DIVERGED)" in said
    assert "no test images" in notes(made, best, 100, tested=False)[0]


@pytest.mark.parametrize("state", [TrialState.PRUNED, TrialState.CUT])
def test_a_trial_that_was_ended_early_may_win(state: TrialState) -> None:
    made = Study(TuningPlan(SPACE, trials=9))
    made.apply(began(1))
    made.apply(ended(1, 0.9, state=state))
    best = made.best()
    assert best is not None
    assert best.state is state
