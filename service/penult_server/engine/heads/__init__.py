"""Heads: classifiers on features. Adding one is a new file here that registers itself."""

from penult_server.engine.heads import nearest_centroid

__all__ = ["nearest_centroid"]
