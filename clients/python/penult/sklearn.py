"""A scikit-learn transformer, so that images can be the input of a `Pipeline`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from penult.client import Client
from penult.errors import FailedPrecondition, ItemFailed
from penult.tta import TTA
from penult.types import FeatureBatch, FeatureDType, Features, Pooling

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise ImportError("penult.sklearn needs scikit-learn: pip install scikit-learn") from error

if TYPE_CHECKING:
    from penult.sources import ImageLike, ImagesLike


class FeatureExtractor(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Turns images into features of a backbone, on a Penult server.

    Fitting learns nothing from the images; it pins the fingerprint of the features, and `transform`
    refuses to mix in others, say after the server's default backbone has changed.

    The input of `fit` and `transform` is what `Client.extract` takes, or a data frame of one column.

    Args:
        client: a `Client`, or the target of a server. Clones share a client's connection; a pickle
            keeps the address only and connects again (an API key then comes from PENULT_API_KEY).
        backbone, tta, l2, dtype, layer, pooling, progress: as in `Client.extract`.
        on_error: "raise" ends with ItemFailed at an image that cannot be used; "nan" gives it a row
            of NaN, for an imputer or a model that can take them.

    Attributes:
        n_features_out_: length of a feature.
        fingerprint_: what the features are.
        backbone_: the backbone that was used.
    """

    def __init__(
        self,
        client: Client | str = "127.0.0.1:50051",
        *,
        backbone: str | None = None,
        tta: TTA = None,
        l2: bool = False,
        dtype: FeatureDType = "float32",
        layer: str | None = None,
        pooling: Pooling | None = None,
        on_error: Literal["raise", "nan"] = "raise",
        progress: bool = False,
    ) -> None:
        self.client = client
        self.backbone = backbone
        self.tta = tta
        self.l2 = l2
        self.dtype = dtype
        self.layer = layer
        self.pooling = pooling
        self.on_error = on_error
        self.progress = progress

    def fit(self, X: Any, y: object = None) -> FeatureExtractor:  # scikit-learn's name
        """Extracts the first image only, to learn what features there will be. Raises PenultError."""
        first = next(iter(_images(X)), None)
        if first is None:
            raise ValueError("X holds no image")
        self._pin(self._extract([first]))
        return self

    def fit_transform(self, X: Any, y: object = None, **fit_params: object) -> Features:
        """The same as fit, then transform, with each image sent once."""
        batch = self._extract(_images(X))
        if not len(batch.features):
            raise ValueError("X holds no image")
        self._pin(batch)
        return batch.features

    def transform(self, X: Any) -> Features:
        """Features of the images, (N, dim).

        Raises:
            FailedPrecondition: the server now gives other features than it did when this was fitted.
            ItemFailed: an image cannot be used, and `on_error` is "raise".
            PenultError: for other reasons.
        """
        check_is_fitted(self, "fingerprint_")
        batch = self._extract(_images(X))
        if not len(batch.features):
            return np.empty((0, self.n_features_out_), self.dtype)
        if batch.fingerprint != self.fingerprint_:
            raise FailedPrecondition(
                f"fitted on features {self.fingerprint_} of {self.backbone_}, "
                f"but the server now gives {batch.fingerprint} of {batch.backbone}",
                reason="FINGERPRINT_MISMATCH",
                hint="name the backbone, or fit again",
                metadata={"expected": self.fingerprint_, "actual": batch.fingerprint},
            )
        return batch.features

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray[Any, Any]:
        """feature0, feature1, ... as an array of str objects, (dim,)."""
        check_is_fitted(self, "n_features_out_")
        return np.array([f"feature{i}" for i in range(self.n_features_out_)], dtype=object)

    def _pin(self, batch: FeatureBatch) -> None:
        self.n_features_out_ = batch.features.shape[1]
        self.fingerprint_ = batch.fingerprint
        self.backbone_ = batch.backbone

    def _extract(self, images: ImagesLike) -> FeatureBatch:
        if self.on_error not in ("raise", "nan"):
            raise ValueError(f'on_error is "raise" or "nan", not {self.on_error!r}')
        batch = self._connected().extract_with_info(
            images, self.backbone, tta=self.tta, l2=self.l2, dtype=self.dtype, layer=self.layer,
            pooling=self.pooling, progress=self.progress, on_error="return",
        )  # fmt: skip
        if batch.errors and self.on_error == "raise":
            raise ItemFailed.of(batch.errors)
        return batch

    def _connected(self) -> Client:
        if not isinstance(self.client, str):
            return self.client
        if not hasattr(self, "_own_client"):
            self._own_client = Client(self.client)
        return self._own_client

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_own_client", None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.no_validation = True
        return tags


def _images(X: Any) -> Iterable[ImageLike]:
    """The images of what scikit-learn passes around; a data frame must have them in its only column."""
    if getattr(X, "ndim", None) == 2 and hasattr(X, "iloc"):
        if X.shape[1] != 1:
            raise ValueError(f"a data frame of images has one column, not {X.shape[1]}; select it first")
        return list(X.iloc[:, 0])
    if isinstance(X, np.ndarray) and X.dtype.kind in "OSU":
        return list(X.ravel())
    if isinstance(X, str | bytes) or not isinstance(X, Iterable):
        return [X]
    return X
