"""`client.indexes`: collections searched by nearness."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from penult._archive_files import ArchiveFile, ArchiveUpload
from penult._datasets import new_request_id
from penult._indexes import PAGE_SIZE, Step, create_request
from penult._link import Link
from penult.index import Index
from penult.index_types import Metric
from penult.v1 import index_pb2 as pb
from penult.v1 import index_pb2_grpc

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from penult._options import FeatureChoices


class Indexes:
    """The indexes of a server. Every method raises PenultError; NotFound where the name is unknown."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def create(
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
    ) -> Index:
        """A new, empty index. Raises AlreadyExists.

        Args:
            name: [a-z0-9][a-z0-9._-]{0,62}.
            backbone: whose features it holds; None is the server's default.
            dim: for an index of vectors of your own instead: their length.
            metric: "cosine", "inner_product" or "l2".
            kind: "auto" starts exact and moves by itself; docs/indexes.md has the others.
            parameters: of the kind.
            steps: retrieval steps by name, or (name, parameters); docs/retrieval.md has the list.
            memory_mb: most MiB that it may hold in memory, 0 for no bound.
            fingerprint: of your own vectors, where they have one.
            keep_images: keeps the images of items, for `reembed` and for pictures in reports.
            label_field: the metadata field that holds a label; the default is "label".
            timeout: seconds for the call; the backbone may have to be loaded first.
            choices: `tta`, `l2`, `dtype`, `layer`, `pooling`, as in `Client.extract`.
        """
        request = create_request(
            name, backbone, dim, metric, kind, parameters, steps, memory_mb, fingerprint, keep_images,
            label_field, choices,
        )  # fmt: skip
        return self._index(self._stub.CreateIndex, request, timeout)

    def get(self, name: str, *, timeout: float | None = None) -> Index:
        """One index, by name or alias."""
        return self._index(self._stub.GetIndex, pb.GetIndexRequest(name=name), timeout)

    def list(self, *, timeout: float | None = None) -> list[Index]:
        """All indexes by name; every page is fetched."""
        request = pb.ListIndexesRequest(page_size=PAGE_SIZE)
        found: list[Index] = []
        while True:
            page = self._link.call(self._stub.ListIndexes, request, timeout)
            found += (Index.of(self._link, message) for message in page.indexes)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def delete(self, name: str, *, timeout: float | None = None) -> int:
        """Removes an index with its items, and returns how many it had.

        Raises FailedPrecondition while an alias points to it.
        """
        request = pb.DeleteIndexRequest(name=name, request_id=new_request_id())
        return int(self._link.call(self._stub.DeleteIndex, request, timeout).removed)

    def snapshot(
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
            for response in self._link.stream(self._stub.SnapshotIndex, request, timeout):
                file.take(response)
        return file.size

    def restore(self, name: str, path: str | os.PathLike[str], *, timeout: float | None = None) -> Index:
        """A new index of what `snapshot` wrote, here or on another server. Raises AlreadyExists."""
        upload = ArchiveUpload.of(path)
        seconds = timeout or upload.file.seconds(self._link.endpoint.timeout)
        return self._index(self._stub.RestoreIndex, upload.restored(name), seconds)

    def set_alias(self, alias: str, name: str, *, timeout: float | None = None) -> Index:
        """Points an alias to an index, whatever it pointed to before."""
        request = pb.SetIndexAliasRequest(alias=alias, index=name, request_id=new_request_id())
        return self._index(self._stub.SetIndexAlias, request, timeout)

    def delete_alias(self, alias: str, *, timeout: float | None = None) -> None:
        """Forgets an alias. Raises NotFound."""
        request = pb.DeleteIndexAliasRequest(alias=alias, request_id=new_request_id())
        self._link.call(self._stub.DeleteIndexAlias, request, timeout)

    def _index(self, method: Any, request: Any, timeout: float | None) -> Index:
        return Index.of(self._link, self._link.call(method, request, timeout).index)

    @property
    def _stub(self) -> Any:
        return self._link.stub(index_pb2_grpc.IndexServiceStub)
