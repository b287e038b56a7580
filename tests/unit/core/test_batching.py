"""The batching plan, as a state machine against a model of what it promises."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from penult_server.core.batching import Batch, BatchPolicy, BatchQueue, Priority, Wait

POLICY = BatchPolicy(max_batch=4, max_wait=0.01, bulk_patience=1.0)
INTERACTIVE, BULK = Priority.INTERACTIVE, Priority.BULK


def queue() -> BatchQueue[str, str]:
    return BatchQueue(POLICY)


def test_an_item_with_no_company_on_its_way_leaves_at_once() -> None:
    q = queue()
    q.push("a", "x", INTERACTIVE, now=0.0)
    assert q.take(now=0.0) == Batch("a", ["x"])


def test_an_item_waits_for_announced_company_but_no_longer_than_max_wait() -> None:
    q = queue()
    q.expect("a", 1)
    q.push("a", "x", INTERACTIVE, now=0.0)
    answer = q.take(now=0.004)
    assert isinstance(answer, Wait)
    assert answer.seconds is not None
    assert abs(answer.seconds - 0.006) < 1e-9
    assert q.take(now=0.011) == Batch("a", ["x"])


def test_company_that_does_not_come_after_all_releases_the_waiting() -> None:
    q = queue()
    q.expect("a", 1)
    q.push("a", "x", INTERACTIVE, now=0.0)
    q.expect("a", -1)
    assert q.take(now=0.0) == Batch("a", ["x"])


def test_interactive_goes_before_bulk_and_bulk_fills_the_batch() -> None:
    q = queue()
    for item in "123":
        q.push("a", item, BULK, now=0.0)
    for item in "xy":
        q.push("a", item, INTERACTIVE, now=0.1)
    assert q.take(now=0.1) == Batch("a", ["x", "y", "1", "2"])
    assert q.take(now=0.1) == Batch("a", ["3"])


def test_bulk_is_not_starved_by_an_endless_supply_of_interactive_items() -> None:
    q = queue()
    q.push("a", "bulk", BULK, now=0.0)
    taken: list[str] = []
    now = 0.0
    while "bulk" not in taken:
        for number in range(POLICY.max_batch):
            q.push("a", f"i{number}", INTERACTIVE, now)
        answer = q.take(now)
        assert isinstance(answer, Batch)
        taken += answer.items
        now += 0.1
        assert now < POLICY.bulk_patience + 0.5


def test_bulk_of_one_backbone_is_not_starved_by_another_backbone() -> None:
    q = queue()
    q.push("slow", "bulk", BULK, now=0.0)
    for _ in range(POLICY.max_batch):
        q.push("busy", "i", INTERACTIVE, now=2.0)
    assert q.take(now=2.0) == Batch("slow", ["bulk"])


def test_a_key_that_waits_does_not_hold_back_one_that_is_ready() -> None:
    q = queue()
    q.expect("waiting", 3)
    q.push("waiting", "w", INTERACTIVE, now=0.0)
    q.push("ready", "r", BULK, now=0.001)
    batch = q.take(now=0.002)
    assert batch == Batch("ready", ["r"])
    assert isinstance(batch, Batch)
    assert batch.oldest == 0.001


def test_an_empty_queue_is_idle() -> None:
    assert queue().take(now=5.0) == Wait(None)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(list(Priority))), max_size=40))
def test_everything_leaves_exactly_once_and_in_order(pushes: list[tuple[str, Priority]]) -> None:
    q: BatchQueue[str, tuple[Priority, int]] = BatchQueue(POLICY)
    for number, (key, priority) in enumerate(pushes):
        q.push(key, (priority, number), priority, now=0.0)
    left: list[tuple[Priority, int]] = []
    while isinstance(answer := q.take(now=0.0), Batch):
        assert 1 <= len(answer.items) <= POLICY.max_batch
        assert {pushes[number][0] for _, number in answer.items} == {answer.key}
        left += answer.items
    assert sorted(number for _, number in left) == list(range(len(pushes)))
    for key in "ab":
        for priority in Priority:
            numbers = [n for p, n in left if p is priority and pushes[n][0] == key]
            assert numbers == sorted(numbers)


class QueueMachine(RuleBasedStateMachine):
    """Any interleaving of announcements, arrivals and takes: nothing waits past its bound or gets lost."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: BatchQueue[str, int] = BatchQueue(POLICY)
        self.now = 0.0
        self.waiting: dict[int, tuple[str, float]] = {}
        self.announced = {"a": 0, "b": 0}
        self.next_item = 0

    @rule(key=st.sampled_from("ab"), count=st.integers(1, 5))
    def announce(self, key: str, count: int) -> None:
        self.queue.expect(key, count)
        self.announced[key] += count

    @rule(key=st.sampled_from("ab"), priority=st.sampled_from(list(Priority)))
    def arrive(self, key: str, priority: Priority) -> None:
        if self.announced[key]:
            self.queue.push(key, self.next_item, priority, self.now)
            self.queue.expect(key, -1)
            self.announced[key] -= 1
            self.waiting[self.next_item] = (key, self.now)
            self.next_item += 1

    @rule(seconds=st.floats(0, 0.02))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        answer = self.queue.take(self.now)
        if isinstance(answer, Batch):
            for item in answer.items:
                assert self.waiting.pop(item)[0] == answer.key
            return
        for key, since in self.waiting.values():
            assert self.announced[key], "an item waits although nothing more is on its way"
            assert self.now - since < POLICY.max_wait, "an item waits past max_wait"
            assert answer.seconds is not None
            assert answer.seconds <= POLICY.max_wait + 1e-9  # rounding

    @invariant()
    def nothing_is_lost(self) -> None:
        assert len(self.queue) == len(self.waiting)


TestQueueMachine = QueueMachine.TestCase
