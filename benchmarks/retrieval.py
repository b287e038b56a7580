"""`python -m benchmarks.retrieval`: what each retrieval step gains on real pictures, in the engine itself.

Two tasks, and no label is used but to score: a photograph of a supermarket shelf finds the iconic picture
of its product (grocery81: test photographs, 81 pictures), and a phone photograph of clothing ranks others
of its kind first (clothing10: test photographs; the training photographs are the collection).
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import penult
from benchmarks.server_process import running_server
from penult_server.core.index_kinds import IndexSpec, StepSpec
from penult_server.core.rankings import Ranking, rank_quality
from penult_server.engine.indexes.engine import FaissEngine

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
_LITE0, _LITE2 = "tf_efficientnet_lite0", "tf_efficientnet_lite2"
_VIEWS = "flip+scales"

CENTRE = StepSpec("pca_whiten", {"strength": 0})
WHITEN = StepSpec("pca_whiten", {"strength": 0.5, "shrinkage": 0.3})
FULL = StepSpec("pca_whiten", {"strength": 1, "shrinkage": 0.1})
POWER = StepSpec("power", {"exponent": 0.7})
EXPAND = StepSpec("alpha_query_expansion", {"neighbours": 10, "alpha": 3})
AUGMENT = StepSpec("database_augmentation", {"neighbours": 10, "alpha": 6})
AUGMENT_WIDELY = StepSpec("database_augmentation", {"neighbours": 30, "alpha": 1})
EXPAND_WIDELY = StepSpec("alpha_query_expansion", {"neighbours": 30, "alpha": 1})


@dataclasses.dataclass(frozen=True, slots=True)
class Features:
    """Features next to each other, each of length 1: (backbone, test-time augmentation) pairs."""

    name: str
    parts: tuple[tuple[str, str], ...]


PLAIN = Features("lite0", ((_LITE0, ""),))
LARGER = Features("lite2", ((_LITE2, ""),))
VIEWS = Features("lite0, TTA", ((_LITE0, _VIEWS),))
LARGER_VIEWS = Features("lite2, TTA", ((_LITE2, _VIEWS),))
BOTH = Features("lite0 and lite2, TTA", ((_LITE0, _VIEWS), (_LITE2, _VIEWS)))

CONTEST: tuple[tuple[Features, tuple[StepSpec, ...]], ...] = (
    (PLAIN, ()),
    (PLAIN, (POWER,)),
    (PLAIN, (CENTRE,)),
    (PLAIN, (WHITEN,)),
    (PLAIN, (FULL,)),
    (PLAIN, (EXPAND,)),
    (PLAIN, (AUGMENT,)),
    (PLAIN, (CENTRE, EXPAND)),
    (PLAIN, (AUGMENT_WIDELY, EXPAND_WIDELY)),
    (VIEWS, ()),
    (VIEWS, (EXPAND,)),
    (LARGER, ()),
    (LARGER_VIEWS, ()),
    (LARGER_VIEWS, (CENTRE, EXPAND)),
    (BOTH, ()),
    (BOTH, (EXPAND,)),
    (BOTH, (CENTRE,)),
    (BOTH, (CENTRE, EXPAND)),
)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser("python -m benchmarks.retrieval", description=__doc__)
    parser.add_argument("--data", type=Path, default=_SHARED, help="folder with grocery81 and clothing10")
    parser.add_argument("--cache", type=Path, help="folder that keeps features for another run")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    with tempfile.TemporaryDirectory(prefix="penult-retrieval-") as folder:
        pictures = Pictures(options.data, options.cache or Path(folder))
        pictures.extract({part for features, _ in CONTEST for part in features.parts}, console.print)
        engine = FaissEngine(threads=1, folder=Path(folder))
        table = Table("features", "steps", title="Retrieval", title_justify="left")
        for heading in ("shelf to iconic: top-1", "top-5", "clothing: mAP", "top-1"):
            table.add_column(heading, justify="right")
        for features, steps in CONTEST:
            shelf = rank(engine, pictures, features, steps, "iconic", "shelf", 5)
            clothing = rank(engine, pictures, features, steps, "clothing", "worn", 0)
            figures = (shelf.top_1, shelf.recall, clothing.mean_average_precision, clothing.top_1)
            words = ", ".join(f"{step.name} {dict(step.parameters)}" for step in steps) or "none"
            table.add_row(features.name, words, *[f"{100 * figure:.1f}" for figure in figures])
    console.print(table)
    return 0


def rank(
    engine: FaissEngine,
    pictures: Pictures,
    features: Features,
    steps: tuple[StepSpec, ...],
    collection: str,
    queries: str,
    k: int,
) -> Ranking:
    """Fills an index with a collection, asks it with every query, and scores the first k hits; 0 for all."""
    vectors, asked = pictures.vectors(collection, features), pictures.vectors(queries, features)
    index = engine.create(IndexSpec(vectors.shape[1], steps=steps))
    index.add(np.arange(len(vectors)), vectors, sequence=1)
    index.optimize(lambda share, words: None)
    keys, _ = index.search(asked, k or len(vectors))
    labels, wanted = np.array(pictures.labels(collection)), np.array(pictures.labels(queries))
    totals = [(labels == label).sum() for label in wanted]
    return rank_quality(labels[keys] == wanted[:, None], totals)


class Pictures:
    """The files of both tasks, and their features from a real server."""

    def __init__(self, data: Path, cache: Path) -> None:
        self._files = {
            "iconic": sorted((data / "grocery81" / "iconic").glob("*.jpg")),
            "shelf": sorted((data / "grocery81" / "test").glob("*/*.jpg")),
            "clothing": sorted((data / "clothing10" / "train").glob("*/*.jpg")),
            "worn": sorted((data / "clothing10" / "test").glob("*/*.jpg")),
        }
        if not all(self._files.values()):
            raise SystemExit(f"no pictures of grocery81 and clothing10 in {data}")
        self._cache = cache
        cache.mkdir(parents=True, exist_ok=True)

    def extract(self, parts: set[tuple[str, str]], tell: Callable[[str], None]) -> None:
        """Makes sure that all features are in the cache."""
        wanted = [(name, *part) for part in sorted(parts) for name in self._files]
        missing = [each for each in wanted if not self._file(*each).exists()]
        if not missing:
            return
        with running_server() as (target, _), penult.Client(target) as client:
            for name, backbone, tta in missing:
                tell(f"{name}: {backbone} {tta}")
                features = client.extract(
                    [str(path) for path in self._files[name]], backbone, tta=tta or None
                )
                np.save(self._file(name, backbone, tta), features)

    def vectors(self, name: str, features: Features) -> np.ndarray:
        """float32 (N, dim), the parts next to each other."""
        parts = [np.load(self._file(name, *part)) for part in features.parts]
        return np.hstack([part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts])

    def labels(self, name: str) -> list[str]:
        """The class of each picture."""
        return [path.stem if name == "iconic" else path.parent.name for path in self._files[name]]

    def _file(self, name: str, backbone: str, tta: str) -> Path:
        return self._cache / f"{name}.{backbone}.{tta or 'plain'}.npy"


if __name__ == "__main__":
    sys.exit(main())
