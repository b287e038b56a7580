"""Indexes of vectors, on FAISS. A kind is a file here that registers itself."""

from penult_server.engine.indexes import auto, flat

__all__ = ["auto", "flat"]
