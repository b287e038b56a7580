"""The demo as `make demo` runs it, on small folders: report, exit status, and no server left behind."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def run(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "penult.demo", "--report", "report", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": str(scratch), "COLUMNS": "200", **env},
        )
        assert not list(scratch.glob("penult-demo-*")), "the server's data directory is still there"
        return done

    return run


@pytest.fixture
def photos(tmp_path: Path, sample_jpegs: list[bytes]) -> Path:
    """Cuts of the two sample photographs, a class for each, every one also mirrored."""
    for number, data in enumerate(sample_jpegs):
        folder = tmp_path / "photos" / ("temple" if number < len(sample_jpegs) / 2 else "flower")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(data)
        with Image.open(io.BytesIO(data)) as picture:
            picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / f"{number}-mirrored.png")
    return tmp_path / "photos"


def page(tmp_path: Path) -> str:
    html = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["'](?!data:)|@import|url\(""", html), "the page needs other files"
    return html


def test_folder_of_classes_gets_a_classifier_and_a_report(run: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "temple" / "broken.jpg").write_bytes(b"no picture")
    done = run("--images", photos)
    assert done.returncode == 0, done.stdout + done.stderr
    # Two photographs that differ this much are told apart without fail.
    assert re.search(r"Accuracy +100\.0\s% on 4 held-out photos", done.stdout), done.stdout
    assert "left out: " in done.stdout
    assert "IMAGE_CORRUPT" in done.stdout
    html = page(tmp_path)
    assert "Confusion" in html
    assert "broken.jpg" in html
    assert "tf_efficientnet_lite0" in html
    # Each held-out photo (2 a class) with its 5 nearest of the other 12, and those 12 on the contact sheet.
    # And the curves of fine-tuning.
    assert html.count("<img ") == 4 * (1 + 5) + 12 + 1
    assert re.search(r"epoch 1: [\d.]+ % of \d+ validation images", done.stdout), done.stdout
    assert re.search(r"[\d.]+\s% on the same held-out photos after \d+ s", done.stdout), done.stdout
    assert "models/fine-tuned@1" in html
    assert 'src="data:image/png;base64,' in html
    sheet = re.findall(
        r"<figcaption>(\w+)</figcaption>", html.split("Contact sheet")[1].split("</section>")[0]
    )
    assert sheet in (["temple"] * 6 + ["flower"] * 6, ["flower"] * 6 + ["temple"] * 6), "alike next to alike"
    assert html.count('<figure class="') == 4 * 5


def test_class_that_fails_as_a_whole_is_left_out(run: Run, photos: Path, tmp_path: Path) -> None:
    for path in sorted((photos / "flower").iterdir())[1:]:
        path.write_bytes(b"no picture")
    done = run("--images", photos)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none: it takes sub-folders for classes" in done.stdout
    assert "left out: 2 more" in done.stdout
    assert page(tmp_path).count("FILE_UNREADABLE") + page(tmp_path).count("IMAGE_UNRECOGNISED") == 7


def test_fine_tuning_can_be_left_out(run: Run, photos: Path, tmp_path: Path) -> None:
    done = run("--images", photos, "--epochs", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Fine-tune" not in done.stdout
    assert "Fine-tuned" not in page(tmp_path)


def test_photos_that_cannot_be_fine_tuned_still_get_their_report(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    for folder in (photos / "flower", photos / "temple"):
        for path in sorted(folder.iterdir())[3:]:
            path.unlink()
    done = run("--images", photos)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left out: " in done.stdout
    assert "[NO_VALIDATION_IMAGES]" in done.stdout
    assert "Fine-tuned" not in page(tmp_path)


def test_flat_folder_gets_neighbours_only(run: Run, photos: Path, tmp_path: Path) -> None:
    done = run("--images", photos / "temple")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none: it takes sub-folders for classes" in done.stdout
    assert "Accuracy" not in done.stdout
    html = page(tmp_path)
    assert "Confusion" not in html
    assert html.count("<img ") == 6 * (1 + 5) + 8


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "there is no folder"),
        (lambda folder: folder.mkdir(), "no image in folder"),
    ],
    ids=["missing", "empty"],
)
def test_unusable_folder_is_explained(
    run: Run, tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    make(tmp_path / "photos")
    done = run("--images", tmp_path / "photos")
    assert done.returncode == 1
    assert said in done.stdout
    assert "What to do:" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "report").exists()


def test_splits_are_not_taken_for_classes(run: Run, photos: Path) -> None:
    photos.rename(photos.with_name("train"))
    photos.mkdir()
    photos.with_name("train").rename(photos / "train")
    done = run("--images", photos)
    assert done.returncode == 1
    assert f"--images {photos / 'train'}" in done.stdout


def test_server_that_cannot_start_is_explained(run: Run, photos: Path) -> None:
    done = run("--images", photos, PENULT_DEVICE="cuda:99")
    assert done.returncode == 1
    assert "The demo stopped: the server ended" in done.stdout
    assert "What to do:" in done.stdout


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds the server's process through /proc")
def test_terminated_demo_takes_its_server_with_it(photos: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "penult.demo",
        "--images",
        str(photos),
        "--report",
        str(tmp_path / "report"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as demo:
        deadline = time.monotonic() + 60
        while not (servers := children(demo.pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(60) == 128 + signal.SIGTERM
    assert servers
    assert not [pid for pid in servers if Path(f"/proc/{pid}").exists()]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
