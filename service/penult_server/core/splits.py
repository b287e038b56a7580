"""Which example goes into which split: deterministic, and by default in the same shares in every class."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence

from penult_server.core.datasets import Split
from penult_server.core.errors import InvalidArgument

# Of equal claims the first wins: without a test split nothing can be measured, while cross-validation
# can stand in for a validation split.
ASSIGNED = (Split.TRAIN, Split.TEST, Split.VALIDATION)
DEFAULT_FRACTIONS = {Split.TRAIN: 0.8, Split.VALIDATION: 0.1, Split.TEST: 0.1}
_TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True, slots=True)
class SplitPlan:
    """How to split.

    Attributes:
        fractions: share of each of ASSIGNED, adding up to 1.
        seed: another one gives another split.
        by_hash: each picture's split depends on itself, the seed and the fractions, and on nothing else;
            shares then hold on average only.
        reassign: examples that have a split may move; else they stay, and count towards the shares.
    """

    fractions: Mapping[Split, float]
    seed: int = 0
    by_hash: bool = False
    reassign: bool = False

    def __post_init__(self) -> None:
        """Raises InvalidArgument for fractions that are none."""
        values = list(self.fractions.values())
        if any(not 0 <= value <= 1 for value in values) or not math.isclose(
            math.fsum(values), 1, abs_tol=_TOLERANCE
        ):
            raise InvalidArgument(
                "BAD_FRACTIONS",
                f"{values} are no shares: each must be in [0, 1], and all must add up to 1",
                field="fractions",
                hint="for example train 0.8, validation 0.1, test 0.1",
            )


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """What splitting needs to know of an example. `key` is the caller's."""

    key: int
    sha256: str
    split: Split
    labels: tuple[str, ...]


def assign(members: Sequence[Member], plan: SplitPlan) -> dict[int, Split]:
    """The new split of every member that gets another one, by key.

    Within each class the members come in the order of sha256(seed, picture), and each goes where the
    class lacks most towards its share. So every class has its shares up to rounding, and the largest
    share is served first. A member of a multi-label dataset counts for its rarest label. Neither the
    order of `members` nor the machine matters.
    """
    if plan.by_hash:
        wanted = {m.key: _by_hash(m, plan) for m in members if plan.reassign or m.split is Split.UNASSIGNED}
    else:
        wanted = {}
        for stratum in _strata(members):
            wanted.update(_by_share(stratum, plan))
    return {m.key: wanted[m.key] for m in members if wanted.get(m.key, m.split) is not m.split}


def _strata(members: Sequence[Member]) -> Iterable[list[Member]]:
    frequency = collections.Counter(label for member in members for label in member.labels)
    strata: dict[str, list[Member]] = collections.defaultdict(list)
    for member in members:
        rarest = min(member.labels, key=lambda label: (frequency[label], label), default="")
        strata[rarest].append(member)
    return strata.values()


def _by_share(stratum: list[Member], plan: SplitPlan) -> Mapping[int, Split]:
    if plan.reassign:
        free, counts = stratum, dict.fromkeys(ASSIGNED, 0)
    else:
        free = [member for member in stratum if member.split is Split.UNASSIGNED]
        counts = {split: sum(member.split is split for member in stratum) for split in ASSIGNED}
    placed = sum(counts.values())
    chosen = {}
    for member in sorted(free, key=lambda member: _hash(member, plan.seed)):
        placed += 1
        split = max(
            (split for split in ASSIGNED if plan.fractions.get(split, 0.0) > 0),
            key=lambda split: plan.fractions[split] * placed - counts[split],
        )
        counts[split] += 1
        chosen[member.key] = split
    return chosen


def _by_hash(member: Member, plan: SplitPlan) -> Split:
    position = int.from_bytes(_hash(member, plan.seed)[:8], "big") / 2**64
    possible = [split for split in ASSIGNED if plan.fractions.get(split, 0.0) > 0]
    bound = 0.0
    for split in possible:
        bound += plan.fractions[split]
        if position < bound:
            return split
    return possible[-1]  # where the shares add up to a little less than 1


def _hash(member: Member, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{member.sha256}".encode()).digest()
