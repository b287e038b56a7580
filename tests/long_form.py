"""What `make test-faults` runs and `make test` does not."""

from __future__ import annotations

import os

import pytest

LONG = bool(os.environ.get("PENULT_TEST_LONG"))
long_only = pytest.mark.skipif(not LONG, reason="takes minutes: PENULT_TEST_LONG=1, or make test-faults")
