"""`factory`: any faiss.index_factory string that can do what an index must."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from penult_server.core.errors import InvalidArgument
from penult_server.core.index_kinds import IndexSpec, Metric
from penult_server.engine.indexes.base import Parameters, Plan, register, too_few

_PROBE_SECONDS = 120


class FactoryParameters(Parameters):
    """The string, and what `ivf_pq` takes besides."""

    factory: str = Field(min_length=1, max_length=200)
    nprobe: int = Field(0, ge=0, le=65_536)
    ef_search: int = Field(0, ge=0, le=4096)
    rerank: int = Field(4, ge=1, le=1000)
    vectors: Literal["disk", "float16", "float32"] = "float32"
    recall: float = Field(0.98, gt=0, le=1)


@register
class Factory:
    """Whatever FAISS makes of the string, re-ranked by the exact vectors."""

    name = "factory"
    parameters = FactoryParameters

    def plans(self, spec: IndexSpec, chosen: FactoryParameters, count: int) -> Sequence[Plan]:
        """See Kind."""
        probed = probe(spec.dim, chosen.factory, spec.metric)
        if count < probed["least"]:
            return [too_few(chosen.factory, count, probed["least"])]
        return [
            Plan(
                self.name,
                "it was asked for",
                chosen.factory,
                effort=chosen.nprobe or chosen.ef_search,
                recall=chosen.recall,
                rerank=chosen.rerank,
                rows=chosen.vectors,
                train=probed["train"],
                selects=probed["selects"],
            )
        ]

    def check(self, spec: IndexSpec, chosen: FactoryParameters) -> None:
        """See Kind."""
        probe(spec.dim, chosen.factory, spec.metric)


@functools.lru_cache(maxsize=256)
def probe(dim: int, factory: str, metric: Metric) -> dict[str, Any]:
    """What an index of this string can do, tried in a process of its own: FAISS ends one on some strings.

    Returns:
        `least` vectors that it needs, `train` vectors to train it on at most, and whether it `selects`.

    Raises:
        InvalidArgument: FACTORY_INVALID or FACTORY_UNSUPPORTED.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "penult_server.engine.indexes.probe", str(dim), factory, metric],
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        answer = {}
    problem = answer.get("invalid")
    if problem is not None:
        raise InvalidArgument(
            "FACTORY_INVALID",
            f"FAISS does not understand {factory!r} for {dim} dimensions: {problem}",
            field="parameters.factory",
            hint="see the page on the index factory in FAISS's wiki",
        )
    problem = answer.get("unsupported", "" if answer else "FAISS fails or takes too long on it")
    if problem:
        raise InvalidArgument(
            "FACTORY_UNSUPPORTED",
            f"an index {factory!r} cannot serve here: {problem}",
            field="parameters.factory",
            hint="try one such as IVF1024,Flat or OPQ64,IVF1024,PQ64 or HNSW32",
        )
    return answer
