"""OpenVINO on the CPU: float32 features as eager torch gives them, several times faster."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from penult_server.engine.device_thread import Pending, Runner
from penult_server.engine.providers.base import Placement, ProviderUnsuitable, register

_PRECISION_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
# One request computes while the next waits inside OpenVINO, so that cores never idle between batches.
_REQUESTS = 2


class OpenVinoRunner:
    """A compiled model with a small ring of inference requests."""

    def __init__(self, compiled: Any) -> None:
        """`compiled` is an openvino.CompiledModel."""
        self._requests = [compiled.create_infer_request() for _ in range(_REQUESTS)]
        self._turn = 0

    def start(self, batch: np.ndarray) -> Pending:
        """See engine.device_thread.Runner. At most _REQUESTS may be unfinished."""
        request = self._requests[self._turn]
        self._turn = (self._turn + 1) % _REQUESTS
        request.start_async({0: batch}, share_inputs=True)
        return _Started(request, batch)


class _Started:
    def __init__(self, request: Any, batch: np.ndarray) -> None:
        self._request = request
        self._batch = batch  # shared with the request: it must live until the result is read

    def result(self) -> np.ndarray:
        self._request.wait()
        # The tensor is reused by the next batch of this request.
        return np.array(self._request.get_output_tensor(0).data, np.float32)


@register
class OpenVinoCpu:
    """Provider "openvino"."""

    name = "openvino"
    device_type = "cpu"

    def build(self, network: torch.nn.Module, input_size: tuple[int, int], placement: Placement) -> Runner:
        """See engine.providers.base.Provider."""
        try:
            import openvino
        except ImportError as error:
            raise ProviderUnsuitable("openvino is not installed") from error
        height, width = input_size
        example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # tracing warns about every Python branch of a network
                model = openvino.convert_model(
                    network, example_input=example, input=[openvino.PartialShape([-1, height, width, 3])]
                )
            compiled = openvino.Core().compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": _PRECISION_HINTS[placement.precision],
                    "INFERENCE_NUM_THREADS": placement.threads,
                    "NUM_STREAMS": 1,
                },
            )
        except Exception as error:  # its converter raises many kinds, and torch can always run the network
            raise ProviderUnsuitable(f"openvino cannot convert this network: {_first_line(error)}") from error
        return OpenVinoRunner(compiled)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
