"""`penult evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from penult._jobs import outcome
from penult.cli.connection import DEFAULT_TARGET, ApiKey, AsJson, Ca, Target, UseTls, connect
from penult.cli.live_jobs import follow
from penult.cli.output import print_json, print_table
from penult.evaluation_types import Evaluation
from penult.pages.model_report import write_report
from penult.sources import image_files

_SHOWN = 10


def evaluate(
    model: Annotated[str, typer.Argument(help="NAME, NAME@VERSION or NAME@ALIAS.")],
    dataset: Annotated[
        str | None, typer.Option(help="Measure on this dataset; without it, what was measured at training.")
    ] = None,
    split: Annotated[
        Literal["train", "validation", "test", "unassigned"], typer.Option(help="Of the dataset.")
    ] = "test",
    report: Annotated[
        Path | None, typer.Option(help="Write a page: confusions, curves, the worst mistakes.")
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="Folder or quoted pattern of the images, to show mistakes as pictures.")
    ] = None,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Measure a model on a split of a dataset."""
    with connect(target, api_key, ca, tls) as client:
        described = client.models.get(model)
        evidence = described.evidence
        if dataset is not None:
            job = client.models.evaluate(model, dataset=dataset, split=split, wait=False)
            found = outcome(follow(job, quiet=as_json))
        else:
            found = None if evidence is None else evidence.evaluation
    if found is None:
        raise typer.BadParameter("this model was never measured; give --dataset", param_hint="--dataset")
    if report is not None:
        files = (Path(file) for file in image_files(images)) if images else ()
        write_report(report, described.reference, found, evidence, files)
        typer.echo(str(report), err=True)
    if as_json:
        print_json(found)
    else:
        print_evaluation(found)


def print_evaluation(found: Evaluation) -> None:
    """The figures, each class, and the surest mistakes."""
    interval = f"{found.accuracy:.4f} ({found.accuracy_low:.4f} to {found.accuracy_high:.4f})"
    figures = [
        ("measured on", f"{found.count} images, {found.split}"),
        ("left out", str(found.left_out) if found.left_out else ""),
        ("accuracy", interval),
        ("top-5 accuracy", _number(found.top5_accuracy)),
        ("balanced accuracy", _number(found.balanced_accuracy)),
        ("macro F1", _number(found.macro_f1)),
        ("micro F1", _number(found.micro_f1)),
        ("mean average precision", _number(found.mean_average_precision)),
        ("calibration error", _number(found.calibration_error)),
        ("threshold", _number(found.threshold)),
        ("rejected", _number(found.reject_rate)),
        ("accuracy of the others", _number(found.accepted_accuracy)),
        *(
            (
                f"class {each.label}",
                f"precision {each.precision:.3f}, recall {each.recall:.3f}, {each.support} images",
            )
            for each in found.classes
        ),
        *(
            (
                "mistake",
                f"{each.id}: {', '.join(each.predicted) or '(none)'} {each.probability:.3f}, "
                f"is {', '.join(each.true) or '(none)'}",
            )
            for each in found.mistakes[:_SHOWN]
        ),
    ]  # fmt: skip
    print_table(("", ""), [(key, value) for key, value in figures if value])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
