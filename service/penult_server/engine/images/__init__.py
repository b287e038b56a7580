"""Bytes or raw pixels in, the pixels a backbone sees out."""

from penult_server.engine.images.preprocessor import ImagePreprocessor

__all__ = ["ImagePreprocessor"]
