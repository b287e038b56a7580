"""Checkpoint files change under the server: a fingerprint always stands for the same features."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

import penult
from tests.e2e.conftest import running_server

ARCHITECTURE = "mobilenetv3_small_050"
ROUNDS = 12


def weights(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    model = timm.create_model(ARCHITECTURE)
    save_file(model.state_dict(), path, {"architecture": ARCHITECTURE})
    return path


@pytest.mark.slow
def test_a_file_that_is_replaced_under_way_never_mixes(tmp_path: Path, sample_jpegs: list[bytes]) -> None:
    files = [weights(tmp_path / f"{seed}.safetensors", seed) for seed in range(2)]
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    served = folder / "mine.safetensors"
    shutil.copy(files[0], served)
    flags = ("--no-allow-download", "--checkpoint-dir", str(folder), "--provider", "torch")
    with (
        running_server(tmp_path / "data", *flags) as server,
        penult.Client(server.target, timeout=300) as client,
    ):
        first = client.extract_with_info(sample_jpegs, "mine")
        index = client.indexes.create("old", "mine")
        index.add(sample_jpegs, ids=[str(n) for n in range(len(sample_jpegs))])

        # While it is in memory, the file is of no account.
        replace(files[1], served)
        same = client.extract_with_info(sample_jpegs, "mine")
        assert same.fingerprint == first.fingerprint
        close(same.features, first.features)

        # Loaded again it is another backbone, which the index refuses.
        client.backbones.unload("mine")
        other = client.extract_with_info(sample_jpegs, "mine")
        assert other.fingerprint != first.fingerprint
        assert np.abs(other.features - first.features).max() > 0.1 * np.abs(first.features).max()
        for use in (lambda: index.search(sample_jpegs[0]), lambda: index.upsert(sample_jpegs[:1], ids=["x"])):
            with pytest.raises(penult.FailedPrecondition) as caught:
                use()
            assert caught.value.reason == "FINGERPRINT_MISMATCH"

        # Swapped at any moment of loading: the fingerprint of one comes with the features of that one.
        known = {first.fingerprint: first.features, other.fingerprint: other.features}
        seen = swapped_while_loading(client, files, served, sample_jpegs, known)
        assert seen == set(known)
        assert [event for event in server.events if event["event"] == "internal_error"] == []


def swapped_while_loading(
    client: penult.Client,
    files: list[Path],
    served: Path,
    pictures: list[bytes],
    known: dict[str, np.ndarray],
) -> set[str]:
    """The fingerprints that came back while a thread swaps the file all the time."""
    done, seen = threading.Event(), set()

    def swap() -> None:
        for file in itertools.cycle(files):
            if done.is_set():
                return
            replace(file, served)
            time.sleep(0.005)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for number in range(40 * ROUNDS):
            client.backbones.unload("mine")
            info = client.extract_with_info(pictures, "mine")
            assert info.fingerprint in known
            close(info.features, known[info.fingerprint])
            seen.add(info.fingerprint)
            if number >= ROUNDS and len(seen) == len(known):
                break
    finally:
        done.set()
        thread.join()
    return seen


def replace(source: Path, target: Path) -> None:
    """As tools that know their business do: whole or not at all."""
    aside = target.with_suffix(".new")
    shutil.copy(source, aside)
    aside.rename(target)


def close(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_allclose(one, other, atol=1e-4 * float(np.abs(other).max()))
