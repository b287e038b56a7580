"""The messages of analysis.proto as results."""

from __future__ import annotations

from penult.analysis_types import AnalyzedExample, DatasetAnalysis, DuplicateGroup, LabelCount
from penult.v1 import analysis_pb2 as pb


def dataset_analysis(message: pb.DatasetAnalysis) -> DatasetAnalysis:
    """The analysis without its message."""
    return DatasetAnalysis(
        dataset=message.dataset,
        revision=message.revision,
        example_count=message.example_count,
        labels=tuple(LabelCount(row.label, row.count, dict(row.by_split)) for row in message.labels),
        split_counts=dict(message.split_counts),
        unreadable_count=message.unreadable_count,
        unreadable=tuple(map(_example, message.unreadable)),
        tiny_count=message.tiny_count,
        tiny=tuple(map(_example, message.tiny)),
        duplicate_group_count=message.duplicate_group_count,
        duplicate_groups_across_splits=message.duplicate_groups_across_splits,
        duplicates=tuple(map(_group, message.duplicates)),
        near_duplicate_group_count=message.near_duplicate_group_count,
        near_duplicate_groups_across_splits=message.near_duplicate_groups_across_splits,
        near_duplicates=tuple(map(_group, message.near_duplicates)),
        advice=tuple(message.advice),
    )


def _example(message: pb.AnalyzedExample) -> AnalyzedExample:
    return AnalyzedExample(
        message.sha256, message.id, message.split, tuple(message.labels), message.reason, message.message
    )


def _group(message: pb.DuplicateGroup) -> DuplicateGroup:
    examples = tuple(map(_example, message.examples))
    return DuplicateGroup(examples, message.count, message.across_splits, message.labels_differ)
