"""What core asks of tuning: what may vary, the usual space, methods, and the picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from penult_server.core.errors import InvalidArgument
from penult_server.core.search_space import Choice, Range, Space, parse_space
from penult_server.core.tuning import (
    RECORD,
    EpochDone,
    StageBegan,
    TrialBegan,
    TrialEnded,
    TrialState,
)
from penult_server.engine.finetune.optimizers import RATES
from penult_server.engine.finetune.settings import FineTuneSettings, parse_settings
from penult_server.engine.tuning.methods import EngineTuning, EngineTuningPlots
from penult_server.engine.tuning.pruning import pruning_rules
from penult_server.engine.tuning.record import Record, read_record, study_of
from penult_server.engine.tuning.search import find_search, search_ways

METHODS = EngineTuning()


@pytest.mark.parametrize("optimizer", RATES)
@pytest.mark.parametrize("linear_probe", [True, False])
def test_every_end_of_the_usual_space_is_a_good_setting(optimizer: str, linear_probe: bool) -> None:
    given: dict[str, Any] = {"optimizer": optimizer, "linear_probe": linear_probe}
    settings = parse_settings(given)
    usual = METHODS.usual_space(settings.model_dump(mode="json"), given)
    space, fixed = parse_space(usual)
    assert not fixed
    assert set(space) <= set(METHODS.tunable())
    for name, parameter in space.items():
        for place in (0.0, 0.5, 1.0):
            parse_settings({**given, name: parameter.at(place)})
    rates = space["learning_rate"]
    assert isinstance(rates, Range)
    assert 0 < rates.place(settings.usual_rate()) < 1


def test_what_is_given_does_not_vary() -> None:
    given = {"weight_decay": 0.1, "trainable": "head"}
    usual = METHODS.usual_space(parse_settings(given).model_dump(mode="json"), given)
    assert set(usual) == {"learning_rate", "label_smoothing", "augmentation"}


def test_the_usual_space_knows_every_augmentation_and_both_kinds_of_statistics() -> None:
    usual = METHODS.usual_space(parse_settings({}).model_dump(mode="json"), {})
    assert "flip" in usual["augmentation"]
    assert usual["batch_norm"] == ["frozen", "update"]
    # Random weights come with no statistics that could be kept.
    random = {"start": "random"}
    assert "batch_norm" not in METHODS.usual_space(parse_settings(random).model_dump(mode="json"), random)


def test_what_may_vary_are_settings_that_do_not_say_who_judges() -> None:
    tunable = METHODS.tunable()
    assert set(tunable) < set(FineTuneSettings.model_fields)
    assert not {"seed", "validation_share", "start", "processes"} & set(tunable)
    assert (tunable["epochs"], tunable["learning_rate"], tunable["linear_probe"]) == (True, False, False)


def test_methods_are_completed_and_checked() -> None:
    assert METHODS.validate({}) == {
        "search": "tpe",
        "search_options": {"startup_trials": 6},
        "pruner": "median",
        "pruner_options": {"startup_trials": 4, "warmup_epochs": 2},
    }
    for search in search_ways():
        for pruner in pruning_rules():
            complete = METHODS.validate({"search": search, "pruner": pruner})
            assert METHODS.validate(complete) == complete
    with pytest.raises(InvalidArgument) as refused:
        METHODS.validate({"search": "grid", "search_options": {"points": 1}})
    assert (refused.value.reason, refused.value.field) == ("TUNING_OPTION_INVALID", "search_options.points")


def test_a_grid_knows_its_size_and_others_have_none() -> None:
    space: Space = {"dropout": Range(0, 0.5), "augmentation": Choice(("none", "crop"))}
    assert METHODS.budget(METHODS.validate({"search": "grid"}), space) == (6, 1 / 3)
    assert METHODS.budget(METHODS.validate({}), space) == (None, 0.0)
    many: Space = {f"p{n}": Range(0, 1) for n in range(12)}
    assert METHODS.budget(METHODS.validate({"search": "grid"}), many)[0] == 3**12


SPACES: list[Space] = [
    {
        "learning_rate": Range(1e-5, 1e-1, log=True),
        "weight_decay": Range(0.0, 0.3),
        "augmentation": Choice(("a", "b")),
    },
    {"learning_rate": Range(1e-5, 1e-1, log=True)},
    {"augmentation": Choice(("a", "b", "c")), "optimizer": Choice(("sgd", "adamw"))},
    {name: Range(1, 9, whole=True) for name in "abcdefgh"},
]


@pytest.mark.parametrize("space", SPACES)
def test_studies_of_every_shape_are_recorded_and_drawn(tmp_path: Path, space: Space) -> None:
    record, plots = Record(tmp_path / RECORD), EngineTuningPlots()
    random, trials = find_search("random"), 5
    assert plots.plot(space, tmp_path / RECORD) is None
    for number in range(1, trials + 1):
        study = study_of(space, tmp_path / RECORD)
        point = random.propose(study, 1, None, 10)
        assert point is not None
        record.append(TrialBegan(number, 1, point, 0.5))
        record.append(EpochDone(number, 1, 0.1 * number, 0.5, 1.0))
        state = [*TrialState][number - 1]
        if state is TrialState.FAILED:
            record.append(TrialEnded(number, state, None, None, 1.0, "WHY", "so", {}, 2.0))
        elif state is not TrialState.RUNNING:
            record.append(TrialEnded(number, state, 0.1 * number, 0.5, 1.0, "", "", {"run": {}}, 2.0))
    record.append(StageBegan(2, study_of(space, tmp_path / RECORD).refined(), 3.0))
    record.close()
    events = read_record(tmp_path / RECORD)
    assert len(events) == 2 * trials + 4 + 1
    assert events[-1] == StageBegan(2, study_of(space, tmp_path / RECORD).refined(), 3.0)
    plot = plots.plot(space, tmp_path / RECORD)
    assert plot is not None
    assert Image.open(io.BytesIO(plot.png)).size[0] > 1000
