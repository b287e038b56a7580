"""One vocabulary: the enums of the wire and those of the core name the same things."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from penult import evaluation_types
from penult.job_types import JobState as JobStateWord
from penult.tuning_types import TrialState as TrialStateWord
from penult.v1 import (
    backbone_pb2,
    dataset_pb2,
    evaluation_pb2,
    feature_pb2,
    index_pb2,
    index_resource_pb2,
    job_pb2,
    model_version_pb2,
    tensor_pb2,
    tuning_pb2,
)
from penult_server.core import evidence
from penult_server.core.backbones import BackboneSource, BackboneState
from penult_server.core.datasets import Split
from penult_server.core.features import FeatureDType, Pooling
from penult_server.core.index_kinds import Metric
from penult_server.core.indexes import AddMode, IndexPhase
from penult_server.core.jobs import JobState, LogLevel
from penult_server.core.models import ModelKind
from penult_server.core.tuning import TrialState


def words(wire: EnumTypeWrapper, prefix: str) -> set[str]:
    return {key.removeprefix(prefix).lower() for key in wire.DESCRIPTOR.values_by_name} - {"unspecified"}


@pytest.mark.parametrize(
    ("wire", "core"),
    [(backbone_pb2.BackboneState, BackboneState), (backbone_pb2.BackboneSource, BackboneSource)],
    ids=["state", "source"],
)
def test_backbone_enums_agree(wire: EnumTypeWrapper, core: type[BackboneState | BackboneSource]) -> None:
    prefix = wire.DESCRIPTOR.name.replace("Backbone", "BACKBONE_").upper() + "_"
    assert words(wire, prefix) == {member.value for member in core}


def test_poolings_agree() -> None:
    assert words(feature_pb2.Pooling, "POOLING_") == set(get_args(Pooling)) - {"default"}


def test_splits_agree() -> None:
    assert words(dataset_pb2.Split, "SPLIT_") == {split.value for split in Split}


def test_model_kinds_agree() -> None:
    assert words(model_version_pb2.ModelKind, "MODEL_KIND_") == {kind.value for kind in ModelKind}


def test_every_feature_dtype_has_a_word_on_the_wire() -> None:
    assert set(get_args(FeatureDType)) <= words(tensor_pb2.DataType, "DATA_TYPE_")


def test_trial_states_agree() -> None:
    assert words(tuning_pb2.TrialState, "TRIAL_STATE_") == {state.value for state in TrialState}
    assert set(get_args(TrialStateWord)) == {state.value for state in TrialState}


def test_job_states_and_log_levels_agree() -> None:
    assert words(job_pb2.JobState, "JOB_STATE_") == {state.value for state in JobState}
    assert set(get_args(JobStateWord)) == {state.value for state in JobState}
    assert words(job_pb2.LogLevel, "LOG_LEVEL_") == set(get_args(LogLevel))


def test_words_of_indexes_agree() -> None:
    assert words(index_resource_pb2.IndexMetric, "INDEX_METRIC_") == set(get_args(Metric))
    assert words(index_resource_pb2.IndexPhase, "INDEX_PHASE_") == {phase.value for phase in IndexPhase}
    assert words(index_pb2.AddMode, "ADD_MODE_") == {mode.value for mode in AddMode}


@pytest.mark.parametrize(
    "name", ["Evaluation", "Evidence", "ClassScore", "CalibrationBin", "CurvePoint", "LearningPoint"]
)
def test_evidence_has_the_same_fields_in_core_on_the_wire_and_in_the_client(name: str) -> None:
    core = {field.name for field in dataclasses.fields(getattr(evidence, name))}
    assert {field.name for field in dataclasses.fields(getattr(evaluation_types, name))} == core
    assert set(getattr(evaluation_pb2, name).DESCRIPTOR.fields_by_name) == core
