"""Checkpoint files to named tensors. Nothing in them is ever executed."""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from penult_server.core.errors import DataLoss, FailedPrecondition, InvalidArgument

# Under these keys trainers keep the weights; averaged ones first, as timm's loader does.
_WRAPPERS = (
    "state_dict_ema", "model_ema", "ema_state_dict", "ema",
    "state_dict", "model_state_dict", "model_state", "model", "net", "weights",
)  # fmt: skip
_PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "trunk.")
# How torch names what it refuses to import; garbled bytes seldom spell a dotted name.
_FOREIGN_GLOBAL = re.compile(r"GLOBAL [A-Za-z_]\w*(\.\w+)+")
_MAX_HEADER = 100 * 1024 * 1024


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors or torch file on the CPU, without wrappers and common prefixes.

    The format is told from the bytes, not from the name.

    Raises:
        DataLoss: WEIGHTS_DAMAGED, the file is cut, garbled, empty or holds no finite numbers.
        InvalidArgument: WEIGHTS_NOT_PLAIN, it holds Python objects other than tensors.
        FailedPrecondition: WEIGHTS_UNREADABLE, the server's user may not open it.
    """
    if _looks_like_safetensors(path):
        try:
            tensors = safetensors.torch.load_file(path)
        except (safetensors.SafetensorError, OSError, ValueError) as error:
            raise _damaged(path, error) from error
    else:
        tensors = _plain(path, _read_torch(path))
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise _damaged(path, f"{name} holds values that are no finite numbers")
    return tensors


def read_metadata(path: Path) -> dict[str, str]:
    """The free text in the header of a safetensors file; empty for other files and damaged ones."""
    if not _looks_like_safetensors(path):
        return {}
    with path.open("rb") as file:
        header = file.read(min(int.from_bytes(file.read(8), "little"), _MAX_HEADER))
    try:
        metadata = json.loads(header).get("__metadata__", {})
    except (ValueError, AttributeError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def file_sha256(path: Path) -> str:
    """Lower-case hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def check_sha256(path: Path, expected: str) -> None:
    """Raises DataLoss WEIGHTS_DAMAGED unless the file's bytes have this digest."""
    if (found := file_sha256(path)) != expected:
        raise _damaged(path, f"its sha256 is {found}, not {expected}")


def _looks_like_safetensors(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except PermissionError as error:
        raise FailedPrecondition(
            "WEIGHTS_UNREADABLE",
            f"the server may not read {path.name}",
            hint="make the file readable for the user that the server runs as",
        ) from error
    except OSError as error:
        raise _damaged(path, error) from error
    return path.suffix == ".safetensors" or start[8:] == b"{"


def _read_torch(path: Path) -> object:
    try:
        # timm's trainer keeps its arguments in a Namespace, which is plain data.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _FOREIGN_GLOBAL.search(str(error)):
            raise InvalidArgument(
                "WEIGHTS_NOT_PLAIN",
                f"{path.name} holds Python objects other than tensors, which are never unpickled",
                hint="save model.state_dict() alone, or use safetensors",
            ) from error
        raise _damaged(path, error) from error
    except Exception as error:  # garbled bytes make the unpickler raise whatever they spell
        raise _damaged(path, error) from error


def _plain(path: Path, content: object) -> dict[str, torch.Tensor]:
    while isinstance(content, Mapping) and (inner := _wrapped(content)) is not None:
        content = inner
    if not isinstance(content, Mapping):
        raise _damaged(path, "it holds no named tensors")
    # n_averaged is the step counter of torch's AveragedModel.
    tensors = {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, torch.Tensor) and name != "n_averaged"
    }
    if not tensors:
        raise _damaged(path, "it holds no named tensors")
    return tensors


def without_prefix(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors under the names they had before a trainer or a compiler wrapped the model."""
    names = dict(tensors)
    while prefix := next((p for p in _PREFIXES if names and all(n.startswith(p) for n in names)), ""):
        names = {name.removeprefix(prefix): tensor for name, tensor in names.items()}
    return names


def _wrapped(content: Mapping[object, object]) -> object | None:
    return next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)


def _damaged(path: Path, why: object) -> DataLoss:
    first_line = (str(why).strip().splitlines() or [type(why).__name__])[0][:300]
    return DataLoss(
        "WEIGHTS_DAMAGED",
        f"{path.name} cannot be read as weights: {first_line}",
        hint="get the file again; if it is in a hub's cache, delete it there first",
    )
