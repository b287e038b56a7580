from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("faiss", "matplotlib", "openvino", "pandas", "penult_server", "pyarrow", "sklearn", "timm", "torch")


@pytest.mark.parametrize("module", ["penult", "penult.cli", "penult.v1.feature_pb2_grpc"])
def test_import_brings_only_the_light_dependencies(module: str) -> None:
    # A fresh interpreter, because this one has long imported everything.
    program = f"import sys, {module}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
