"""The analysis of a dataset as the JSON of penult.v1.JobResult, worst findings first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from penult_server.core.snapshot import Snapshot, SnapshotExample
from penult_server.engine.analysis.duplicates import alike, same
from penult_server.engine.analysis.picture import Picture

MIN_SIDE = 32
"""Shorter sides make a picture tiny: a backbone would see it enlarged seven times and more."""
MAX_LISTED = 200
MAX_MEMBERS = 20
_FEW = 10

Json = dict[str, Any]


def analysis(snapshot: Snapshot, examples: Sequence[SnapshotExample], pictures: Sequence[Picture]) -> Json:
    """What was found; `pictures` are those of `examples`, in the same order."""
    bad = [n for n, picture in enumerate(pictures) if picture.reason]
    tiny = [n for n, p in enumerate(pictures) if not p.reason and min(p.width, p.height) < MIN_SIDE]
    exact = [_group(examples, g) for g in same([picture.pixels or None for picture in pictures])]
    near = [
        _group(examples, group)
        for group in alike([picture.look for picture in pictures])
        if len({pictures[n].pixels for n in group}) > 1
    ]
    labels = _labels(examples)
    found: Json = {
        "dataset": snapshot.dataset,
        "revision": snapshot.revision,
        "example_count": len(examples),
        "labels": labels,
        "split_counts": dict(Counter(example.split.value for example in examples)),
        "unreadable_count": len(bad),
        "unreadable": [
            _example(examples[n], pictures[n].reason, pictures[n].message) for n in bad[:MAX_LISTED]
        ],
        "tiny_count": len(tiny),
        "tiny": [
            _example(examples[n], "IMAGE_TINY", f"{pictures[n].width} x {pictures[n].height} pixels")
            for n in tiny[:MAX_LISTED]
        ],
        "duplicate_group_count": len(exact),
        "duplicate_groups_across_splits": sum(group["across_splits"] for group in exact),
        "duplicates": _worst(exact),
        "near_duplicate_group_count": len(near),
        "near_duplicate_groups_across_splits": sum(group["across_splits"] for group in near),
        "near_duplicates": _worst(near),
    }
    found["advice"] = _advice(found, exact + near)
    return {"dataset_analysis": found}


def _labels(examples: Sequence[SnapshotExample]) -> list[Json]:
    splits: dict[str, Counter[str]] = {}
    for example in examples:
        for label in example.labels or ("",):
            splits.setdefault(label, Counter())[example.split.value] += 1
    return [
        {"label": label, "count": counts.total(), "by_split": dict(counts)}
        for label, counts in sorted(splits.items(), key=lambda item: (-item[1].total(), item[0]))
    ]


def _group(examples: Sequence[SnapshotExample], positions: Sequence[int]) -> Json:
    members = [examples[position] for position in positions]
    return {
        "examples": [_example(member) for member in members[:MAX_MEMBERS]],
        "count": len(members),
        "across_splits": len({member.split for member in members}) > 1,
        "labels_differ": len({member.labels for member in members}) > 1,
    }


def _worst(groups: list[Json]) -> list[Json]:
    rank = sorted(groups, key=lambda g: (not g["across_splits"], not g["labels_differ"], -g["count"]))
    return rank[:MAX_LISTED]


def _example(example: SnapshotExample, reason: str = "", message: str = "") -> Json:
    return {
        "sha256": example.sha256,
        "id": example.id,
        "split": example.split.value,
        "labels": list(example.labels),
        "reason": reason,
        "message": message,
    }


def _advice(found: Json, groups: Sequence[Json]) -> list[str]:
    leaks = sum(group["across_splits"] for group in groups)
    contradictions = sum(group["labels_differ"] for group in groups)
    named = [row for row in found["labels"] if row["label"]]
    unlabelled = next((row["count"] for row in found["labels"] if not row["label"]), 0)
    rare = [row["label"] for row in named if row["count"] < _FEW]
    advice = [
        (leaks, f"{leaks} groups of duplicates lie in more than one split: put each into one, or accuracy "
                "will look better than it is"),
        (contradictions, f"{contradictions} groups of duplicates carry different labels: look at them"),
        (found["unreadable_count"], f"{found['unreadable_count']} images cannot be decoded: replace them"),
        (len(named) < 2, f"{len(named)} classes: a classifier needs two"),
        (unlabelled, f"{unlabelled} examples have no label and will not be trained on"),
        (rare, f"{len(rare)} classes have fewer than {_FEW} examples: {', '.join(rare[:5])}"),
        (found["tiny_count"], f"{found['tiny_count']} images have a side below {MIN_SIDE} pixels"),
    ]  # fmt: skip
    return [text for applies, text in advice if applies]
