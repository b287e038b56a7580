"""`client.jobs` for asyncio."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Generic, TypeVar

from penult._datasets import new_request_id
from penult._jobs import Patience, event, job_fields, list_request, outcome, plot
from penult._link import AsyncLink
from penult._status import translated
from penult.errors import Unavailable
from penult.job_types import JobEvent, JobInfo, JobPlot, JobState
from penult.v1 import job_pb2 as pb
from penult.v1 import job_pb2_grpc

R = TypeVar("R")


class AsyncJob(JobInfo, Generic[R]):
    """`Job` for asyncio; that explains the methods."""

    _link: AsyncLink
    _listed: bool

    @classmethod
    def of(cls, link: AsyncLink, message: pb.Job, *, listed: bool = False) -> AsyncJob[Any]:
        """From a message of the server; in a list, results lack what is long."""
        job = cls(**job_fields(message))
        object.__setattr__(job, "_link", link)
        object.__setattr__(job, "_listed", listed)
        return job

    async def refresh(self) -> AsyncJob[R]:
        """The job as it is now."""
        return await AsyncJobs(self._link).get(self.id)

    async def watch(self, after: int = 0, *, timeout: float | None = None) -> AsyncGenerator[JobEvent, None]:
        """Events after number `after` until the job has ended; see `Job.watch`."""
        patience = Patience(timeout)
        while True:
            request = pb.WatchJobRequest(id=self.id, after_event=after)
            endpoint = self._link.endpoint
            stub = self._link.stub(job_pb2_grpc.JobServiceStub)
            call = stub.WatchJob(request, timeout=patience.left(), metadata=endpoint.metadata)
            try:
                with translated(endpoint.target):
                    async for response in call:
                        patience.answered()
                        after = response.event.number
                        yield event(response.event)
                return
            except Unavailable as error:
                await asyncio.sleep(patience.pause(error))
            finally:
                call.cancel()

    async def result(self, timeout: float | None = None) -> R:
        """Waits until it has ended and returns what came out; see `Job.result`."""
        if self.done and not self._listed:
            return outcome(self)  # type: ignore[no-any-return]  # as the kind of job says
        if not self.done:
            async for _ in self.watch(self.last_event, timeout=timeout):
                pass
        return outcome(await self.refresh())  # type: ignore[no-any-return]

    async def cancel(self) -> AsyncJob[R]:
        """Ends it within seconds; nothing of it becomes visible."""
        return await AsyncJobs(self._link).cancel(self.id)

    async def finish(self) -> AsyncJob[R]:
        """Ends a fine-tuning after its present epoch: the best so far becomes its result."""
        return await AsyncJobs(self._link).finish(self.id)

    async def resume(self) -> AsyncJob[R]:
        """Queues it again after a failure or a cancel; it goes on from what it saved."""
        return await AsyncJobs(self._link).resume(self.id)


class AsyncJobs:
    """The same for asyncio; `Jobs` explains the arguments."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def list(
        self,
        states: Iterable[JobState] = (),
        *,
        kind: str = "",
        subject: str = "",
        limit: int | None = None,
        timeout: float | None = None,
    ) -> list[AsyncJob[Any]]:
        """Jobs, newest first; every page is fetched."""
        request = list_request(states, kind, subject, limit)
        found: list[AsyncJob[Any]] = []
        while True:
            page = await self._link.call(self._stub.ListJobs, request, timeout)
            found += (AsyncJob.of(self._link, message, listed=True) for message in page.jobs)
            if not page.next_page_token or (limit and len(found) >= limit):
                return found[:limit]
            request.page_token = page.next_page_token

    async def get(self, id: str, *, timeout: float | None = None) -> AsyncJob[Any]:
        """One job."""
        return await self._job(self._stub.GetJob, pb.GetJobRequest(id=id), timeout)

    async def cancel(self, id: str, *, timeout: float | None = None) -> AsyncJob[Any]:
        """Ends it within seconds; one that has ended stays as it is."""
        request = pb.CancelJobRequest(id=id, request_id=new_request_id())
        return await self._job(self._stub.CancelJob, request, timeout)

    async def finish(self, id: str, *, timeout: float | None = None) -> AsyncJob[Any]:
        """Ends a fine-tuning after its present epoch: the best so far becomes its result.

        One that has failed or was cancelled is queued again for that. Raises FailedPrecondition for jobs of
        other kinds.
        """
        request = pb.FinishJobRequest(id=id, request_id=new_request_id())
        return await self._job(self._stub.FinishJob, request, timeout)

    async def resume(self, id: str, *, timeout: float | None = None) -> AsyncJob[Any]:
        """Queues a failed or cancelled job again. Raises FailedPrecondition where it cannot go on."""
        request = pb.ResumeJobRequest(id=id, request_id=new_request_id())
        return await self._job(self._stub.ResumeJob, request, timeout)

    async def plot(
        self, id: str, path: str | os.PathLike[str] | None = None, *, timeout: float | None = None
    ) -> JobPlot:
        """The curves of a fine-tuning so far, as a PNG that is also written to `path`, and what they say.

        Raises FailedPrecondition NO_CURVES where there are none.
        """
        return plot(await self._link.call(self._stub.PlotJob, pb.PlotJobRequest(id=id), timeout), path)

    async def delete(self, id: str, *, timeout: float | None = None) -> None:
        """Forgets a job that has ended. Raises FailedPrecondition before that."""
        request = pb.DeleteJobRequest(id=id, request_id=new_request_id())
        await self._link.call(self._stub.DeleteJob, request, timeout)

    async def _job(self, method: Any, request: Any, timeout: float | None) -> AsyncJob[Any]:
        return AsyncJob.of(self._link, (await self._link.call(method, request, timeout)).job)

    @property
    def _stub(self) -> Any:
        return self._link.stub(job_pb2_grpc.JobServiceStub)
