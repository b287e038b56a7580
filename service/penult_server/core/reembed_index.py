"""The job that computes an index anew for other features, while the old one serves, and then swaps an alias.

It works in passes: what the new index lacks or has otherwise is computed, what the old one has not is
removed. The first pass does almost everything, later ones what was written meanwhile, and the last one
holds back the writer of the old index until the alias points to the new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from penult_server.core.add_items import AddItemsToIndex
from penult_server.core.errors import FailedPrecondition, InvalidArgument
from penult_server.core.features import FeatureOptions
from penult_server.core.images import EncodedImage
from penult_server.core.index_jobs import Paced, index_result, no_input
from penult_server.core.indexes import AddMode, Item, RemoveItems
from penult_server.core.job_ports import Report
from penult_server.core.jobs import Job, LogLine
from penult_server.core.manage_indexes import ManageIndexes
from penult_server.core.manage_jobs import ManageJobs, NewJob
from penult_server.core.names import check_name
from penult_server.core.new_items import NewItem, NewItems
from penult_server.core.open_index import OpenIndex
from penult_server.core.open_indexes import OpenIndexes
from penult_server.core.search_queries import options_of

KIND = "reembed_index"
_MESSAGE = 32
_PAGE = 1000
_FEW = 200
"""Differences that the last pass may have to make up for, with the writer held back."""
_PASSES = 20


class ReembedIndex:
    """See the module's first lines."""

    def __init__(
        self, indexes: OpenIndexes, manage: ManageIndexes, add: AddItemsToIndex, jobs: ManageJobs
    ) -> None:
        """`manage` tells what the new index would be made of."""
        self._indexes = indexes
        self._manage = manage
        self._add = add
        self._jobs = jobs

    async def start(
        self, name: str, options: FeatureOptions, new_name: str, alias: str, request_id: str
    ) -> Job:
        """Queues it; the alias by which the old index is named, if so, is the default of `alias`.

        Raises:
            NotFound: no such index or backbone.
            InvalidArgument: a bad name, or options that the backbone cannot meet.
            AlreadyExists: the new name is taken.
            FailedPrecondition: the index keeps no images, or holds the caller's own vectors.
            ResourceExhausted: too many jobs wait.
        """
        old = self._indexes.find(name)
        check_name(new_name, "new_name")
        if alias:
            check_name(alias, "alias")
        elif name != old.name:
            alias = name
        if alias in (new_name, old.name):
            raise InvalidArgument("BAD_NAME", f"{alias!r} is the name of an index", field="alias")
        options_of(old.maker)
        if not old.maker.keeps_images:
            raise FailedPrecondition(
                "IMAGES_NOT_KEPT",
                f"index {old.name!r} keeps no images, so there is nothing to compute features of",
                hint="make a new index and add the images to it",
            )
        await asyncio.to_thread(self._indexes.stores.indexes.check_free, new_name)
        facts = await self._manage.maker(
            dataclasses.replace(old.maker.spec, dim=0), options, "", True, old.maker.label_field
        )
        assert facts.options is not None
        parameters = {"options": dataclasses.asdict(facts.options), "new_name": new_name, "alias": alias}
        return await self._jobs.submit(NewJob(KIND, old.name, parameters, no_input, request_id))

    async def stage(self, job: Job, directory: Path, report: Report) -> Mapping[str, Any]:
        """See core.job_ports.Stage."""
        stores, new_name = self._indexes.stores, job.parameters["new_name"]
        if done := await asyncio.to_thread(stores.indexes.repeated, new_name, job.id):
            return index_result(done)
        old = self._indexes.find(job.subject)
        maker = await self._manage.maker(
            dataclasses.replace(old.maker.spec, dim=0),
            FeatureOptions.of(job.parameters["options"]),
            "",
            True,
            old.maker.label_field,
        )
        async with self._indexes.building(maker) as new:
            total = (await asyncio.to_thread(stores.indexes.by_id, old.id)).item_count
            for number in range(_PASSES):
                changed = await self._catch_up(old, new, Paced(report, total, "images", f"pass {number + 1}"))
                if changed <= _FEW:
                    break
            async with old.lock:
                await self._catch_up(old, new, Paced(report, total, "images", "last pass"))
                index = await self._indexes.publish(new, new_name, job.parameters["alias"], job.id)
        if job.parameters["alias"]:
            await report([LogLine("info", f"alias {job.parameters['alias']} points to {new_name}")])
        return index_result(index)

    async def _catch_up(self, old: OpenIndex, new: OpenIndex, paced: Paced) -> int:
        """Makes the new index hold what the old one does; how many items that took."""
        changed, done = 0, 0

        async def messages() -> AsyncIterator[NewItems]:
            nonlocal changed, done
            async for items, there in self._pages(old, new):
                lacking = [item for item in items if not _same(item, there.get(item.id))]
                changed += len(lacking)
                for start in range(0, len(lacking), _MESSAGE):
                    some = lacking[start : start + _MESSAGE]
                    yield NewItems(await asyncio.to_thread(_read, old, some), AddMode.UPSERT)
                done += len(items)
                await paced.at(done)

        stream = self._add.stream_into(new, "", messages())
        async with contextlib.aclosing(stream):
            async for receipt in stream:
                if receipt.errors:
                    error = receipt.errors[0]
                    raise FailedPrecondition(
                        "IMAGE_UNUSABLE",
                        f"item {error.id!r} cannot be computed anew: {error.message} [{error.reason}]",
                        hint="remove it from the index, or add its image again",
                    )
        async for items, there in self._pages(new, old):
            gone = [item.id for item in items if item.id not in there]
            if gone:
                changed += len(gone)
                await new.write(RemoveItems(gone))
        return changed

    async def _pages(
        self, index: OpenIndex, other: OpenIndex
    ) -> AsyncIterator[tuple[Sequence[Item], Mapping[str, Item]]]:
        """Items of an index, and what the other one has under their ids."""
        store, after = index.stores.items, 0
        while items := await asyncio.to_thread(store.page, index.id, None, after, _PAGE):
            yield items, await asyncio.to_thread(store.by_ids, other.id, [item.id for item in items])
            after = items[-1].key


def _same(old: Item, new: Item | None) -> bool:
    return new is not None and (old.image_sha256, old.metadata_json) == (new.image_sha256, new.metadata_json)


def _read(index: OpenIndex, items: Sequence[Item]) -> list[NewItem]:
    store = index.stores.items
    return [
        NewItem(item.id, item.metadata_json, EncodedImage(store.image(item.image_sha256) or b"", item.id))
        for item in items
    ]
