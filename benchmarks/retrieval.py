"""`python -m benchmarks.retrieval`: what each retrieval step gains on real pictures, in the engine itself.

Two tasks, and no label is used but to score: a photograph of a supermarket shelf finds the iconic picture
of its product (grocery81: test photographs, 81 pictures), and a phone photograph of clothing ranks others
of its kind first (clothing10: test photographs; the training photographs are the collection).

The best combination is chosen by other photographs than those that it is reported on: by the validation part
of clothing10, and by every other one of the shelves.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import penult
from benchmarks.server_process import running_server
from penult_server.core.index_kinds import IndexSpec, Metric, StepSpec
from penult_server.core.rankings import Ranking, rank_quality
from penult_server.engine.indexes.engine import FaissEngine

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
_LITE0, _LITE2 = "tf_efficientnet_lite0", "tf_efficientnet_lite2"
_VIEWS = "flip+scales"
SHELF, WORN, WORN_CHOICE = "shelf", "worn", "worn-validation"

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
        for heading in ("to choose by: shelf top-1", "mAP", "shelf top-1", "top-5", "clothing mAP", "top-1"):
            table.add_column(heading, justify="right")
        rows = [(features, steps, score(engine, pictures, features, steps)) for features, steps in CONTEST]
        for features, steps, found in rows:
            words = ", ".join(f"{step.name} {dict(step.parameters)}" for step in steps) or "none"
            chosen = "[bold]" if found == max((row[2] for row in rows), key=lambda row: row.choice) else ""
            table.add_row(features.name, words, *[f"{chosen}{100 * figure:.1f}" for figure in found.figures])
        whole = [(SHELF, slice(None))]
        (cosine,) = rank(engine, pictures, PLAIN, (), "iconic", whole, 5)
        (distance,) = rank(engine, pictures, PLAIN, (), "iconic", whole, 5, metric="l2", unit=False)
    console.print(table)
    for name, plain in (("cosine", cosine), ("Euclidean distance, lengths as they are", distance)):
        said = f"top-1 {100 * plain.top_1:.1f}, top-5 {100 * plain.recall:.1f}"
        console.print(f"lite0 on all shelf photographs by {name}: {said}")
    return 0


@dataclasses.dataclass(frozen=True, slots=True)
class Scores:
    """What one combination reaches, on the photographs to choose by and on those to report."""

    shelf_choice: Ranking
    shelf: Ranking
    clothing_choice: Ranking
    clothing: Ranking

    @property
    def choice(self) -> float:
        """The larger, the better it is, by the photographs to choose by."""
        return self.shelf_choice.top_1 + self.clothing_choice.mean_average_precision

    @property
    def figures(self) -> tuple[float, ...]:
        """A row of the table."""
        return (
            self.shelf_choice.top_1, self.clothing_choice.mean_average_precision,
            self.shelf.top_1, self.shelf.recall, self.clothing.mean_average_precision, self.clothing.top_1,
        )  # fmt: skip


def score(engine: FaissEngine, pictures: Pictures, features: Features, steps: tuple[StepSpec, ...]) -> Scores:
    """Both tasks."""
    shelf = [(SHELF, slice(0, None, 2)), (SHELF, slice(1, None, 2))]
    worn = [(WORN_CHOICE, slice(None)), (WORN, slice(None))]
    return Scores(
        *rank(engine, pictures, features, steps, "iconic", shelf, 5),
        *rank(engine, pictures, features, steps, "clothing", worn, 0),
    )


def rank(
    engine: FaissEngine,
    pictures: Pictures,
    features: Features,
    steps: tuple[StepSpec, ...],
    collection: str,
    queries: Sequence[tuple[str, slice]],
    k: int,
    *,
    metric: Metric = "cosine",
    unit: bool = True,
) -> list[Ranking]:
    """Fills an index with a collection, asks it with parts of queries, scores the first k hits; 0: all."""
    vectors = pictures.vectors(collection, features, unit=unit)
    index = engine.create(IndexSpec(vectors.shape[1], metric, steps=steps))
    index.add(np.arange(len(vectors)), vectors, sequence=1)
    index.optimize(lambda share, words: None)
    labels = np.array(pictures.labels(collection))
    found = []
    for name, part in queries:
        wanted = np.array(pictures.labels(name)[part])
        keys, _ = index.search(pictures.vectors(name, features, unit=unit)[part], k or len(vectors))
        totals = [(labels == label).sum() for label in wanted]
        found.append(rank_quality(labels[keys] == wanted[:, None], totals))
    return found


class Pictures:
    """The files of both tasks, and their features from a real server."""

    def __init__(self, data: Path, cache: Path) -> None:
        self._files = {
            "iconic": sorted((data / "grocery81" / "iconic").glob("*.jpg")),
            SHELF: sorted((data / "grocery81" / "test").glob("*/*.jpg")),
            "clothing": sorted((data / "clothing10" / "train").glob("*/*.jpg")),
            WORN: sorted((data / "clothing10" / "test").glob("*/*.jpg")),
            WORN_CHOICE: sorted((data / "clothing10" / "validation").glob("*/*.jpg")),
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

    def vectors(self, name: str, features: Features, *, unit: bool = True) -> np.ndarray:
        """float32 (N, dim), the parts next to each other, each of length 1 if `unit`."""
        parts = [np.load(self._file(name, *part)) for part in features.parts]
        if not unit:
            return np.hstack(parts)
        return np.hstack([part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts])

    def labels(self, name: str) -> list[str]:
        """The class of each picture."""
        return [path.stem if name == "iconic" else path.parent.name for path in self._files[name]]

    def _file(self, name: str, backbone: str, tta: str) -> Path:
        return self._cache / f"{name}.{backbone}.{tta or 'plain'}.npy"


if __name__ == "__main__":
    sys.exit(main())
