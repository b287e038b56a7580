"""Puts batches together into one array, growing it in place."""

from __future__ import annotations

import warnings

import numpy as np

from penult._batches import apply_on_error
from penult.errors import Internal, SkippedImages
from penult.types import FeatureBatch, Features, ItemError, OnError


class Collector:
    """One result out of many batches."""

    def __init__(self, expected: int | None, on_error: OnError) -> None:
        """`expected` is the number of images where it is known; a wrong one only costs time."""
        self._expected = expected or 0
        self._on_error: OnError = on_error
        self._rows: Features | None = None
        self._count = 0
        self._seen = 0
        self._names: list[str] = []
        self._errors: list[ItemError] = []
        self._fingerprint = ""
        self._backbone = ""

    def add(self, batch: FeatureBatch) -> None:
        """Appends a batch. Raises ItemFailed where `on_error` is "raise" and one of its images failed."""
        if self._fingerprint and batch.fingerprint != self._fingerprint:
            raise Internal("the features of one call have two fingerprints", reason="FINGERPRINT_CHANGED")
        self._fingerprint, self._backbone = batch.fingerprint, batch.backbone
        self._seen += len(batch.names)
        batch = apply_on_error(batch, self._on_error)
        self._append(batch.features)
        self._names += batch.names
        self._errors += batch.errors

    def result(self) -> FeatureBatch:
        """Everything so far. Warns of images that were skipped."""
        if self._rows is None:
            rows: Features = np.empty((0, 0), np.float32)
        else:
            rows = self._rows
            rows.resize((self._count, rows.shape[1]), refcheck=False)
        if self._errors and self._on_error == "skip":
            warnings.warn(
                f"{len(self._errors)} of {self._seen} images skipped, the first one {self._errors[0]}",
                SkippedImages,
                stacklevel=4,
            )
        return FeatureBatch(rows, tuple(self._names), self._fingerprint, self._backbone, tuple(self._errors))

    def _append(self, features: Features) -> None:
        if self._rows is None:
            capacity = max(self._expected, len(features))
            self._rows = np.empty((capacity, features.shape[1]), features.dtype)
        needed = self._count + len(features)
        if needed > len(self._rows):
            # In place: a second array of the same size never exists.
            self._rows.resize((max(needed, len(self._rows) * 3 // 2), features.shape[1]), refcheck=False)
        self._rows[self._count : needed] = features
        self._count = needed
