"""The threshold below which an answer is rejected as none of the classes.

The largest probability is what tells unknown inputs from known ones in Hendrycks and Gimpel 2017, "A
Baseline for Detecting Misclassified and Out-of-Distribution Examples"; the operating point that keeps 95 %
of the known ones is customary there.
"""

from __future__ import annotations

import numpy as np


def reject_threshold(probabilities: np.ndarray, targets: np.ndarray, keep: float) -> float | None:
    """The greatest threshold that keeps the share `keep` of the right answers; None where none is right.

    Args:
        probabilities: (N, classes) of images that were not trained on.
        targets: int64 (N,); images with UNLABELLED are ignored.
        keep: in (0, 1].
    """
    right = (targets >= 0) & (probabilities.argmax(axis=1) == targets)
    sure = np.sort(probabilities.max(axis=1)[right])
    if len(sure) == 0:
        return None
    return float(sure[len(sure) - max(1, int(np.ceil(keep * len(sure) - 1e-9)))])
