"""ModelService: train, describe, use and measure classifiers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable

import grpc

from penult.v1 import image_pb2, model_archive_pb2, model_pb2_grpc
from penult.v1 import model_pb2 as pb
from penult_server.core.archive_model import ArchiveModel
from penult_server.core.errors import InvalidArgument
from penult_server.core.evaluate_model import EvaluateModel
from penult_server.core.export_model import ExportModel
from penult_server.core.finetune_model import FineTune
from penult_server.core.images import SourceImage
from penult_server.core.manage_models import ManageModels
from penult_server.core.model_files import ModelFiles
from penult_server.core.models import ModelReference
from penult_server.core.predict import PredictImages
from penult_server.core.train_head import TrainHead
from penult_server.core.tune_model import Tune
from penult_server.transport.convert_files import chunks_of, facts_from_wire, header_of, part_to_wire
from penult_server.transport.convert_images import image_from_wire, item_error_to_wire
from penult_server.transport.convert_jobs import job_to_wire
from penult_server.transport.convert_models import (
    evaluated_split,
    model_to_wire,
    parameters_from_wire,
    prediction_to_wire,
    training_from_wire,
    tuning_from_wire,
    version_to_wire,
)
from penult_server.transport.convert_tuning import search_from_wire

Context = grpc.aio.ServicerContext


class ModelService(model_pb2_grpc.ModelServiceServicer):
    """See protos/penult/v1/model.proto."""

    def __init__(
        self,
        models: ManageModels,
        train_head: TrainHead,
        predict: PredictImages,
        evaluate: EvaluateModel,
        export: ExportModel,
        fine_tune: FineTune,
        tune: Tune,
        files: ModelFiles,
        archive: ArchiveModel,
    ) -> None:
        """The use cases."""
        self._models = models
        self._train_head = train_head
        self._predict = predict
        self._evaluate = evaluate
        self._export = export
        self._fine_tune = fine_tune
        self._tune = tune
        self._files = files
        self._archive = archive

    async def TrainHead(self, request: pb.TrainHeadRequest, context: Context) -> pb.TrainHeadResponse:
        """Starts the job."""
        job = await self._train_head.start(training_from_wire(request))
        return pb.TrainHeadResponse(job=job_to_wire(job))

    async def FineTune(self, request: pb.FineTuneRequest, context: Context) -> pb.FineTuneResponse:
        """Starts the job."""
        job = await self._fine_tune.start(tuning_from_wire(request))
        return pb.FineTuneResponse(job=job_to_wire(job))

    async def Tune(self, request: pb.TuneRequest, context: Context) -> pb.TuneResponse:
        """Starts the job."""
        return pb.TuneResponse(job=job_to_wire(await self._tune.start(search_from_wire(request))))

    async def DrawSchedule(
        self, request: pb.DrawScheduleRequest, context: Context
    ) -> pb.DrawScheduleResponse:
        """A picture of what FineTune would do."""
        drawn = await self._fine_tune.draw(parameters_from_wire(request.settings), request.dataset)
        return pb.DrawScheduleResponse(png=drawn.png, factors=drawn.factors, peak_rate=drawn.peak_rate)

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        """One version and its model."""
        model, version = await self._models.get(ModelReference.parse(request.model))
        return pb.GetModelResponse(model=model_to_wire(model), version=version_to_wire(version))

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        """One page of models."""
        page = await self._models.list(request.page_size, request.page_token)
        return pb.ListModelsResponse(models=map(model_to_wire, page.items), next_page_token=page.next_token)

    async def ListModelVersions(
        self, request: pb.ListModelVersionsRequest, context: Context
    ) -> pb.ListModelVersionsResponse:
        """One page of versions."""
        page = await self._models.versions(request.name, request.page_size, request.page_token)
        return pb.ListModelVersionsResponse(
            versions=map(version_to_wire, page.items), next_page_token=page.next_token
        )

    async def DeleteModel(self, request: pb.DeleteModelRequest, context: Context) -> pb.DeleteModelResponse:
        """Gone, with all versions."""
        return pb.DeleteModelResponse(deleted=await self._models.delete(request.name, request.request_id))

    async def DeleteModelVersion(
        self, request: pb.DeleteModelVersionRequest, context: Context
    ) -> pb.DeleteModelVersionResponse:
        """One version gone."""
        await self._models.delete_version(request.name, request.version, request.request_id)
        return pb.DeleteModelVersionResponse()

    async def SetModelAlias(
        self, request: pb.SetModelAliasRequest, context: Context
    ) -> pb.SetModelAliasResponse:
        """An alias points there."""
        model = await self._models.set_alias(request.name, request.alias, request.version, request.request_id)
        return pb.SetModelAliasResponse(model=model_to_wire(model))

    async def DeleteModelAlias(
        self, request: pb.DeleteModelAliasRequest, context: Context
    ) -> pb.DeleteModelAliasResponse:
        """An alias gone."""
        model = await self._models.delete_alias(request.name, request.alias, request.request_id)
        return pb.DeleteModelAliasResponse(model=model_to_wire(model))

    async def Predict(self, request: pb.PredictRequest, context: Context) -> pb.PredictResponse:
        """Predictions of one batch."""
        batch = await self._predict.predict(
            ModelReference.parse(request.model), _images(request.images), request.top_k
        )
        return pb.PredictResponse(
            predictions=map(prediction_to_wire, batch.predictions),
            errors=map(item_error_to_wire, batch.errors),
            model=batch.version.model,
            version=batch.version.version,
        )

    async def PredictStream(
        self, requests: AsyncIterator[pb.PredictStreamRequest], context: Context
    ) -> AsyncIterator[pb.PredictStreamResponse]:
        """Predictions of every message, in order."""
        first = await anext(aiter(requests), None)
        if first is None:
            raise InvalidArgument("EMPTY_STREAM", "the stream ended before its first message")
        batches = self._predict.stream(
            ModelReference.parse(first.model), _batches(first, requests), first.top_k
        )
        first_index = 0
        async for batch in batches:
            yield pb.PredictStreamResponse(
                first_index=first_index,
                predictions=map(prediction_to_wire, batch.predictions),
                errors=map(item_error_to_wire, batch.errors),
                ids=batch.ids,
                model=batch.version.model,
                version=batch.version.version,
            )
            first_index += len(batch.predictions)

    async def EvaluateModel(
        self, request: pb.EvaluateModelRequest, context: Context
    ) -> pb.EvaluateModelResponse:
        """Starts the job."""
        reference, split = ModelReference.parse(request.model), evaluated_split(request.split)
        job = await self._evaluate.start(reference, request.dataset, split, request.request_id)
        return pb.EvaluateModelResponse(job=job_to_wire(job))

    async def EnsembleModels(
        self, request: pb.EnsembleModelsRequest, context: Context
    ) -> pb.EnsembleModelsResponse:
        """A version made of others."""
        members = [ModelReference.parse(name, f"models[{n}]") for n, name in enumerate(request.models)]
        version = await self._models.ensemble(request.name, members, request.request_id)
        return pb.EnsembleModelsResponse(version=version_to_wire(version))

    async def ExportModel(self, request: pb.ExportModelRequest, context: Context) -> pb.ExportModelResponse:
        """Starts the job."""
        reference = ModelReference.parse(request.model)
        job = await self._export.start(reference, request.format, request.request_id)
        return pb.ExportModelResponse(job=job_to_wire(job))

    async def DownloadExport(
        self, request: pb.DownloadExportRequest, context: Context
    ) -> AsyncIterator[pb.DownloadExportResponse]:
        """The file of a job."""
        async for chunk in self._export.read(request.job_id):
            yield pb.DownloadExportResponse(chunk=chunk)

    async def ListModelFiles(
        self, request: pb.ListModelFilesRequest, context: Context
    ) -> pb.ListModelFilesResponse:
        """What there is of a version."""
        version, files = await self._files.list(ModelReference.parse(request.model))
        listed = [
            pb.ModelFile(name=name, size_bytes=file.size_bytes, sha256=file.sha256)
            for name, file in sorted(files.items())
        ]
        return pb.ListModelFilesResponse(files=listed, model=version.reference)

    async def DownloadModelFile(
        self, request: pb.DownloadModelFileRequest, context: Context
    ) -> AsyncIterator[pb.DownloadModelFileResponse]:
        """One file."""
        async for chunk in self._files.read(ModelReference.parse(request.model), request.file):
            yield pb.DownloadModelFileResponse(chunk=chunk)

    async def ArchiveModel(
        self, request: model_archive_pb2.ArchiveModelRequest, context: Context
    ) -> AsyncIterator[model_archive_pb2.ArchiveModelResponse]:
        """One file."""
        parts = self._archive.archive(ModelReference.parse(request.model))
        async with contextlib.aclosing(parts):
            async for part in parts:
                yield part_to_wire(model_archive_pb2.ArchiveModelResponse, part)

    async def ImportModel(
        self, requests: AsyncIterator[model_archive_pb2.ImportModelRequest], context: Context
    ) -> model_archive_pb2.ImportModelResponse:
        """New versions of one file."""
        header, chunks = await header_of(requests), chunks_of(requests)
        facts = facts_from_wire(header.file)
        version = await self._archive.take_in(header.name, facts, header.request_id, chunks)
        return model_archive_pb2.ImportModelResponse(version=version_to_wire(version))


def _images(images: Iterable[image_pb2.Image]) -> list[SourceImage]:
    return [image_from_wire(image) for image in images]


async def _batches(
    first: pb.PredictStreamRequest, rest: AsyncIterator[pb.PredictStreamRequest]
) -> AsyncIterator[list[SourceImage]]:
    yield _images(first.images)
    async for request in rest:
        yield _images(request.images)
