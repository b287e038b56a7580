"""What this process may use of the machine, inside a container as well as outside."""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Callable
from pathlib import Path

import torch

_OPEN_FILES = 65_536
_CGROUP = Path("/sys/fs/cgroup")


def cores(cgroup: Path = _CGROUP) -> int:
    """CPU cores: those of the affinity mask, or fewer where a container's quota (cgroup v2) says so."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = _numbers(cgroup / "cpu.max", 2)
    return min(allowed, max(1, math.ceil(quota / period))) if math.isfinite(quota) else allowed


def memory_bytes(device: torch.device, cgroup: Path = _CGROUP) -> int:
    """Memory of the device; for the CPU, of the machine or of the container if that is less."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(min(installed, *_numbers(cgroup / "memory.max", 1)))


def gpu_memory_use(device: torch.device) -> Callable[[], dict[str, float]] | None:
    """Reads the bytes in use, reserved and installed of a GPU; None for the CPU."""
    if device.type != "cuda":
        return None
    installed = memory_bytes(device)
    return lambda: {
        "used": torch.cuda.memory_allocated(device),
        "reserved": torch.cuda.memory_reserved(device),
        "total": installed,
    }


def allow_open_files(most: int = _OPEN_FILES) -> int:
    """Takes as many open files as the system allows this process, up to `most`; says how many.

    The usual soft limit of 1024 is less than a thousand clients need.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


def _numbers(path: Path, count: int) -> list[float]:
    """Numbers of a cgroup file. Infinity stands for `max`, and for the first where there is no such file."""
    try:
        words = path.read_text().split()
        return [math.inf if word == "max" else float(word) for word in words[:count]]
    except (OSError, ValueError):
        return [math.inf, 1.0][:count]
