"""`client.jobs`: long work on the server."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable
from typing import Any, Generic, TypeVar

from penult._datasets import new_request_id
from penult._jobs import Patience, event, job_fields, list_request, outcome, plot
from penult._link import Link
from penult._status import translated
from penult.errors import Unavailable
from penult.job_types import JobEvent, JobInfo, JobPlot, JobState
from penult.v1 import job_pb2 as pb
from penult.v1 import job_pb2_grpc

R = TypeVar("R")


class Job(JobInfo, Generic[R]):
    """A job, and what can be done with it. Its fields stay as they were; `refresh` gives new ones."""

    _link: Link
    _listed: bool

    @classmethod
    def of(cls, link: Link, message: pb.Job, *, listed: bool = False) -> Job[Any]:
        """From a message of the server; in a list, results lack what is long."""
        job = cls(**job_fields(message))
        object.__setattr__(job, "_link", link)
        object.__setattr__(job, "_listed", listed)
        return job

    def refresh(self) -> Job[R]:
        """The job as it is now."""
        return Jobs(self._link).get(self.id)

    def watch(self, after: int = 0, *, timeout: float | None = None) -> Generator[JobEvent, None, None]:
        """Events after number `after` (0: all that are kept) until the job has ended.

        Attaches again, without a gap or a repeat, where the connection breaks or the server starts anew.

        Raises:
            DeadlineExceeded: the job has not ended after `timeout` seconds.
            Unavailable: no server has answered for a minute.
        """
        patience = Patience(timeout)
        while True:
            request = pb.WatchJobRequest(id=self.id, after_event=after)
            endpoint = self._link.endpoint
            stub = self._link.stub(job_pb2_grpc.JobServiceStub)
            call = stub.WatchJob(request, timeout=patience.left(), metadata=endpoint.metadata)
            try:
                with translated(endpoint.target):
                    for response in call:
                        patience.answered()
                        after = response.event.number
                        yield event(response.event)
                return
            except Unavailable as error:
                time.sleep(patience.pause(error))
            finally:
                call.cancel()

    def result(self, timeout: float | None = None) -> R:
        """Waits until it has ended and returns what came out.

        Raises:
            JobFailed: it has failed; reason, message and hint are the job's.
            Cancelled: it was cancelled.
            DeadlineExceeded: it has not ended after `timeout` seconds; it goes on.
        """
        if self.done and not self._listed:
            return outcome(self)  # type: ignore[no-any-return]  # as the kind of job says
        if not self.done:
            for _ in self.watch(self.last_event, timeout=timeout):
                pass
        return outcome(self.refresh())  # type: ignore[no-any-return]

    def cancel(self) -> Job[R]:
        """Ends it within seconds; nothing of it becomes visible."""
        return Jobs(self._link).cancel(self.id)

    def finish(self) -> Job[R]:
        """Ends a fine-tuning after its present epoch: the best so far becomes its result."""
        return Jobs(self._link).finish(self.id)

    def resume(self) -> Job[R]:
        """Queues it again after a failure or a cancel; it goes on from what it saved."""
        return Jobs(self._link).resume(self.id)


class Jobs:
    """The jobs of a server. Every method raises PenultError; NotFound where the id is unknown."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def list(
        self,
        states: Iterable[JobState] = (),
        *,
        kind: str = "",
        subject: str = "",
        limit: int | None = None,
        timeout: float | None = None,
    ) -> list[Job[Any]]:
        """Jobs, newest first; every page is fetched.

        Args:
            states: keeps these, such as ("queued", "running"); the default is all.
            kind: keeps this kind.
            subject: keeps jobs on the dataset or model of this name.
            limit: most to fetch.
            timeout: seconds for each page.
        """
        request = list_request(states, kind, subject, limit)
        found: list[Job[Any]] = []
        while True:
            page = self._link.call(self._stub.ListJobs, request, timeout)
            found += (Job.of(self._link, message, listed=True) for message in page.jobs)
            if not page.next_page_token or (limit and len(found) >= limit):
                return found[:limit]
            request.page_token = page.next_page_token

    def get(self, id: str, *, timeout: float | None = None) -> Job[Any]:
        """One job."""
        return self._job(self._stub.GetJob, pb.GetJobRequest(id=id), timeout)

    def cancel(self, id: str, *, timeout: float | None = None) -> Job[Any]:
        """Ends it within seconds; one that has ended stays as it is."""
        request = pb.CancelJobRequest(id=id, request_id=new_request_id())
        return self._job(self._stub.CancelJob, request, timeout)

    def finish(self, id: str, *, timeout: float | None = None) -> Job[Any]:
        """Ends a fine-tuning after its present epoch: the best so far becomes its result.

        One that has failed or was cancelled is queued again for that. Raises FailedPrecondition for jobs of
        other kinds.
        """
        request = pb.FinishJobRequest(id=id, request_id=new_request_id())
        return self._job(self._stub.FinishJob, request, timeout)

    def resume(self, id: str, *, timeout: float | None = None) -> Job[Any]:
        """Queues a failed or cancelled job again. Raises FailedPrecondition where it cannot go on."""
        request = pb.ResumeJobRequest(id=id, request_id=new_request_id())
        return self._job(self._stub.ResumeJob, request, timeout)

    def plot(
        self, id: str, path: str | os.PathLike[str] | None = None, *, timeout: float | None = None
    ) -> JobPlot:
        """The curves of a fine-tuning so far, as a PNG that is also written to `path`, and what they say.

        Raises FailedPrecondition NO_CURVES where there are none.
        """
        return plot(self._link.call(self._stub.PlotJob, pb.PlotJobRequest(id=id), timeout), path)

    def delete(self, id: str, *, timeout: float | None = None) -> None:
        """Forgets a job that has ended. Raises FailedPrecondition before that."""
        request = pb.DeleteJobRequest(id=id, request_id=new_request_id())
        self._link.call(self._stub.DeleteJob, request, timeout)

    def _job(self, method: Any, request: Any, timeout: float | None) -> Job[Any]:
        return Job.of(self._link, self._link.call(method, request, timeout).job)

    @property
    def _stub(self) -> Any:
        return self._link.stub(job_pb2_grpc.JobServiceStub)
