"""`client.backbones`: list, get, load, unload and import backbones."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from typing import Any

from penult._backbones import Upload, backbone, list_request
from penult._link import AsyncLink, Link
from penult.types import Backbone, Source, State
from penult.v1 import backbone_pb2, backbone_pb2_grpc

LOAD_TIMEOUT = 600.0
"""Seconds that loading may take: the weights may have to be downloaded first."""


class Backbones:
    """The backbones of a server. Every method raises PenultError."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def list(
        self,
        query: str | None = None,
        sources: Iterable[Source] | None = None,
        state: State | None = None,
        *,
        timeout: float | None = None,
    ) -> list[Backbone]:
        """All backbones that match, sorted by name; every page is fetched.

        Args:
            query: keeps names that hold this text, or match it where it has * or ?.
            sources: keeps these; the default is those that need no network, and what is loaded.
            state: keeps this state.
            timeout: seconds for each page.
        """
        request = list_request(query, sources, state)
        found: list[Backbone] = []
        while True:
            page = self._link.call(self._stub.ListBackbones, request, timeout)
            found += map(backbone, page.backbones)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def get(self, name: str = "", *, timeout: float | None = None) -> Backbone:
        """Describes one backbone, "" the server's default. Raises NotFound with near matches."""
        request = backbone_pb2.GetBackboneRequest(name=name)
        return backbone(self._link.call(self._stub.GetBackbone, request, timeout).backbone)

    def load(self, name: str, *, timeout: float | None = LOAD_TIMEOUT) -> Backbone:
        """Loads the weights and waits until it is ready."""
        request = backbone_pb2.LoadBackboneRequest(name=name)
        return backbone(self._link.call(self._stub.LoadBackbone, request, timeout).backbone)

    def unload(self, name: str, *, timeout: float | None = None) -> Backbone:
        """Frees its memory; the next use loads it again."""
        request = backbone_pb2.UnloadBackboneRequest(name=name)
        return backbone(self._link.call(self._stub.UnloadBackbone, request, timeout).backbone)

    def import_checkpoint(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        architecture: str,
        licence: str = "",
        timeout: float | None = None,
    ) -> Backbone:
        """Uploads weights (.safetensors, or .pth that holds only tensors) as a new backbone.

        Args:
            name: the new name, [a-z0-9][a-z0-9._-]{0,62}.
            path: the file on this machine; it is sent in pieces with its sha256.
            architecture: timm or torchvision architecture that the weights fit.
            licence: licence of the weights, such as "Apache-2.0".
            timeout: seconds for the whole; default is the client's, and one more for each MiB.
        """
        upload = Upload.of(name, path, architecture, licence)
        seconds = timeout or upload.file.seconds(self._link.endpoint.timeout)
        return backbone(self._link.call(self._stub.ImportBackbone, upload.requests(), seconds).backbone)

    @property
    def _stub(self) -> Any:
        return self._link.stub(backbone_pb2_grpc.BackboneServiceStub)


class AsyncBackbones:
    """The same for asyncio; `Backbones` explains the arguments."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def list(
        self,
        query: str | None = None,
        sources: Iterable[Source] | None = None,
        state: State | None = None,
        *,
        timeout: float | None = None,
    ) -> list[Backbone]:
        """All backbones that match, sorted by name."""
        request = list_request(query, sources, state)
        found: list[Backbone] = []
        while True:
            page = await self._link.call(self._stub.ListBackbones, request, timeout)
            found += map(backbone, page.backbones)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def get(self, name: str = "", *, timeout: float | None = None) -> Backbone:
        """Describes one backbone, "" the server's default. Raises NotFound with near matches."""
        request = backbone_pb2.GetBackboneRequest(name=name)
        return backbone((await self._link.call(self._stub.GetBackbone, request, timeout)).backbone)

    async def load(self, name: str, *, timeout: float | None = LOAD_TIMEOUT) -> Backbone:
        """Loads the weights and waits until it is ready."""
        request = backbone_pb2.LoadBackboneRequest(name=name)
        return backbone((await self._link.call(self._stub.LoadBackbone, request, timeout)).backbone)

    async def unload(self, name: str, *, timeout: float | None = None) -> Backbone:
        """Frees its memory; the next use loads it again."""
        request = backbone_pb2.UnloadBackboneRequest(name=name)
        return backbone((await self._link.call(self._stub.UnloadBackbone, request, timeout)).backbone)

    async def import_checkpoint(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        architecture: str,
        licence: str = "",
        timeout: float | None = None,
    ) -> Backbone:
        """Uploads weights (.safetensors, or .pth that holds only tensors) as a new backbone."""
        upload = await asyncio.to_thread(Upload.of, name, path, architecture, licence)
        seconds = timeout or upload.file.seconds(self._link.endpoint.timeout)
        response = await self._link.call(self._stub.ImportBackbone, upload.requests(), seconds)
        return backbone(response.backbone)

    @property
    def _stub(self) -> Any:
        return self._link.stub(backbone_pb2_grpc.BackboneServiceStub)
