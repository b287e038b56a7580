"""Features turned into their principal axes, which changes no L2-regularised linear model but its cost.

A rotation leaves the penalty |w|^2 as it is; directions in which no training row extends get weight 0 at
the optimum and can be left out, so that fewer rows than dimensions mean a smaller problem (Hastie et al.,
"The Elements of Statistical Learning", 18.3.5). In the new axes the Hessian is nearly diagonal, which
makes a good preconditioner.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.linalg
import torch

_LEAST = 1e-10
"""Share of the largest eigenvalue below which a direction counts as empty."""


@dataclasses.dataclass(frozen=True, slots=True)
class Basis:
    """`z = (x - shift) @ axes`, float32; `shift` (dim,), `axes` (dim, rank)."""

    shift: torch.Tensor
    axes: torch.Tensor

    @classmethod
    def of(cls, x: torch.Tensor, *, centre: bool) -> tuple[Basis, torch.Tensor]:
        """The basis of float32 rows (N, dim), and the rows in it, (N, rank)."""
        shift = x.mean(dim=0) if centre else torch.zeros_like(x[0])
        rows = x - shift
        if len(rows) < rows.shape[1]:
            wide = rows.double()
            values, vectors = eigh(wide @ wide.T)
            kept = values > _LEAST * values[-1]
            size = values[kept].sqrt()
            axes = ((wide.T @ vectors[:, kept]) / size).float()
            return cls(shift, axes), (vectors[:, kept] * size).float()
        # float32 will do: rows lose nothing in axes that are orthogonal, wherever these point.
        _, axes = eigh(rows.T @ rows)
        return cls(shift, axes), rows @ axes

    def weight(self, w: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Weights (classes, rank) as float32 (classes, dim), and what a bias has to be changed by."""
        weight = w.double() @ self.axes.double().T
        offset = -(weight @ self.shift.double())
        return weight.float().cpu().numpy(), offset.float().cpu().numpy()


def eigh(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvalues, rising, and eigenvectors of a symmetric matrix. On a CPU SciPy is faster than PyTorch."""
    if matrix.device.type != "cpu":
        values, vectors = torch.linalg.eigh(matrix)
        return values, vectors
    found = scipy.linalg.eigh(matrix.numpy(), driver="evd", overwrite_a=True, check_finite=False)
    return torch.from_numpy(found[0]), torch.from_numpy(np.ascontiguousarray(found[1]))
