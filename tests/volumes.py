"""Small file systems of a test's own, with real limits. They need root, and skip where it cannot mount."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_BALLAST = "ballast"


@contextlib.contextmanager
def tmpfs(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk in memory of so many MiB, mounted at `folder`."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def ext4(folder: Path, image: Path, megabytes: int) -> Iterator[Path]:
    """A disk in a file; yields what makes it fail: a write there turns it read-only, as damage does."""
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    made = subprocess.run(["mkfs.ext4", "-q", str(image)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no ext4 here: {made.stderr.strip()}")
    _mount("-o", "loop,errors=remount-ro", str(image), str(folder))
    try:
        device = next(
            line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if f" {folder} " in line
        )
        trigger = Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"
        if not trigger.exists():
            pytest.skip("this kernel cannot make an ext4 fail")
        yield trigger
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def reserve(folder: Path, megabytes: int) -> None:
    """Takes some room, which `clear` gives back."""
    (folder / _BALLAST).write_bytes(b"\0" * (megabytes << 20))


def fill(folder: Path) -> None:
    """Takes all the room that is left."""
    with (folder / _BALLAST).open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)


def clear(folder: Path) -> None:
    """Gives it back."""
    (folder / _BALLAST).unlink()


def _mount(*arguments: str) -> None:
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("mount is not here")
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
