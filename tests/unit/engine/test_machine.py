from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
import torch

from penult_server.engine.machine import allow_open_files, cores, memory_bytes

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("50000 100000", 1), ("100000 100000", 1), ("9900000 100000", None), ("max 100000", None)],
)
def test_cores_are_those_of_the_quota_but_never_more_than_there_are(
    tmp_path: Path, text: str, expected: int | None
) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert cores(tmp_path) == (expected or len(os.sched_getaffinity(0)))


def test_memory_is_that_of_the_container(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1048576\n")
    assert memory_bytes(CPU, tmp_path) == 1 << 20
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_bytes(CPU, tmp_path) > 1 << 28


def test_outside_a_container_the_machine_counts(tmp_path: Path) -> None:
    assert cores(tmp_path) == len(os.sched_getaffinity(0))
    assert memory_bytes(CPU, tmp_path) > 1 << 28


def test_open_files_are_raised_and_never_lowered() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert allow_open_files(300) == 300
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300
        assert allow_open_files(100) == 300
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
