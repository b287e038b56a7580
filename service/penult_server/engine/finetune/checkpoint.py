"""Checkpoints: one safetensors file each, replaced in one step. No pickle.

Whatever is not a tensor (counters, an optimiser's groups, the place in the data) is JSON in the file's
header, so that there is nothing a crash could put out of step.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from penult_server.core.errors import DataLoss

_TENSOR = "__tensor__"
_TUPLE = "__tuple__"


def save_checkpoint(file: Path, state: Mapping[str, Any]) -> None:
    """Writes nested mappings and lists of tensors and plain values, durably and in one step.

    Raises:
        OSError: such as a full disk; the file is the old one then.
    """
    tensors: dict[str, torch.Tensor] = {}
    skeleton = _take_apart(state, "", tensors)
    part = file.with_suffix(".part")
    try:
        save_file(tensors, part, {"state": json.dumps(skeleton)})
        _sync(part)
    except SafetensorError as error:  # hides the operating system's error in its words
        part.unlink(missing_ok=True)
        if said := re.search(r"\(os error (\d+)\)", str(error)):
            number = int(said[1])
            raise OSError(number, os.strerror(number)) from error
        raise
    except OSError:
        part.unlink(missing_ok=True)
        raise
    os.replace(part, file)
    _sync(file.parent)


def load_checkpoint(file: Path) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, on the CPU; None where there is no such file.

    Raises:
        DataLoss: CHECKPOINT_DAMAGED.
    """
    if not file.exists():
        return None
    try:
        with safe_open(file, "pt") as opened:
            skeleton = json.loads(opened.metadata()["state"])
            state: dict[str, Any] = _put_together(skeleton, opened)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataLoss(
            "CHECKPOINT_DAMAGED",
            f"the checkpoint {file.name} of this job cannot be read",
            hint="start the job anew",
        ) from error
    return state


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Loads its state, laid out in memory as the parameters are, which is what its fast paths need."""
    by_number = {int(number): values for number, values in state["state"].items()}
    optimizer.load_state_dict({"state": by_number, "param_groups": state["param_groups"]})
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _take_apart(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        # A copy: states may share memory, which the format does not hold.
        tensors[path] = value.detach().to("cpu", copy=True).contiguous()
        return {_TENSOR: path}
    if isinstance(value, Mapping):
        return {str(key): _take_apart(inner, f"{path}/{key}", tensors) for key, inner in value.items()}
    if isinstance(value, tuple):
        return {_TUPLE: [_take_apart(inner, f"{path}/{n}", tensors) for n, inner in enumerate(value)]}
    if isinstance(value, list):
        return [_take_apart(inner, f"{path}/{n}", tensors) for n, inner in enumerate(value)]
    return value


def _put_together(value: Any, opened: Any) -> Any:
    if isinstance(value, list):
        return [_put_together(inner, opened) for inner in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return opened.get_tensor(value[_TENSOR])
    if _TUPLE in value:
        return tuple(_put_together(inner, opened) for inner in value[_TUPLE])
    return {key: _put_together(inner, opened) for key, inner in value.items()}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
