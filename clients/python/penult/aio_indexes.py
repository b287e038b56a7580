"""`client.indexes` for asyncio."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from penult._archive_files import ArchiveFile, ArchiveUpload
from penult._datasets import new_request_id
from penult._indexes import PAGE_SIZE, Step, create_request
from penult._link import AsyncLink
from penult.aio_index import AsyncIndex
from penult.index_types import Metric
from penult.v1 import index_pb2 as pb
from penult.v1 import index_pb2_grpc

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from penult._options import FeatureChoices


class AsyncIndexes:
    """The same for asyncio; `Indexes` explains the arguments."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def create(
        self,
        name: str,
        backbone: str | None = None,
        *,
        dim: int | None = None,
        metric: Metric = "cosine",
        kind: str = "auto",
        parameters: Mapping[str, Any] | None = None,
        steps: Iterable[Step] = (),
        memory_mb: int = 0,
        fingerprint: str = "",
        keep_images: bool = True,
        label_field: str = "",
        timeout: float | None = None,
        **choices: Unpack[FeatureChoices],
    ) -> AsyncIndex:
        """A new, empty index. Raises AlreadyExists."""
        request = create_request(
            name, backbone, dim, metric, kind, parameters, steps, memory_mb, fingerprint, keep_images,
            label_field, choices,
        )  # fmt: skip
        return await self._index(self._stub.CreateIndex, request, timeout)

    async def get(self, name: str, *, timeout: float | None = None) -> AsyncIndex:
        """One index, by name or alias."""
        return await self._index(self._stub.GetIndex, pb.GetIndexRequest(name=name), timeout)

    async def list(self, *, timeout: float | None = None) -> list[AsyncIndex]:
        """All indexes by name; every page is fetched."""
        request = pb.ListIndexesRequest(page_size=PAGE_SIZE)
        found: list[AsyncIndex] = []
        while True:
            page = await self._link.call(self._stub.ListIndexes, request, timeout)
            found += (AsyncIndex.of(self._link, message) for message in page.indexes)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def delete(self, name: str, *, timeout: float | None = None) -> int:
        """Removes an index with its items, and returns how many it had.

        Raises FailedPrecondition while an alias points to it.
        """
        request = pb.DeleteIndexRequest(name=name, request_id=new_request_id())
        return int((await self._link.call(self._stub.DeleteIndex, request, timeout)).removed)

    async def snapshot(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        images: bool = True,
        timeout: float | None = None,
    ) -> int:
        """Writes an index as it is now to one file, with the images it keeps, and returns its size in bytes.

        The file appears whole or not at all. It is a ZIP; docs/indexes.md says what is in it.
        """
        request = pb.SnapshotIndexRequest(index=name, without_images=not images)
        with ArchiveFile(path) as file:
            async for response in self._link.stream(self._stub.SnapshotIndex, request, timeout):
                file.take(response)
        return file.size

    async def restore(
        self, name: str, path: str | os.PathLike[str], *, timeout: float | None = None
    ) -> AsyncIndex:
        """A new index of what `snapshot` wrote, here or on another server. Raises AlreadyExists."""
        upload = await asyncio.to_thread(ArchiveUpload.of, path)
        seconds = timeout or upload.file.seconds(self._link.endpoint.timeout)
        return await self._index(self._stub.RestoreIndex, upload.restored(name), seconds)

    async def set_alias(self, alias: str, name: str, *, timeout: float | None = None) -> AsyncIndex:
        """Points an alias to an index, whatever it pointed to before."""
        request = pb.SetIndexAliasRequest(alias=alias, index=name, request_id=new_request_id())
        return await self._index(self._stub.SetIndexAlias, request, timeout)

    async def delete_alias(self, alias: str, *, timeout: float | None = None) -> None:
        """Forgets an alias. Raises NotFound."""
        request = pb.DeleteIndexAliasRequest(alias=alias, request_id=new_request_id())
        await self._link.call(self._stub.DeleteIndexAlias, request, timeout)

    async def _index(self, method: Any, request: Any, timeout: float | None) -> AsyncIndex:
        return AsyncIndex.of(self._link, (await self._link.call(method, request, timeout)).index)

    @property
    def _stub(self) -> Any:
        return self._link.stub(index_pb2_grpc.IndexServiceStub)
