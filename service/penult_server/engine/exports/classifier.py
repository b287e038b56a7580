"""The whole classifier as one torch module: pictures in, probabilities out."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from penult_server.core.errors import FailedPrecondition
from penult_server.engine.backbones.network import Network
from penult_server.engine.heads.base import Scorer
from penult_server.engine.heads.head import Head
from penult_server.engine.heads.knn import Voters
from penult_server.engine.heads.rbf_svm import KernelScorer


class Classifier(nn.Module):
    """A backbone and a head. No Python that depends on data: it can be traced."""

    def __init__(self, network: Network, head: Head) -> None:
        """Raises FailedPrecondition EXPORT_UNSUPPORTED for a head that is no graph."""
        super().__init__()
        self.network = network
        self.head = HeadLayer(head)
        self.eval()

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """uint8 (N, H, W, 3) to float32 (N, classes)."""
        return self.head(self.network(pictures))


class HeadLayer(nn.Module):
    """A head on features: normalise, score, calibrate; what engine/heads/head.py does, in torch."""

    def __init__(self, head: Head) -> None:
        """Raises FailedPrecondition EXPORT_UNSUPPORTED."""
        super().__init__()
        self.scorer = _scorer_layer(head)
        self._l2 = head.normaliser.kind == "l2"
        self._multi_label = head.multi_label
        zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
        mean, deviation = head.normaliser.mean, head.normaliser.deviation
        self.mean = _constant(zero if mean is None else mean)
        self.deviation = _constant(one if deviation is None else deviation)
        self.slope = _constant(head.calibration.slope)
        self.offset = _constant(head.calibration.offset)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """float32 (N, dim) to probabilities, float32 (N, classes)."""
        x = nn.functional.normalize(features) if self._l2 else (features - self.mean) / self.deviation
        scores = self.scorer(x) * self.slope + self.offset
        return scores.sigmoid() if self._multi_label else scores.softmax(1)


class _Linear(nn.Module):
    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        super().__init__()
        self.weight, self.bias = _constant(weight), _constant(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.weight, self.bias)


class _Kernel(nn.Module):
    def __init__(self, scorer: KernelScorer) -> None:
        super().__init__()
        self.landmarks, self.linear = _constant(scorer.landmarks), _Linear(scorer.weight, scorer.bias)
        self._gamma = float(scorer.gamma)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(torch.exp(-self._gamma * _squared_distances(x, self.landmarks)))


class _Votes(nn.Module):
    def __init__(self, voters: Voters) -> None:
        super().__init__()
        self.rows, self.votes, self.prior = map(_constant, (voters.rows, voters.votes, voters.prior))
        self._k, self._falloff = min(voters.k, len(voters.rows)), float(voters.falloff)
        self._multi_label = voters.multi_label

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        near = torch.topk(_squared_distances(x, self.rows), self._k, dim=1, largest=False, sorted=True)
        weight = torch.exp(-self._falloff * (near.values - near.values[:, :1]))
        share = (weight[:, :, None] * self.votes[near.indices]).sum(1)
        total = weight.sum(1, keepdim=True) if self._multi_label else share.sum(1, keepdim=True)
        share = (share + self.prior) / (total + 1)
        return torch.log(share / (1 - share)) if self._multi_label else torch.log(share)


def _scorer_layer(head: Head) -> nn.Module:
    scorer: Scorer = head.scorer
    if (pair := scorer.linear()) is not None:
        return _Linear(*pair)
    if isinstance(scorer, KernelScorer):
        return _Kernel(scorer)
    if isinstance(scorer, Voters):
        return _Votes(scorer)
    raise FailedPrecondition(
        "EXPORT_UNSUPPORTED",
        f"a {head.kind} head cannot be written as a graph",
        hint="export it as arrays, or train another kind of head",
    )


def _squared_distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    squares = a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T
    return squares.clamp_min(0)


def _constant(values: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.array(values, np.float32)), requires_grad=False)
