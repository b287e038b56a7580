"""Heads: classifiers on features. Adding one is a new file here that registers itself."""

from penult_server.engine.heads import knn, linear_svm, logistic_regression, nearest_centroid, rbf_svm, ridge

__all__ = ["knn", "linear_svm", "logistic_regression", "nearest_centroid", "rbf_svm", "ridge"]
