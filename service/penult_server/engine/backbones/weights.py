"""Putting tensors into a trunk, and naming what is in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch

from penult_server.core.errors import FailedPrecondition
from penult_server.engine.backbones.checkpoint import without_prefix
from penult_server.engine.backbones.trunk import Trunk

_NAMED = 5


def fit(trunk: Trunk, tensors: Mapping[str, torch.Tensor], what: str) -> None:
    """Copies a checkpoint into a trunk. Tensors of the classifier may be there or not, in any shape.

    Raises:
        FailedPrecondition: WEIGHTS_MISFIT, naming the first tensors that are missing, unexpected or of
            another shape. The trunk is unchanged then.
    """
    expected = trunk.model.state_dict()
    faults: list[str] = []
    for reading in trunk.translations(without_prefix(tensors)):
        given = {name: tensor for name, tensor in reading.items() if trunk.uses(name)}
        found = _faults(expected, given)
        if not found:
            trunk.model.load_state_dict(given, strict=False)  # counters of batch norm may be missing
            return
        faults = faults or found  # those of the most literal reading say most
    raise FailedPrecondition(
        "WEIGHTS_MISFIT",
        f"{what} does not fit its architecture: {'; '.join(faults)}",
        hint="name the architecture that these weights were trained with",
    )


def weights_sha256(trunk: Trunk) -> str:
    """sha256 hex over name, dtype, shape and bytes of every tensor, sorted by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(trunk.model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _faults(expected: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> list[str]:
    missing = [n for n in expected if n not in given and not n.endswith("num_batches_tracked")]
    unexpected = [n for n in given if n not in expected]
    reshaped = [
        f"{n} {tuple(given[n].shape)} where {tuple(expected[n].shape)} is needed"
        for n in expected
        if n in given and given[n].shape != expected[n].shape
    ]
    labelled = (("missing", missing), ("unexpected", unexpected), ("other shape", reshaped))
    return [f"{len(names)} {label} ({_first(names)})" for label, names in labelled if names]


def _first(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
