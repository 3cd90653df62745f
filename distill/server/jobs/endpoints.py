"""/v1/fine_tuning/jobs: create, list, retrieve, cancel, pause, resume, events, checkpoints.

In: HTTP requests. Out: what OpenAI's API would answer, after it is on the disk. Nothing is trained here: these read and
write the records, and wake the runner.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from distill.server.body import read_json
from distill.server.errors import ApiError
from distill.server.ids import new_id
from distill.server.jobs import job_request, records
from distill.server.jobs.base import find_base
from distill.server.jobs.objects import checkpoint_object, event_object, job_object
from distill.server.jobs.records import Event, Job
from distill.server.jobs.service import wake
from distill.server.pages import envelope, page, select
from distill.server.platform import Platform, platform_of

_MOST_JOBS = 100
_MOST_EVENTS = 1000
_METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)


async def _create(request: Request) -> Response:
    platform = platform_of(request)
    asked = job_request.parse(await read_json(request))
    base = await asyncio.to_thread(find_base, platform, asked.model)
    await _check_file(platform, asked.training_file, "training_file")
    if asked.validation_file is not None:
        await _check_file(platform, asked.validation_file, "validation_file")
    id = new_id("ftjob")
    job = Job(
        id=id,
        status="validating_files",
        created_at=int(time.time()),
        model=asked.model,
        base=base,
        target=f"ft:{base.name}:local:{asked.suffix or ''}:{id[-8:]}",
        training_file=asked.training_file,
        validation_file=asked.validation_file,
        method=asked.kind,
        hyperparameters=asked.chosen,
        seed=asked.seed,
        suffix=asked.suffix,
        metadata=asked.metadata or None,
    )
    files = f"training file: {job.training_file}"
    if job.validation_file is not None:
        files += f" and validation file: {job.validation_file}"
    events = [Event(message=f"Created fine-tuning job: {id}"), Event(message=f"Validating {files}")]
    await platform.database.write(lambda connection: records.insert(connection, job, events))
    wake(platform)
    return JSONResponse(job_object(job))


async def _check_file(platform: Platform, file_id: str, param: str) -> None:
    try:
        file = await platform.files.object(file_id)
    except ApiError as error:
        if error.status != 404:
            raise
        message = f"There is no file '{file_id}'. Upload it first, with the purpose 'fine-tune'."
        raise ApiError(400, message, param=param, code="file_not_found") from None
    if file["purpose"] != "fine-tune":
        message = (
            f"The file '{file_id}' has the purpose '{file['purpose']}'; a job takes files that were uploaded with the "
            "purpose 'fine-tune'."
        )
        raise ApiError(400, message, param=param, code="invalid_file_purpose")


async def _list(request: Request) -> Response:
    asked = page(request, most=_MOST_JOBS, order="desc")
    metadata = _metadata_of(request)
    jobs, more = await platform_of(request).database.read(
        lambda connection: records.listed(connection, asked, metadata)
    )
    return JSONResponse(envelope(map(job_object, jobs), more))


def _metadata_of(request: Request) -> dict[str, str] | None:
    """The pairs asked for; None for `metadata=null`, which asks for jobs without any."""
    query = request.query_params
    pairs = {match[1]: value for key, value in query.multi_items() if (match := _METADATA.fullmatch(key))}
    if "metadata" not in query:
        return pairs
    if pairs or query["metadata"] != "null":
        message = "Filter with metadata[key]=value, or with metadata=null alone for jobs without metadata."
        raise ApiError(400, message, param="metadata", code="invalid_value")
    return None


async def _retrieve(request: Request) -> Response:
    id = request.path_params["job"]
    return JSONResponse(job_object(await platform_of(request).database.read(lambda connection: _find(connection, id))))


def _changes(change: Callable[[sqlite3.Connection, str], Job | None], done: str) -> Callable[..., object]:
    """An endpoint that changes a job's state. Asked twice it answers the same, for a client may not have heard."""

    async def endpoint(request: Request) -> Response:
        platform = platform_of(request)
        id = request.path_params["job"]

        def write(connection: sqlite3.Connection) -> Job:
            before = _find(connection, id)
            after = change(connection, id)
            if after is not None:
                return after
            if before.status == done:
                return before
            message = f"The job '{id}' has already ended: it is {before.status}."
            raise ApiError(400, message, code="invalid_job_state")

        job = await platform.database.write(write)
        wake(platform)
        return JSONResponse(job_object(job))

    return endpoint


async def _events(request: Request) -> Response:
    asked = page(request, most=_MOST_EVENTS, order="desc")
    id = request.path_params["job"]

    def read(connection: sqlite3.Connection) -> tuple[list[sqlite3.Row], bool]:
        _find(connection, id)
        return select(connection, "fine_tuning_events", asked, where={"job": id})

    rows, more = await platform_of(request).database.read(read)
    return JSONResponse(envelope(map(event_object, rows), more))


async def _checkpoints(request: Request) -> Response:
    asked = page(request, default=10, most=_MOST_JOBS, order="desc")
    id = request.path_params["job"]

    def read(connection: sqlite3.Connection) -> tuple[list[sqlite3.Row], bool]:
        _find(connection, id)
        return select(connection, "fine_tuning_checkpoints", asked, where={"job": id})

    rows, more = await platform_of(request).database.read(read)
    return JSONResponse(envelope(map(checkpoint_object, rows), more))


def _find(connection: sqlite3.Connection, id: str) -> Job:
    job = records.find(connection, id)
    if job is None:
        message = f"Could not find fine tune: {id}"
        raise ApiError(404, message, param="fine_tuning_job_id", code="fine_tune_not_found")
    return job


_JOB = "/v1/fine_tuning/jobs/{job}"
ROUTES = [
    Route("/v1/fine_tuning/jobs", _list),
    Route("/v1/fine_tuning/jobs", _create, methods=["POST"]),
    Route(_JOB, _retrieve),
    Route(f"{_JOB}/cancel", _changes(records.cancel, "cancelled"), methods=["POST"]),
    Route(f"{_JOB}/pause", _changes(records.pause, ""), methods=["POST"]),
    Route(f"{_JOB}/resume", _changes(records.resume, ""), methods=["POST"]),
    Route(f"{_JOB}/events", _events),
    Route(f"{_JOB}/checkpoints", _checkpoints),
]
