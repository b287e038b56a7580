"""Each step against its formula."""

from __future__ import annotations

import numpy as np

from penult_server.engine.retrieval.base import normalised, weighted_mean
from penult_server.engine.retrieval.database_augmentation import (
    DatabaseAugmentation,
    DatabaseAugmentationParameters,
)
from penult_server.engine.retrieval.pca_whiten import PcaWhiten, PcaWhitenParameters
from penult_server.engine.retrieval.power import Power, PowerParameters
from penult_server.engine.retrieval.query_expansion import QueryExpansion, QueryExpansionParameters

RANDOM = np.random.default_rng(1)
VECTORS = normalised(RANDOM.normal(size=(500, 6)) * [5, 3, 2, 1, 1, 0.5] + 2)


def nearest(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = queries @ VECTORS.T
    order = np.argsort(-scores, axis=1)[:, :k]
    return VECTORS[order], np.take_along_axis(scores, order, 1)


def test_full_whitening_leaves_no_mean_and_no_correlation() -> None:
    step = PcaWhiten(PcaWhitenParameters.model_validate({"strength": 1, "shrinkage": 0}))
    fitted = step.fit(VECTORS)
    whitened = (VECTORS - fitted["mean"]) @ fitted["projection"]
    np.testing.assert_allclose(whitened.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(6), atol=1e-2)
    np.testing.assert_allclose(np.linalg.norm(step.transform(VECTORS, fitted), axis=1), 1, rtol=1e-5)


def test_no_strength_only_centres() -> None:
    step = PcaWhiten(PcaWhitenParameters.model_validate({"strength": 0}))
    found = step.transform(VECTORS, step.fit(VECTORS))
    centred = normalised(VECTORS - VECTORS.mean(axis=0))
    np.testing.assert_allclose(found @ found.T, centred @ centred.T, atol=1e-4)


def test_components_keep_those_of_the_widest_spread() -> None:
    step = PcaWhiten(PcaWhitenParameters.model_validate({"components": 2, "strength": 0}))
    fitted = step.fit(VECTORS)
    spread = ((VECTORS - fitted["mean"]) @ fitted["projection"]).var(axis=0, ddof=1)
    np.testing.assert_allclose(spread, np.linalg.eigvalsh(np.cov(VECTORS.T))[:-3:-1], rtol=1e-3)


def test_power_is_the_signed_root() -> None:
    step = Power(PowerParameters.model_validate({"exponent": 0.5}))
    np.testing.assert_allclose(
        step.transform(np.array([[0.64, -0.36, 0]], np.float32), {}),
        normalised(np.array([[0.8, -0.6, 0]])),
        atol=1e-6,
    )


def test_neighbours_weigh_by_their_cosine_to_the_power() -> None:
    own = np.array([[1.0, 0, 0]], np.float32)
    found = np.array([[[0, 1.0, 0], [0, 0, 1.0], [9, 9, 9]]], np.float32)
    mean = weighted_mean(own, found, np.array([[0.5, -0.5, np.nan]]), 2)
    np.testing.assert_allclose(mean, normalised(np.array([[1, 0.25, 0]])), atol=1e-6)


def test_an_expanded_query_lies_nearer_to_what_it_found() -> None:
    queries = normalised(RANDOM.normal(size=(20, 6)) + 2)
    step = QueryExpansion(QueryExpansionParameters.model_validate({"neighbours": 5}))
    before = nearest(queries, 5)[1].mean()
    assert nearest(step.expand(queries, nearest), 5)[1].mean() > before


def test_an_augmented_vector_is_the_mean_of_itself_and_its_neighbours() -> None:
    step = DatabaseAugmentation(DatabaseAugmentationParameters.model_validate({"neighbours": 2, "alpha": 0}))
    found, _ = nearest(VECTORS[:4], 3)
    np.testing.assert_allclose(step.augment(VECTORS[:4], nearest), normalised(found.sum(axis=1)), atol=1e-6)
