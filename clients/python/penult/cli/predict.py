"""`penult predict`."""

from __future__ import annotations

import csv
import io
import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TextIO

import typer

from penult._whole_file import WholeFile
from penult.cli.connection import DEFAULT_TARGET, ApiKey, AsJson, Ca, Target, UseTls, connect
from penult.cli.output import print_json, print_table
from penult.errors import InvalidArgument, ItemFailed, SkippedImages
from penult.model_types import Prediction
from penult.sources import image_files
from penult.types import ItemError


def predict(
    model: Annotated[str, typer.Argument(help="NAME, NAME@VERSION or NAME@ALIAS.")],
    paths: Annotated[
        list[str], typer.Argument(help="Images, folders, or quoted patterns like 'x/**/*.jpg'.")
    ],
    top_k: Annotated[int, typer.Option(min=1, help="Labels to give for each image.")] = 5,
    out: Annotated[Path | None, typer.Option(help="File to write: .csv or .json.")] = None,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Say what images show: the likeliest labels with their probabilities."""
    if out is not None:
        _check(out)
    files = [file for path in paths for file in image_files(path)]
    with connect(target, api_key, ca, tls) as client, warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedImages)  # each is listed below
        found, errors = client.models.predict(model, files, top_k, on_error="return", progress=not as_json)
    rows = list(zip(files, found, strict=True))
    for error in errors:
        typer.echo(f"failed {error}", err=True)
    if out is not None:
        _save(out, rows, errors)
        typer.echo(f"{out}: {len(rows) - len(errors)} images", err=True)
    if as_json:
        print_json(_plain(rows, errors))
    elif out is None:
        good = [(path, prediction) for path, prediction in rows if prediction is not None]
        print_table(("image", "label", "probability", "others"), (_words(*row) for row in good))
    if files and len(errors) == len(files):
        raise ItemFailed.of(errors)


def _words(path: str, prediction: Prediction) -> tuple[str, ...]:
    label = prediction.label
    if prediction.rejected:
        label = f"(none; nearest {label})"
    elif prediction.labels:
        label = ", ".join(prediction.labels)
    others = ", ".join(f"{name} {value:.3f}" for name, value in prediction.top[1:])
    return path, label, f"{prediction.probability:.3f}", others


def _check(out: Path) -> None:
    if out.suffix.lower() not in (".csv", ".json"):
        raise InvalidArgument(f"cannot write {out.name!r}", reason="OUT_UNKNOWN", hint="use .csv or .json")
    if out.is_dir() or not os.access(out.parent, os.W_OK):
        raise InvalidArgument(
            f"cannot write to {str(out)!r}",
            reason="OUT_UNWRITABLE",
            hint="name a file in a folder that exists",
        )


def _save(out: Path, rows: Sequence[tuple[str, Prediction | None]], errors: Sequence[ItemError]) -> None:
    """The whole file or nothing."""
    with WholeFile(out) as whole:
        text = io.TextIOWrapper(whole.file, encoding="utf-8", newline="")
        if out.suffix.lower() == ".json":
            json.dump(_plain(rows, errors), text, indent=2)
        else:
            _csv(text, rows, errors)
        text.detach()


def _csv(file: TextIO, rows: Sequence[tuple[str, Prediction | None]], errors: Sequence[ItemError]) -> None:
    why = {error.index: f"{error.message} [{error.reason}]" for error in errors}
    width = max((len(prediction.top) for _, prediction in rows if prediction), default=1)
    table = csv.writer(file)
    header = [f"{what}_{n}" for n in range(1, width + 1) for what in ("label", "probability")]
    table.writerow(["path", "rejected", *header, "error"])
    for position, (path, prediction) in enumerate(rows):
        cells: list[object] = [""] * (1 + 2 * width)
        if prediction is not None:
            pairs = [cell for label, value in prediction.top for cell in (label, f"{value:.6f}")]
            cells[: 1 + len(pairs)] = [int(prediction.rejected), *pairs]
        table.writerow([path, *cells, why.get(position, "")])


def _plain(
    rows: Sequence[tuple[str, Prediction | None]], errors: Sequence[ItemError]
) -> list[dict[str, object]]:
    why = {error.index: f"{error.message} [{error.reason}]" for error in errors}
    return [
        {
            "path": path,
            "rejected": bool(prediction and prediction.rejected),
            "labels": list(prediction.labels) if prediction else [],
            "top": [
                {"label": label, "probability": round(value, 6)}
                for label, value in (prediction.top if prediction else ())
            ],
            "error": why.get(position, ""),
        }
        for position, (path, prediction) in enumerate(rows)
    ]
