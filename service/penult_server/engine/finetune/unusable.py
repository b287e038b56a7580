"""Images that cannot be trained on, found and named before any training."""

from __future__ import annotations

from collections.abc import Sequence

from penult_server.core.errors import FailedPrecondition
from penult_server.core.finetune import contradictions
from penult_server.core.snapshot import SnapshotExample
from penult_server.engine.finetune.pictures import Look
from penult_server.engine.workers.task import Task

MOST_UNUSABLE = 0.2
"""Share of the labelled images that may be unusable; past it the data wants looking at, not training on."""
_LISTED = 20


def find_unusable(examples: Sequence[SnapshotExample], looks: Sequence[Look], task: Task) -> list[int]:
    """Lists images that cannot be decoded or are the same under different labels.

    Raises:
        FailedPrecondition: TOO_MANY_UNUSABLE.
    """
    broken = [n for n, look in enumerate(looks) if look.reason]
    groups = contradictions([look.digest for look in looks], [example.labels for example in examples])
    if broken:
        named = ", ".join(f"{name_of(examples[n])} ({looks[n].reason})" for n in broken[:_LISTED])
        task.log(f"{len(broken)} images cannot be decoded: {named}{_more(broken)}", "warning")
    for group in groups[:_LISTED]:
        labels = ", ".join(sorted({"+".join(examples[n].labels) for n in group}))
        named = ", ".join(name_of(examples[n]) for n in group[:_LISTED])
        task.log(
            f"{len(group)} images are the same picture with different labels ({labels}): "
            f"{named}{_more(group)}",
            "warning",
        )
    unusable = sorted({*broken, *(n for group in groups for n in group)})
    labelled = sum(bool(example.labels) for example in examples)
    spoilt = sum(bool(examples[n].labels) for n in unusable)
    if spoilt > MOST_UNUSABLE * labelled:
        raise FailedPrecondition(
            "TOO_MANY_UNUSABLE",
            f"{spoilt} of {labelled} labelled images cannot be decoded, or are the same picture with "
            "different labels",
            hint="the job's log lists them: replace or relabel them",
        )
    return unusable


def name_of(example: SnapshotExample) -> str:
    """What people know an example by."""
    return example.id or example.sha256[:12]


def _more(listed: Sequence[object]) -> str:
    return f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
