"""Randomness as a function of where a run is: no state to save, and none that a resumed run could miss."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


def seed_everything(*key: int) -> None:
    """Seeds Python, NumPy and torch on every device from non-negative integers such as (seed, step)."""
    words = np.random.SeedSequence(key).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.manual_seed(int(words[2]))


@contextlib.contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Seeds for the body, and leaves the process's own states as they were. CPU only."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    words = np.random.SeedSequence(key).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.default_generator.manual_seed(int(words[2]))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
