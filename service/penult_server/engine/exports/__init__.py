"""A model as a file that works without Penult. A format is a class in a file that registers itself."""

from penult_server.engine.exports import arrays, checkpoint, onnx_graph  # noqa: F401 - they register themselves
