"""All that one run of the demo found out; the report shows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from penult import Backbone, ItemError
from penult.demo.classify import Outcome
from penult.demo.finetune import FineTuned
from penult.demo.neighbours import Neighbourhood
from penult.demo.photos import PhotoSet


@dataclasses.dataclass(frozen=True)
class Findings:
    """What the report shows.

    Attributes:
        images_per_second: of the extraction, reading and sending the files included.
        failed: photos of the set that could not be used.
        alone_difference: largest relative difference between the feature of a photo sent alone and the
            one it got in the collection.
        broken: what the server said to a file that is cut short.
        queries: the neighbourhoods to show.
        index_count: photos in the index.
        sheet: some of them, alike next to alike.
        same_label: share of all held-out photos' neighbours with the label of their query, and the share
            that chance would give; None without classes.
        outcome: None without classes.
        tuned: None where nothing was fine-tuned.
    """

    photo_set: PhotoSet
    backbone: Backbone
    fingerprint: str
    images_per_second: float
    failed: Sequence[ItemError]
    alone_difference: float
    broken: ItemError
    queries: Sequence[Neighbourhood]
    index_count: int
    sheet: Sequence[int]
    same_label: tuple[float, float] | None
    outcome: Outcome | None
    tuned: FineTuned | None
