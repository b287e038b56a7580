"""Contact sheets: queries with their hits, and groups of duplicates."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penult.demo.thumbnails import thumbnail
from penult.index_types import DuplicateItem, DuplicateItems, Hit, NearDuplicates
from penult.pages.page import write_page

if TYPE_CHECKING:
    from penult.datasets import Datasets
    from penult.index import Index

MAX_QUERIES = 100
MAX_GROUPS = 100
_STYLE = (
    ".sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(132px, 1fr)); gap: 12px; }\n"
)


def write_hits(path: Path, index: Index, queries: Sequence[str], results: Sequence[Sequence[Hit]]) -> None:
    """Draws each query, a local file or the id of an item, with its hits. The first 100 are drawn."""
    shown = list(zip(queries, results, strict=True))[:MAX_QUERIES]
    wanted = [hit.id for _, hits in shown for hit in hits] + [query for query, _ in shown]
    pictures = Pictures.of_index(index, wanted)
    what = "distance" if index.metric == "l2" else "cosine" if index.metric == "cosine" else "product"
    rows = []
    for query, hits in shown:
        cards = "".join(
            _card(pictures.draw(hit.id), _caption(hit.id, f"{hit.score:.3f}", hit.metadata)) for hit in hits
        )
        own = _card(pictures.draw(query), f'<span class="name">{escape(_short(query))}</span>')
        rows.append(f'<div class="hood">{own}<div class="sheet">{cards or "nothing found"}</div></div>')
    lead = f"Under each hit its {what} to the query on the left, and its metadata."
    body = f"<section>{''.join(rows)}</section>"
    write_page(path, f"Nearest items of {index.name}", lead, body, _STYLE)


def write_duplicates(path: Path, index: Index, found: NearDuplicates) -> None:
    """Draws the groups of an index. The first 100 are drawn."""
    pictures = Pictures.of_index(index, [item.id for group in _shown(found) for item in group.items])
    _write_groups(path, index.name, found, "the same file", lambda item: pictures.draw(item.id))


def write_dataset_duplicates(path: Path, datasets: Datasets, found: NearDuplicates) -> None:
    """The same for groups of a dataset, with its own pictures."""
    wanted = {item.image_sha256 for group in _shown(found) for item in group.items}
    pictures = Pictures(datasets.images(found.dataset, sorted(wanted)))
    _write_groups(
        path, found.dataset, found, "the same pixels", lambda item: pictures.draw(item.image_sha256)
    )


def _shown(found: NearDuplicates) -> Sequence[DuplicateItems]:
    return found.groups[:MAX_GROUPS]


def _write_groups(
    path: Path, name: str, found: NearDuplicates, same: str, draw: Callable[[DuplicateItem], str]
) -> None:
    sections = []
    for group in _shown(found):
        cards = "".join(_card(draw(item), _duplicate(item)) for item in group.items)
        kind = same if group.exact else f"cosine of at least {found.threshold:.3f}"
        sections.append(
            f'<section><h2>{group.count} items</h2><p class="soft">{kind}</p>'
            f'<div class="sheet">{cards}</div></section>'
        )
    lead = (
        f"{found.group_count} groups in {found.item_count} items; {found.redundant_count} could go without "
        "losing a picture."
    )
    write_page(path, f"Near-duplicates in {name}", lead, "".join(sections), _STYLE)


class Pictures:
    """Pictures by id: those that are given, else files of this machine."""

    def __init__(self, fetched: Mapping[str, bytes]) -> None:
        """`fetched` are image files."""
        self._fetched = fetched

    @classmethod
    def of_index(cls, index: Index, ids: Iterable[str]) -> Pictures:
        """Of items: from this machine where ids are paths, else from the server if it keeps them."""
        every = dict.fromkeys(ids)
        missing = [item_id for item_id in every if not Path(item_id).is_file()]
        return cls(index.images(missing) if missing and index.keeps_images else {})

    def draw(self, item_id: str) -> str:
        """An <img>, or a blank where there is no picture."""
        source = io.BytesIO(self._fetched[item_id]) if item_id in self._fetched else Path(item_id)
        return thumbnail(source, item_id)


def _duplicate(item: DuplicateItem) -> str:
    return _caption(item.id, f"{item.cosine:.3f}", item.metadata)


def _card(picture: str, caption: str) -> str:
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _caption(item_id: str, figure: str, metadata: Mapping[str, Any]) -> str:
    said = ", ".join(f"{name}: {value}" for name, value in list(metadata.items())[:4])
    return (
        f'<b>{figure}</b><span class="name" title="{escape(item_id)}">{escape(_short(item_id))}</span>'
        f"{escape(said[:120])}"
    )


def _short(item_id: str) -> str:
    return item_id if len(item_id) <= 40 else f"…{item_id[-39:]}"
