"""`penult jobs`: list, get, watch, plot, diagnosis, cancel, finish, resume, delete."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from penult._jobs import outcome
from penult.cli.connection import DEFAULT_TARGET, ApiKey, AsJson, Ca, Target, UseTls, connect
from penult.cli.groups import ListByDefault
from penult.cli.live_jobs import follow, follow_all
from penult.cli.output import print_json, print_table
from penult.job_types import JobInfo
from penult.jobs import Job

Id = Annotated[str, typer.Argument(help="Id of the job.")]
_SHOWN = 50

jobs = typer.Typer(cls=ListByDefault, help="List (the default), follow, cancel and resume jobs.")


@jobs.command("list")
def list_jobs(
    state: Annotated[
        list[str] | None,
        typer.Option(help="Only: queued, running, succeeded, failed, cancelled, interrupted. Repeatable."),
    ] = None,
    kind: Annotated[str, typer.Option(help="Only this kind, such as analyze_dataset.")] = "",
    subject: Annotated[str, typer.Option(help="Only jobs on this dataset or model.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Most to list.")] = _SHOWN,
    live: Annotated[bool, typer.Option(help="On a terminal: bars until the listed jobs have ended.")] = True,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first, and follow those that have not ended."""
    with connect(target, api_key, ca, tls) as client:

        def fetch() -> list[Job[Any]]:
            return client.jobs.list(state or (), kind=kind, subject=subject, limit=limit)  # type: ignore[arg-type]  # checked there

        found = fetch()
        if live and not as_json and sys.stderr.isatty() and sys.stdout.isatty():
            ids = {job.id for job in found if not job.done}
            follow_all(lambda: [client.jobs.get(id) for id in sorted(ids)])
            found = fetch()
    if as_json:
        print_json(found)
        return
    header = ("id", "kind", "subject", "state", "created", "progress")
    print_table(header, (_row(job) for job in found))


@jobs.command()
def get(
    id: Id,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Describe a job."""
    with connect(target, api_key, ca, tls) as client:
        _show(client.jobs.get(id), as_json)


@jobs.command()
def watch(
    id: Id,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Follow a job until it has ended; the exit code is 0 only if it has succeeded."""
    with connect(target, api_key, ca, tls) as client:
        job = follow(client.jobs.get(id), quiet=as_json)
    if as_json:
        print_json(job)
    outcome(job)


@jobs.command()
def plot(
    id: Id,
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("curves.png"),
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
) -> None:
    """Draw the curves of a fine-tuning so far: loss, accuracy, learning rate, gradients, updates, speed."""
    with connect(target, api_key, ca, tls) as client:
        client.jobs.plot(id, out)
    typer.echo(out)


@jobs.command()
def diagnosis(
    id: Id,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Say what the curves of a fine-tuning show, with the numbers behind it and what to change."""
    with connect(target, api_key, ca, tls) as client:
        findings = client.jobs.plot(id).findings
    if as_json:
        print_json(findings)
    elif not findings:
        typer.echo("too little is measured to say anything", err=True)
    else:
        print_table(("symptom", "evidence", "advice"), ((f.symptom, f.evidence, f.advice) for f in findings))


@jobs.command()
def cancel(
    id: Id,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """End a job; nothing of it becomes visible."""
    with connect(target, api_key, ca, tls) as client:
        _show(client.jobs.cancel(id), as_json)


@jobs.command()
def finish(
    id: Id,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """End a fine-tuning after its present epoch; the best so far becomes its result."""
    with connect(target, api_key, ca, tls) as client:
        _show(client.jobs.finish(id), as_json)


@jobs.command()
def resume(
    id: Id,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Queue a failed or cancelled job again; it goes on from what it saved."""
    with connect(target, api_key, ca, tls) as client:
        _show(client.jobs.resume(id), as_json)


@jobs.command()
def delete(
    id: Id,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
) -> None:
    """Forget a job that has ended; what it made stays."""
    with connect(target, api_key, ca, tls) as client:
        client.jobs.delete(id)


def _row(job: JobInfo) -> tuple[str, ...]:
    progress = "" if job.progress is None or job.done else str(job.progress)
    return job.id, job.kind, job.subject, job.state, f"{job.created:%Y-%m-%d %H:%M:%S}", progress


def _show(job: JobInfo, as_json: bool) -> None:
    if as_json:
        print_json(job)
        return
    facts = {field.name: getattr(job, field.name) for field in dataclasses.fields(job)}
    del facts["output"]
    if job.progress is not None:
        facts["progress"] = str(job.progress)
    if job.error is not None:
        facts["error"] = f"{job.error.message} [{job.error.reason}]"
    print_table(("", ""), ((key, str(value)) for key, value in facts.items() if value))
