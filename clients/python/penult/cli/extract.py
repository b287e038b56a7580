"""`penult extract`."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Annotated, Literal

import typer

from penult.cli.connection import DEFAULT_TARGET, ApiKey, AsJson, Ca, Target, UseTls, connect
from penult.cli.files import check_destination, save
from penult.cli.output import print_json
from penult.errors import ItemFailed, SkippedImages
from penult.sources import image_files
from penult.types import FeatureBatch


def extract(
    paths: Annotated[
        list[str], typer.Argument(help="Images, folders, or quoted patterns like 'x/**/*.jpg'.")
    ],
    out: Annotated[Path, typer.Option(help="File to write: .npz, .npy or .parquet.")],
    backbone: Annotated[str | None, typer.Option(help="Default: the server's.")] = None,
    tta: Annotated[str | None, typer.Option(help="flip, five_crop, ten_crop, scales; join with +.")] = None,
    l2: Annotated[bool, typer.Option("--l2", help="Scale every feature to unit length.")] = False,
    dtype: Annotated[Literal["float32", "float16"], typer.Option(help="Type of the numbers.")] = "float32",
    layer: Annotated[str | None, typer.Option(help="Intermediate layer; `backbones get` lists them.")] = None,
    pooling: Annotated[
        Literal["default", "avg", "max", "avg_max", "token"],
        typer.Option(help="How a layer becomes a vector."),
    ] = "default",
    on_error: Annotated[
        Literal["skip", "raise", "return"],
        typer.Option(help="A bad image: leave it out, stop, or write a row of NaN."),
    ] = "skip",
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Write the features of images to a file."""
    check_destination(out)
    files = [file for path in paths for file in image_files(path)]
    started = time.perf_counter()
    with connect(target, api_key, ca, tls) as client, warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedImages)  # each is listed below
        batch = client.extract_with_info(
            files, backbone, tta=tta, l2=l2, dtype=dtype, layer=layer, pooling=pooling,
            progress=not as_json, on_error=on_error,
        )  # fmt: skip
    seconds = time.perf_counter() - started
    if len(batch.errors) == len(files):
        raise ItemFailed.of(batch.errors)
    save(out, batch)
    for error in batch.errors:
        typer.echo(f"{'skipped' if on_error == 'skip' else 'failed'} {error}", err=True)
    if as_json:
        print_json(_summary(out, batch, seconds))
    else:
        count, dim = batch.features.shape
        typer.echo(
            f"{out}: {count} x {dim} {dtype} features of {batch.backbone} in {seconds:.1f} s", err=True
        )


def _summary(out: Path, batch: FeatureBatch, seconds: float) -> dict[str, object]:
    return {
        "out": str(out),
        "images": len(batch.features),
        "dim": batch.features.shape[1],
        "backbone": batch.backbone,
        "fingerprint": batch.fingerprint,
        "errors": batch.errors,
        "seconds": round(seconds, 3),
    }
