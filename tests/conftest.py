"""Fixtures that every part of the suite shares."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.databases import Cluster

ROOT = Path(__file__).resolve().parent.parent


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have counted with `record_property`: how much the fault tests did, and what was lost."""
    counted: dict[str, Counter[str]] = {}
    for report in terminalreporter.getreports("passed"):
        if report.when == "call" and report.user_properties:
            counted.setdefault(report.nodeid.partition("[")[0], Counter()).update(
                dict(report.user_properties)
            )
    if counted:
        terminalreporter.section("counted")
    for test, numbers in counted.items():
        terminalreporter.line(f"{test}: {', '.join(f'{number} {what}' for what, number in numbers.items())}")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images: $PENULT_TEST_DATA, else ../shared/data beside the checkout; skips without it."""
    given = os.environ.get("PENULT_TEST_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no test images at {folder}; set PENULT_TEST_DATA to a folder that has them")
    return folder


@pytest.fixture(scope="session")
def postgresql() -> Cluster:
    """A real PostgreSQL; skips where Debian's package is not installed."""
    from tests.databases import shared_cluster  # not where only the light client is installed

    return shared_cluster()


@pytest.fixture(scope="session")
def sample_jpegs() -> list[bytes]:
    """Eight JPEG files, 280 x 280 to 640 x 427: different cuts of two real photographs (scikit-learn's)."""
    return list(_cut_photographs())


def _cut_photographs() -> Iterator[bytes]:
    # Imported here so that tests of the light client can run where scikit-learn is missing.
    from PIL import Image
    from sklearn.datasets import load_sample_images

    boxes = ((0, 0, 640, 427), (0, 0, 320, 427), (300, 20, 640, 300), (180, 90, 460, 370))
    for photograph in load_sample_images().images:
        for box in boxes:
            file = io.BytesIO()
            Image.fromarray(photograph).crop(box).save(file, "JPEG", quality=90)
            yield file.getvalue()
