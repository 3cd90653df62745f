"""/v1/batches: create, list, retrieve, cancel.

In: OpenAI's requests. Out: OpenAI's objects; a batch goes on by itself after it was created.
"""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from distill.server.batches import records
from distill.server.batches.requests import BatchRequest
from distill.server.batches.runner import Runner
from distill.server.body import read_shape
from distill.server.errors import ApiError
from distill.server.ids import new_id
from distill.server.pages import envelope, page, select
from distill.server.platform import Platform, platform_of

_WINDOW = 24 * 3600  # seconds

_runners: dict[Platform, Runner] = {}


async def start(platform: Platform) -> None:
    """Go on with the batches that were not finished."""
    runner = _runners[platform] = Runner(platform)
    runner.start()


async def stop(platform: Platform) -> None:
    """Stop working; what is not finished is gone on with at the next start."""
    await _runners.pop(platform).stop()


async def _create(request: Request) -> Response:
    platform = platform_of(request)
    asked = await read_shape(request, BatchRequest)
    file = await platform.files.object(asked.input_file_id)
    if file["purpose"] != "batch":
        message = f"The file {asked.input_file_id} has the purpose '{file['purpose']}'; a batch needs one of 'batch'."
        raise ApiError(400, message, param="input_file_id", code="invalid_value")
    now = int(time.time())
    row = {
        "id": new_id("batch", dash=False),
        "endpoint": asked.endpoint,
        "input_file_id": asked.input_file_id,
        "completion_window": asked.completion_window,
        "metadata": json.dumps(asked.metadata) if asked.metadata is not None else None,
        "output_lasts": asked.output_expires_after.seconds if asked.output_expires_after else None,
        "status": "validating",
        "created_at": now,
        "expires_at": now + _WINDOW,
    }

    def write(connection: sqlite3.Connection) -> dict[str, Any]:
        records.insert(connection, row)
        return records.show(records.find(connection, str(row["id"])))

    shown = await platform.database.write(write)
    _runners[platform].wake()
    return JSONResponse(shown)


async def _list(request: Request) -> Response:
    wanted = page(request, order="desc")
    rows, more = await platform_of(request).database.read(lambda connection: select(connection, "batches", wanted))
    return JSONResponse(envelope(map(records.show, rows), more))


async def _retrieve(request: Request) -> Response:
    wanted = request.path_params["batch_id"]
    row = await platform_of(request).database.read(lambda connection: records.find(connection, wanted))
    return JSONResponse(records.show(row))


async def _cancel(request: Request) -> Response:
    platform = platform_of(request)
    wanted = request.path_params["batch_id"]

    def write(connection: sqlite3.Connection) -> dict[str, Any]:
        row = records.find(connection, wanted)
        if row["status"] not in ("validating", "in_progress", "finalizing", "cancelling", "cancelled"):
            message = f"Cannot cancel a batch with status '{row['status']}'."
            raise ApiError(400, message, param="batch_id", code="invalid_value")
        # One whose files are being written is as good as done, and comes to its own end.
        records.move(connection, wanted, "cancelling", "validating", "in_progress")
        return records.show(records.find(connection, wanted))

    shown = await platform.database.write(write)
    _runners[platform].wake()
    return JSONResponse(shown)


ROUTES = [
    Route("/v1/batches", _create, methods=["POST"]),
    Route("/v1/batches", _list, methods=["GET"]),
    Route("/v1/batches/{batch_id}", _retrieve, methods=["GET"]),
    Route("/v1/batches/{batch_id}/cancel", _cancel, methods=["POST"]),
]
