"""BackboneService: what backbones there are, and which are in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc

from penult.v1 import backbone_pb2 as pb
from penult.v1 import backbone_pb2_grpc
from penult_server.core.describe_backbones import DescribeBackbones
from penult_server.core.import_backbone import ImportBackbone
from penult_server.transport.convert_backbones import (
    backbone_to_wire,
    filter_from_wire,
    import_record_from_wire,
)
from penult_server.transport.convert_files import chunks_of, header_of

Context = grpc.aio.ServicerContext


class BackboneService(backbone_pb2_grpc.BackboneServiceServicer):
    """See protos/penult/v1/backbone.proto."""

    def __init__(self, backbones: DescribeBackbones, importer: ImportBackbone) -> None:
        """The use cases."""
        self._backbones = backbones
        self._importer = importer

    async def ListBackbones(
        self, request: pb.ListBackbonesRequest, context: Context
    ) -> pb.ListBackbonesResponse:
        """One page of backbones."""
        page = await self._backbones.list(filter_from_wire(request), request.page_size, request.page_token)
        return pb.ListBackbonesResponse(
            backbones=map(backbone_to_wire, page.items), next_page_token=page.next_token
        )

    async def GetBackbone(self, request: pb.GetBackboneRequest, context: Context) -> pb.GetBackboneResponse:
        """One backbone."""
        return pb.GetBackboneResponse(backbone=backbone_to_wire(await self._backbones.get(request.name)))

    async def LoadBackbone(
        self, request: pb.LoadBackboneRequest, context: Context
    ) -> pb.LoadBackboneResponse:
        """Loads and warms up."""
        return pb.LoadBackboneResponse(backbone=backbone_to_wire(await self._backbones.load(request.name)))

    async def UnloadBackbone(
        self, request: pb.UnloadBackboneRequest, context: Context
    ) -> pb.UnloadBackboneResponse:
        """Frees memory."""
        return pb.UnloadBackboneResponse(
            backbone=backbone_to_wire(await self._backbones.unload(request.name))
        )

    async def ImportBackbone(
        self, requests: AsyncIterator[pb.ImportBackboneRequest], context: Context
    ) -> pb.ImportBackboneResponse:
        """Takes a checkpoint."""
        header = await header_of(requests)
        name = await self._importer.run(import_record_from_wire(header), chunks_of(requests))
        return pb.ImportBackboneResponse(backbone=backbone_to_wire(await self._backbones.get(name)))
