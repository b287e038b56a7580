"""Which provider runs a network, on real weights and real photographs."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from penult_server.core.batching import BatchPolicy
from penult_server.core.errors import InvalidArgument
from penult_server.engine.backbones.catalog import Catalog
from penult_server.engine.backbones.network import Network
from penult_server.engine.device_thread import DeviceThread, Pending, Runner
from penult_server.engine.probe_pictures import COUNT, probe_pictures
from penult_server.engine.providers.base import PROVIDERS, Placement, ProviderUnsuitable
from penult_server.engine.providers.select import MIN_COSINE, choose, run_probe, worst_cosine
from penult_server.engine.providers.torch_cpu import Computed, TorchCpuRunner

SIZE = (224, 224)
PLACEMENT = Placement(torch.device("cpu"), "float32", 2, (1, 2))


@pytest.fixture(scope="module")
def network() -> Network:
    return Catalog(None, None, allow_download=False).build("tf_efficientnet_lite0").network


@pytest.fixture(scope="module")
def device() -> Iterator[DeviceThread]:
    thread = DeviceThread("test", BatchPolicy())
    yield thread
    thread.close()


def test_probe_pictures_are_different_photographs() -> None:
    pictures = probe_pictures(SIZE)
    assert pictures.shape == (COUNT, *SIZE, 3)
    assert pictures.dtype == np.uint8
    assert len({picture.tobytes() for picture in pictures}) == COUNT
    assert all(picture.std() > 20 for picture in pictures)


@pytest.mark.parametrize("provider", ["auto", "openvino", "torch"])
def test_float32_features_are_those_of_eager_torch(
    network: Network, device: DeviceThread, provider: str
) -> None:
    choice = choose(network, SIZE, device, PLACEMENT, provider, "auto")  # type: ignore[arg-type]
    assert choice.provider == ("openvino" if provider == "auto" else provider)
    assert choice.cosine >= MIN_COSINE
    assert choice.numerics == ""
    for count in (1, 3, 5, 8):  # sizes that nothing was traced with
        pictures = probe_pictures(SIZE)[:count].copy()
        expected = TorchCpuRunner(network, "float32").start(pictures).result()
        features = choice.runner.start(pictures).result()
        assert np.abs(features - expected).max() <= 1e-4 * np.abs(expected).max()


def test_two_batches_may_be_under_way_at_once(network: Network, device: DeviceThread) -> None:
    runner = choose(network, SIZE, device, PLACEMENT, "openvino", "auto").runner
    first, second = probe_pictures(SIZE)[:2].copy(), probe_pictures(SIZE)[2:5].copy()
    started = [runner.start(first), runner.start(second)]
    got = [pending.result() for pending in started]
    for batch, rows in zip((first, second), got, strict=True):
        np.testing.assert_allclose(rows, runner.start(batch).result(), rtol=1e-4, atol=1e-5)


def test_a_precision_that_moves_features_is_named_in_the_fingerprint(
    network: Network, device: DeviceThread
) -> None:
    choice = choose(network, SIZE, device, PLACEMENT, "openvino", "bfloat16")
    assert choice.numerics == "openvino-cpu-bfloat16"
    assert 0.9 < choice.cosine <= 1
    assert f"{choice.cosine:.6f}" in choice.note


class _Wrong:
    """Stands before every other provider and gives features that are nearly right."""

    name = "wrong"
    device_type = "cpu"

    def build(self, network: torch.nn.Module, input_size: tuple[int, int], placement: Placement) -> Runner:
        class Drifting(TorchCpuRunner):
            def start(self, batch: np.ndarray) -> Pending:
                rows = super().start(batch).result()
                return Computed(
                    rows
                    + 0.05
                    * np.abs(rows).mean()
                    * np.sign(np.sin(np.arange(rows.size))).reshape(rows.shape).astype(np.float32)
                )

        return Drifting(network, placement.precision)


class _Unsuitable(_Wrong):
    name = "unsuitable"

    def build(self, network: torch.nn.Module, input_size: tuple[int, int], placement: Placement) -> Runner:
        raise ProviderUnsuitable("this network has an odd operator")


def test_auto_falls_back_from_what_fails_the_check_and_says_so(
    network: Network, device: DeviceThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch_only = [p for p in PROVIDERS if p.name == "torch"]
    monkeypatch.setattr(
        "penult_server.engine.providers.select.PROVIDERS", [_Wrong(), _Unsuitable(), *torch_only]
    )
    choice = choose(network, SIZE, device, PLACEMENT, "auto", "auto")
    assert choice.provider == "torch"
    assert "wrong float32: refused" in choice.note
    assert "odd operator" in choice.note
    with pytest.raises(InvalidArgument) as caught:
        choose(network, SIZE, device, PLACEMENT, "wrong", "auto")  # type: ignore[arg-type]
    assert caught.value.reason == "PROVIDER_UNSUITABLE"


def test_other_backbones_go_on_while_one_is_converted(
    network: Network, device: DeviceThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(_Wrong):
        def build(
            self, network: torch.nn.Module, input_size: tuple[int, int], placement: Placement
        ) -> Runner:
            answers = []
            asked = threading.Thread(target=lambda: answers.append(device.call(lambda: 42)), daemon=True)
            asked.start()
            asked.join(60)
            assert answers == [42]
            return TorchCpuRunner(network, placement.precision)

    monkeypatch.setattr("penult_server.engine.providers.select.PROVIDERS", [Slow()])
    assert choose(network, SIZE, device, PLACEMENT, "auto", "auto").provider == "wrong"


def test_a_network_that_cannot_be_traced_runs_on_torch(device: DeviceThread) -> None:
    class Stubborn(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if torch._C._get_tracing_state() is not None:
                raise RuntimeError("not with me")
            return x.float().mean(dim=(1, 2))

    choice = choose(Stubborn(), (32, 32), device, PLACEMENT, "auto", "auto")
    assert choice.provider == "torch"
    assert "openvino cannot convert this network" in choice.note


def test_worst_cosine_sees_the_worst_row_and_what_is_not_finite() -> None:
    a = np.eye(3, dtype=np.float32)
    b = a.copy()
    b[1] = [1, 1, 0]
    assert worst_cosine(a, b) == pytest.approx(2**-0.5)
    b[2] = np.nan
    assert not worst_cosine(a, b) >= MIN_COSINE


def test_openvino_is_loaded_without_its_telemetry() -> None:
    # In a process of its own: here another test may have imported the library plainly. The whole server,
    # because what imports the library first decides.
    code = (
        "import sys, penult_server.app; from openvino.tools.ovc import telemetry_utils; "
        "sys.exit(telemetry_utils.tm.__name__ != 'openvino.tools.ovc.telemetry_stub' "
        "or any(n.startswith('openvino_telemetry.') for n in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=400).returncode == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["auto", "float32", "float16", "bfloat16"])
def test_cuda_features_are_those_of_eager_torch(precision: str) -> None:
    network = Catalog(None, None, allow_download=False).build("tf_efficientnet_lite0").network
    expected = run_probe(TorchCpuRunner(network, "float32"), probe_pictures(SIZE))
    thread = DeviceThread("cuda", BatchPolicy(max_batch=64))
    try:
        placement = Placement(torch.device("cuda:0"), "float32", 2, (1, 2, 4, 8, 16))
        choice = choose(network, SIZE, thread, placement, "auto", precision)  # type: ignore[arg-type]
        features = thread.call(lambda: run_probe(choice.runner, probe_pictures(SIZE)))
        assert worst_cosine(expected, features) > (0.999 if precision == "bfloat16" else MIN_COSINE)
        for count in (3, 16, 20):  # padded into a bucket, exactly one, and beyond the largest
            batch = probe_pictures(SIZE)[np.arange(count) % COUNT]

            def start_two(batch: np.ndarray = batch) -> list[Pending]:
                return [choice.runner.start(batch), choice.runner.start(batch)]

            pending = thread.call(start_two)
            for rows in (p.result() for p in pending):
                assert worst_cosine(expected[np.arange(count) % COUNT], rows) > 0.999
    finally:
        thread.close()
