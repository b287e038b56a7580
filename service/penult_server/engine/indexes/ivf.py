"""`ivf`: vectors in lists around centres, of which a search looks at the nearest few."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from penult_server.core.errors import InvalidArgument
from penult_server.core.index_kinds import IndexSpec
from penult_server.engine.indexes.base import Parameters, Plan, register, too_few

POINTS_A_LIST = 39
"""Vectors a list below which FAISS calls the training too small."""
_TRAIN_A_LIST = 64
_MOST_LISTS = 65_536


class IvfParameters(Parameters):
    """`nlist` 0 goes with the size; `nprobe` 0 is raised until recall@10 is `recall`."""

    nlist: int = Field(0, ge=0, le=_MOST_LISTS)
    nprobe: int = Field(0, ge=0, le=_MOST_LISTS)
    encoding: Literal["flat", "fp16", "8bit"] = "flat"
    recall: float = Field(0.98, gt=0, le=1)


@register
class Ivf:
    """FAISS's IndexIVFFlat, or IndexIVFScalarQuantizer for an encoding."""

    name = "ivf"
    parameters = IvfParameters

    def plans(self, spec: IndexSpec, chosen: IvfParameters, count: int) -> Sequence[Plan]:
        """See Kind."""
        nlist = chosen.nlist or lists_for(count)
        if count < POINTS_A_LIST * nlist:
            return [too_few(self.name, count, POINTS_A_LIST * nlist)]
        code = {"flat": "Flat", "fp16": "SQfp16", "8bit": "SQ8"}[chosen.encoding]
        return [
            Plan(
                self.name,
                "it was asked for",
                f"IVF{nlist},{code}",
                effort=chosen.nprobe,
                recall=chosen.recall,
                rows="structure",
                lossless=code == "Flat",
                train=training_size(nlist),
            )
        ]

    def check(self, spec: IndexSpec, chosen: IvfParameters) -> None:
        """See Kind."""
        check_probes(chosen.nlist, chosen.nprobe)


def check_probes(nlist: int, nprobe: int) -> None:
    """Raises InvalidArgument for more probes than lists."""
    if nlist and nprobe > nlist:
        raise InvalidArgument(
            "INDEX_PARAMETERS_INVALID",
            f"nprobe {nprobe} is more than the {nlist} lists there are",
            field="parameters.nprobe",
        )


def lists_for(count: int) -> int:
    """The power of two next to 4 sqrt(count), as in FAISS's guidelines, but no list of too few vectors."""
    wished = 2 ** round(math.log2(max(16, 4 * math.sqrt(count))))
    return int(min(wished, _MOST_LISTS, 2 ** int(math.log2(max(16, count / POINTS_A_LIST)))))


def training_size(nlist: int) -> int:
    """Vectors to train so many lists on."""
    return _TRAIN_A_LIST * nlist
