"""What computes: decoding, backbones, execution providers and the device thread."""

import sys

# OpenVINO's import reports to a server on the internet, from forked copies of the process that it ends by
# SIGTERM. Where the package that does so is missing it takes a stub of its own, so it looks missing, whatever
# part of the engine is imported first.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
