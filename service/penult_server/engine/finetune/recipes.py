"""What core asks of fine-tuning before a job starts and while one runs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penult_server.core.diagnosis import diagnose
from penult_server.core.finetune_ports import DrawnSchedule, JobPlot
from penult_server.engine.backbones.local_file import find_architecture
from penult_server.engine.finetune.curves import read_rows, to_curves
from penult_server.engine.finetune.data import steps_in_epoch
from penult_server.engine.finetune.network import check_stage
from penult_server.engine.finetune.plot import plot_curves, plot_schedule
from penult_server.engine.finetune.settings import FineTuneSettings, check_size, parse_settings


class EngineRecipes:
    """Implements core.finetune_ports.FineTuneRecipes."""

    def validate(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """See core.finetune_ports.FineTuneRecipes."""
        return parse_settings(settings).model_dump(mode="json")

    def check(self, settings: Mapping[str, Any], architecture: str, training_images: int) -> None:
        """See core.finetune_ports.FineTuneRecipes."""
        complete = FineTuneSettings(**settings)
        check_stage(find_architecture(architecture), complete)
        check_size(complete, training_images)

    def draw(self, settings: Mapping[str, Any], training_images: int) -> DrawnSchedule:
        """See core.finetune_ports.FineTuneRecipes."""
        complete = FineTuneSettings(**settings)
        batch = min(complete.batch_size, training_images)
        schedule = complete.make_schedule()
        total = complete.epochs * steps_in_epoch(training_images, batch)
        peak = complete.known_rate()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "schedule.png"
            plot_schedule(schedule, total, peak or 1.0, file)
            return DrawnSchedule(file.read_bytes(), schedule.draw(total), peak or 0.0)


class EnginePlots:
    """Implements core.finetune_ports.CurvePlots."""

    def plot(self, file: Path) -> JobPlot | None:
        """See core.finetune_ports.CurvePlots."""
        rows = read_rows(file)
        if not rows:
            return None
        judged = [row["validation_count"] for row in rows if "validation_count" in row]
        findings = diagnose(to_curves(rows, int(judged[-1]))) if judged else []
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / "curves.png"
            plot_curves(rows, picture, findings)
            return JobPlot(picture.read_bytes(), findings)
