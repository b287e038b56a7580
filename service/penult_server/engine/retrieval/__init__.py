"""What makes a search find better pictures. A step is a file here that registers itself."""

from penult_server.engine.retrieval import database_augmentation, pca_whiten, power, query_expansion

__all__ = ["database_augmentation", "pca_whiten", "power", "query_expansion"]
