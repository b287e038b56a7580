"""`penult index` and `penult search` against a real server."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import penult

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(server: Any, tmp_path: Path) -> Run:
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "penult.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PENULT_TARGET": server.target},
        )

    return run


@pytest.fixture
def name(server: Any) -> Iterator[str]:
    chosen = f"cli-{uuid.uuid4().hex[:8]}"
    yield chosen
    with penult.Client(server.target) as client:
        for index in client.indexes.list():
            if index.name.startswith(chosen):
                client.indexes.delete(index.name)


def test_a_folder_is_indexed_and_searched(
    run: Run, name: str, tmp_path: Path, sample_jpegs: list[bytes]
) -> None:
    for number, data in enumerate(sample_jpegs):
        path = tmp_path / "photos" / ("china" if number < 4 else "flower") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "photos" / "china" / "copy.jpg").write_bytes(sample_jpegs[0])
    assert run("index", "create", name).returncode == 0
    added = run("index", "add", name, "photos", "--folder-labels")
    assert "9 added, 0 updated, 0 unchanged, 0 refused" in added.stderr, added.stderr
    found = run(
        *("search", "photos/china/0.jpg", "--index", name, "--k", "3", "--filter", 'label = "china"'),
        *("--html", "out.html"),
    )
    assert found.returncode == 0, found.stderr
    lines = [line.split("\t") for line in found.stdout.splitlines()]
    assert {line[1] for line in lines[:2]} == {"photos/china/0.jpg", "photos/china/copy.jpg"}
    page = (tmp_path / "out.html").read_text("utf-8")
    assert page.count("<img") == 4
    assert "blank" not in page.split("</style>")[1]
    rows = json.loads(run("search", "--id", "photos/flower/5.jpg", "--index", name, "--json").stdout)
    assert rows[0]["hits"][0]["metadata"] == {"label": "flower"}
    pages = run("index", "duplicates", name, "--html", "same.html", "--threshold", "0.99")
    assert "same file\t2\tphotos/china/0.jpg\tphotos/china/copy.jpg" in pages.stdout
    assert "<img" in (tmp_path / "same.html").read_text("utf-8")
    assert "kind" in run("index", "stats", name).stdout
    assert "recall@10\t1.0000" in run("index", "evaluate", name).stdout
    assert run("index", "snapshot", name, "--out", "a.zip").returncode == 0
    assert run("index", "restore", f"{name}-2", "a.zip").returncode == 0
    assert json.loads(run("index", "remove", f"{name}-2", "photos/china/0.jpg", "x", "--json").stdout) == {
        "removed": 1,
        "missing": 1,
    }
    assert run("index", "optimize", name).returncode == 0
    assert run("index", "alias", f"{name}-alias", name).returncode == 0
    assert "INDEX_HAS_ALIAS" in run("index", "delete", name).stderr
    assert run("index", "alias", f"{name}-alias", "--remove").returncode == 0
    assert [line.split("\t")[:2] for line in run("index").stdout.splitlines() if line.startswith(name)] == [
        [name, "9"],
        [f"{name}-2", "8"],
    ]
    assert json.loads(run("index", "delete", f"{name}-2", "--json").stdout) == {"removed": 8}
    assert "NO_INDEX" in run("search", "photos/china/0.jpg").stderr
    assert "FILTER_INVALID" in run("search", "--id", "x", "--index", name, "--filter", "a <").stderr


def test_near_duplicates_of_a_dataset(
    run: Run, server: Any, name: str, tmp_path: Path, sample_jpegs: list[bytes]
) -> None:
    picture = Image.open(io.BytesIO(sample_jpegs[0]))
    with penult.Client(server.target) as client:
        client.datasets.create(name)
        try:
            client.datasets.add(name, [sample_jpegs[0], picture.resize((200, 150)), sample_jpegs[4]])
            found = run("datasets", "duplicates", name, "--threshold", "0.8", "--html", "same.html")
        finally:
            client.datasets.delete(name)
    assert found.stdout.startswith("alike\t2\t"), found.stderr
    assert "1 groups in 3 pictures; 1 could go" in found.stderr
    assert (tmp_path / "same.html").read_text("utf-8").count("<img") == 2
