from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from penult_server.core.diagnosis import Finding, Symptom
from penult_server.core.schedules import make_schedule
from penult_server.engine.finetune.curves import CurveFile, read_rows, to_curves
from penult_server.engine.finetune.plot import plot_curves, plot_schedule
from penult_server.engine.finetune.tensorboard import write_events
from tests.finetune_lab import task_in


def written(directory: Path) -> Path:
    task, _ = task_in(directory)
    curves = CurveFile(directory, 0, task)
    curves.start(0.6, 0.9)
    for step in range(1, 21):
        loss = float("nan") if step == 7 else 2.0 / step
        values = {"loss": loss, "rate": 0.1, "factor": 1.0, "gradient_norm": 1.0, "images_per_second": 9.0}
        curves.step(step, {**values, "update_ratio": {"a": 1e-3}} if step % 10 == 1 else values)
        if step % 10 == 0:
            curves.epoch(
                step, {"epoch": step / 10, "train_accuracy": 0.8, "accuracy": 0.7, "validation_loss": 0.5}
            )
    curves.close()
    return directory / "curves.jsonl"


def test_curves_go_on_where_a_checkpoint_was(tmp_path: Path) -> None:
    file = written(tmp_path)
    with open(file, "a") as half:
        half.write('{"step": 21, "lo')
    task, _ = task_in(tmp_path)
    curves = CurveFile(tmp_path, 12, task)
    curves.step(13, {"loss": 9.0})
    curves.close()
    rows = read_rows(file)
    assert [row["step"] for row in rows] == [*range(11), 10, 11, 12, 13]
    assert rows[-1]["loss"] == 9.0


def test_curves_of_a_run_that_starts_again_have_one_start(tmp_path: Path) -> None:
    file = written(tmp_path)
    task, _ = task_in(tmp_path)
    curves = CurveFile(tmp_path, 0, task)
    curves.start(0.5, 1.0)
    curves.close()
    assert [row["probe_accuracy"] for row in read_rows(file)] == [0.5]


def test_arrays_for_the_diagnosis(tmp_path: Path) -> None:
    curves = to_curves(read_rows(written(tmp_path)), 50)
    assert curves.loss.shape == (20,)
    assert np.isnan(curves.loss[6])
    assert curves.accuracy.tolist() == [0.7, 0.7]
    assert curves.start == (0.6, 0.9)


def test_one_picture_of_everything(tmp_path: Path) -> None:
    rows = read_rows(written(tmp_path))
    plot_curves(rows, tmp_path / "a.png", [Finding(Symptom.PLATEAU, "it stands", "change it")])
    plot_curves([], tmp_path / "none.png")
    with Image.open(tmp_path / "a.png") as picture, Image.open(tmp_path / "none.png") as empty:
        assert min(picture.size) > 500
        assert np.asarray(picture.convert("L")).std() > np.asarray(empty.convert("L")).std() > 0


def test_a_schedule_is_drawn_before_training(tmp_path: Path) -> None:
    plot_schedule(make_schedule("one_cycle", {}, 0.1), 100, 1e-3, tmp_path / "s.png")
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.format == "PNG"


def test_tensorboard_reads_the_events(tmp_path: Path) -> None:
    rows = read_rows(written(tmp_path))
    write_events(rows, tmp_path)
    write_events(rows, tmp_path)  # the second takes the first one's place
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert {"step/loss", "step/rate", "step/update_ratio/a", "epoch/accuracy"} <= set(
        events.Tags()["scalars"]
    )
    assert [event.step for event in events.Scalars("epoch/accuracy")] == [10, 20]
    assert len(events.Scalars("step/loss")) == 19
