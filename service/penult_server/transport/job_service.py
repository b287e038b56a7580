"""JobService: follow and steer jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc

from penult.v1 import job_pb2 as pb
from penult.v1 import job_pb2_grpc
from penult_server.core.finish_jobs import FinishJobs
from penult_server.core.manage_jobs import ManageJobs
from penult_server.core.plot_jobs import PlotJobs
from penult_server.transport.convert_jobs import (
    event_to_wire,
    filter_from_wire,
    finding_to_wire,
    job_to_wire,
    listed_job_to_wire,
)

Context = grpc.aio.ServicerContext


class JobService(job_pb2_grpc.JobServiceServicer):
    """See protos/penult/v1/job.proto."""

    def __init__(self, jobs: ManageJobs, finish: FinishJobs, plots: PlotJobs) -> None:
        """The use cases."""
        self._jobs = jobs
        self._finish = finish
        self._plots = plots

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.GetJobResponse:
        """One job."""
        return pb.GetJobResponse(job=job_to_wire(await self._jobs.get(request.id)))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        """One page of jobs."""
        page = await self._jobs.list(filter_from_wire(request), request.page_size, request.page_token)
        return pb.ListJobsResponse(jobs=map(listed_job_to_wire, page.items), next_page_token=page.next_token)

    async def WatchJob(
        self, request: pb.WatchJobRequest, context: Context
    ) -> AsyncIterator[pb.WatchJobResponse]:
        """Events until the job has ended."""
        async for event in self._jobs.watch(request.id, request.after_event):
            yield pb.WatchJobResponse(event=event_to_wire(event))

    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> pb.CancelJobResponse:
        """Ends a job."""
        return pb.CancelJobResponse(job=job_to_wire(await self._jobs.cancel(request.id, request.request_id)))

    async def FinishJob(self, request: pb.FinishJobRequest, context: Context) -> pb.FinishJobResponse:
        """Ends a training with what it has."""
        return pb.FinishJobResponse(
            job=job_to_wire(await self._finish.finish(request.id, request.request_id))
        )

    async def ResumeJob(self, request: pb.ResumeJobRequest, context: Context) -> pb.ResumeJobResponse:
        """Queues a job again."""
        return pb.ResumeJobResponse(job=job_to_wire(await self._jobs.resume(request.id, request.request_id)))

    async def PlotJob(self, request: pb.PlotJobRequest, context: Context) -> pb.PlotJobResponse:
        """Its curves."""
        plot = await self._plots.plot(request.id)
        return pb.PlotJobResponse(png=plot.png, findings=map(finding_to_wire, plot.findings))

    async def DeleteJob(self, request: pb.DeleteJobRequest, context: Context) -> pb.DeleteJobResponse:
        """Forgets a job."""
        await self._jobs.delete(request.id, request.request_id)
        return pb.DeleteJobResponse()
