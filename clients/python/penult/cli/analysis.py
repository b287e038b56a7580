"""What was found out about pictures, in words."""

from __future__ import annotations

import typer

from penult.analysis_types import AnalyzedExample, DatasetAnalysis, DuplicateGroup
from penult.cli.output import print_json, print_table
from penult.index_types import NearDuplicates

_SHOWN = 10


def print_duplicates(found: NearDuplicates, as_json: bool) -> None:
    """A line for each group: what kind, how many, and the ids."""
    if as_json:
        print_json(found)
        return
    same = "same pixels" if found.dataset else "same file"
    for group in found.groups:
        kind = same if group.exact else "alike"
        typer.echo(f"{kind}\t{group.count}\t" + "\t".join(item.id for item in group.items))
    typer.echo(
        f"{found.group_count} groups in {found.item_count} pictures; {found.redundant_count} could go",
        err=True,
    )


def print_analysis(found: DatasetAnalysis) -> None:
    """Counts, the worst of each finding, and what to do."""
    rows = [
        ("examples", str(found.example_count)),
        *((f"split {split}", str(count)) for split, count in sorted(found.split_counts.items())),
        *((f"label {row.label or '(none)'}", str(row.count)) for row in found.labels),
        ("unreadable", str(found.unreadable_count)),
        ("tiny", str(found.tiny_count)),
        ("duplicate groups", _groups(found.duplicate_group_count, found.duplicate_groups_across_splits)),
        (
            "near-duplicate groups",
            _groups(found.near_duplicate_group_count, found.near_duplicate_groups_across_splits),
        ),
        *(("unreadable", _name(example)) for example in found.unreadable[:_SHOWN]),
        *(("tiny", _name(example)) for example in found.tiny[:_SHOWN]),
        *(("duplicates", _members(group)) for group in found.duplicates[:_SHOWN]),
        *(("near-duplicates", _members(group)) for group in found.near_duplicates[:_SHOWN]),
    ]
    print_table(("", ""), rows)
    for line in found.advice:
        typer.echo(f"advice: {line}", err=True)


def _groups(count: int, across: int) -> str:
    return f"{count}, {across} of them across splits" if across else str(count)


def _name(example: AnalyzedExample) -> str:
    what = f": {example.message}" if example.message else ""
    return f"{example.id or example.sha256} ({example.split}){what}"


def _members(group: DuplicateGroup) -> str:
    return ", ".join(_name(example) for example in group.examples)
