"""The contract of an architecture, and where a name of one is looked up."""

from __future__ import annotations

import functools
from typing import Protocol

from penult_server.core.preprocess import Preprocess
from penult_server.engine.backbones.anatomy import Anatomy, examine
from penult_server.engine.backbones.trunk import Trunk


class Architecture(Protocol):
    """A network's shape, without weights. Hashable, so that its anatomy is examined once."""

    @property
    def name(self) -> str:
        """Identifies the shape: a timm name without tag, or `torchvision.<name>`."""
        ...

    @property
    def key(self) -> str:
        """The name with the tag that decides the preprocessing; `find_architecture` takes it."""
        ...

    @property
    def preprocess(self) -> Preprocess:
        """The steps before it, as its library defines them."""
        ...

    def __hash__(self) -> int: ...

    def trunk(self) -> Trunk:
        """A new trunk in eval mode on torch's default device, with random weights.

        Raises:
            FailedPrecondition: BACKBONE_UNSUPPORTED, this architecture has no penultimate feature.
        """
        ...


@functools.lru_cache(maxsize=256)
def anatomy(architecture: Architecture) -> Anatomy:
    """What the architecture is made of; see anatomy.examine for what it raises."""
    return examine(architecture.trunk, architecture.preprocess.input_size)
