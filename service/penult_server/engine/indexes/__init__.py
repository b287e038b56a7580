"""Indexes of vectors, on FAISS. A kind is a file here that registers itself."""

from penult_server.engine.indexes import auto, factory, flat, hnsw, ivf, ivf_pq, sq

__all__ = ["auto", "factory", "flat", "hnsw", "ivf", "ivf_pq", "sq"]
