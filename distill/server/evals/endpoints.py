"""/v1/evals: evals, their runs, and what became of each item.

In: OpenAI's requests. Out: OpenAI's objects; a run goes on by itself after it was created.
"""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from distill.openai_graders import Multi
from distill.server.body import read_shape
from distill.server.errors import ApiError
from distill.server.evals import records
from distill.server.evals.requests import (
    UNSUPPORTED,
    CompletionsData,
    CustomConfig,
    EvalRequest,
    RunRequest,
    StoredSource,
    UpdateRequest,
)
from distill.server.evals.runner import Runner
from distill.server.evals.sources import SourceBroken, validator_of
from distill.server.graders_api import read_grader
from distill.server.ids import new_id
from distill.server.pages import envelope, page, select
from distill.server.platform import Platform, platform_of

_runners: dict[int, Runner] = {}
"""By the identity of the platform, from `start` to `stop`."""


async def start(platform: Platform) -> None:
    """Go on with the runs that were not finished."""
    runner = _runners[id(platform)] = Runner(platform)
    await runner.resume()


async def stop(platform: Platform) -> None:
    """Stop working; what is not finished is gone on with at the next start."""
    await _runners.pop(id(platform)).stop()


async def _create(request: Request) -> Response:
    asked = await read_shape(request, EvalRequest)
    names = set()
    for index, criterion in enumerate(asked.testing_criteria):
        grader = read_grader(criterion, f"testing_criteria[{index}]")
        if isinstance(grader, Multi):
            message = (
                "A multi grader grades fine-tuning; in an eval name each of its graders as a criterion of its own."
            )
            raise ApiError(400, message, param=f"testing_criteria[{index}].type", code="unsupported_value")
        if grader.name in names:
            message = f"Two testing criteria are named '{grader.name}'."
            raise ApiError(400, message, param=f"testing_criteria[{index}].name", code="invalid_value")
        names.add(grader.name)
    now = int(time.time())
    row = {
        "id": new_id("eval", dash=False),
        "name": asked.name or "Unnamed eval",
        "config": json.dumps(_config(asked)),
        "criteria": json.dumps(asked.testing_criteria),
        "metadata": json.dumps(asked.metadata or {}),
        "created_at": now,
        "updated_at": now,
    }
    await platform_of(request).database.write(lambda connection: records.insert(connection, "evals", row))
    return JSONResponse(records.show_eval(row), status_code=201)


async def _list(request: Request) -> Response:
    wanted = page(request)
    if request.query_params.get("order_by", "created_at") not in ("created_at", "updated_at"):
        message = "Invalid value for 'order_by': expected 'created_at' or 'updated_at'."
        raise ApiError(400, message, param="order_by", code="invalid_value")
    rows, more = await platform_of(request).database.read(lambda connection: select(connection, "evals", wanted))
    return JSONResponse(envelope(map(records.show_eval, rows), more))


async def _retrieve(request: Request) -> Response:
    wanted = request.path_params["eval_id"]
    row = await platform_of(request).database.read(lambda connection: records.find_eval(connection, wanted))
    return JSONResponse(records.show_eval(row))


async def _update(request: Request) -> Response:
    wanted = request.path_params["eval_id"]
    asked = await read_shape(request, UpdateRequest)

    def write(connection: sqlite3.Connection) -> dict[str, Any]:
        row = records.find_eval(connection, wanted)
        connection.execute(
            "UPDATE evals SET name = ?, metadata = ?, updated_at = ? WHERE id = ?",
            [
                row["name"] if asked.name is None else asked.name,
                row["metadata"] if asked.metadata is None else json.dumps(asked.metadata),
                int(time.time()),
                wanted,
            ],
        )
        return records.show_eval(records.find_eval(connection, wanted))

    return JSONResponse(await platform_of(request).database.write(write))


async def _delete(request: Request) -> Response:
    wanted = request.path_params["eval_id"]

    def write(connection: sqlite3.Connection) -> list[str]:
        records.find_eval(connection, wanted)
        runs = [row["id"] for row in connection.execute("SELECT id FROM eval_runs WHERE eval_id = ?", [wanted])]
        connection.execute("DELETE FROM evals WHERE id = ?", [wanted])
        return runs

    platform = platform_of(request)
    for run_id in await platform.database.write(write):
        _runners[id(platform)].cancel(run_id)
    return JSONResponse({"object": "eval.deleted", "deleted": True, "eval_id": wanted})


async def _create_run(request: Request) -> Response:
    platform = platform_of(request)
    eval_id = request.path_params["eval_id"]
    await platform.database.read(lambda connection: records.find_eval(connection, eval_id))
    asked = await read_shape(request, RunRequest, UNSUPPORTED)
    source = asked.data_source
    if isinstance(source, CompletionsData):
        if source.model is not None:
            await platform.catalog.retrieve(source.model)  # 404 for a model that is not served
        elif not isinstance(source.source, StoredSource):
            message = "Missing required parameter: 'data_source.model'."
            raise ApiError(400, message, param="data_source.model", code="missing_required_parameter")
    model = getattr(source, "model", None) or ""
    row = {
        "id": new_id("evalrun", dash=False),
        "eval_id": eval_id,
        "name": asked.name or "Unnamed run",
        "model": model,
        "status": "queued",
        "data_source": source.model_dump_json(exclude_none=True),
        "metadata": json.dumps(asked.metadata or {}),
        "error": None,
        "created_at": int(time.time()),
    }

    def write(connection: sqlite3.Connection) -> dict[str, Any]:
        records.find_eval(connection, eval_id)
        records.insert(connection, "eval_runs", row)
        return _show_run(request, connection, records.find_run(connection, eval_id, str(row["id"])))

    shown = await platform.database.write(write)
    _runners[id(platform)].begin(str(row["id"]))
    return JSONResponse(shown, status_code=201)


async def _list_runs(request: Request) -> Response:
    eval_id = request.path_params["eval_id"]
    wanted = page(request)
    where = {"eval_id": eval_id, **_status(request, ("queued", "in_progress", "completed", "canceled", "failed"))}

    def read(connection: sqlite3.Connection) -> dict[str, Any]:
        records.find_eval(connection, eval_id)
        rows, more = select(connection, "eval_runs", wanted, where=where)
        return envelope([_show_run(request, connection, row) for row in rows], more)

    return JSONResponse(await platform_of(request).database.read(read))


async def _retrieve_run(request: Request) -> Response:
    eval_id, run_id = request.path_params["eval_id"], request.path_params["run_id"]

    def read(connection: sqlite3.Connection) -> dict[str, Any]:
        return _show_run(request, connection, records.find_run(connection, eval_id, run_id))

    return JSONResponse(await platform_of(request).database.read(read))


async def _cancel_run(request: Request) -> Response:
    platform = platform_of(request)
    eval_id, run_id = request.path_params["eval_id"], request.path_params["run_id"]

    def write(connection: sqlite3.Connection) -> dict[str, Any]:
        row = records.find_run(connection, eval_id, run_id)
        if row["status"] not in records.UNFINISHED:
            raise ApiError(400, f"The run {run_id} has ended: it is {row['status']}.", code="run_ended")
        connection.execute("UPDATE eval_runs SET status = 'canceled' WHERE id = ?", [run_id])
        return _show_run(request, connection, records.find_run(connection, eval_id, run_id))

    shown = await platform.database.write(write)
    _runners[id(platform)].cancel(run_id)
    return JSONResponse(shown)


async def _delete_run(request: Request) -> Response:
    platform = platform_of(request)
    eval_id, run_id = request.path_params["eval_id"], request.path_params["run_id"]

    def write(connection: sqlite3.Connection) -> None:
        records.find_run(connection, eval_id, run_id)
        connection.execute("DELETE FROM eval_runs WHERE id = ?", [run_id])

    await platform.database.write(write)
    _runners[id(platform)].cancel(run_id)
    return JSONResponse({"object": "eval.run.deleted", "deleted": True, "run_id": run_id})


async def _list_items(request: Request) -> Response:
    eval_id, run_id = request.path_params["eval_id"], request.path_params["run_id"]
    wanted = page(request)
    where = {"run_id": run_id, **_status(request, ("fail", "pass", "error"))}

    def read(connection: sqlite3.Connection) -> dict[str, Any]:
        records.find_run(connection, eval_id, run_id)
        rows, more = select(connection, "eval_items", wanted, where=where)
        return envelope(map(records.show_item, rows), more)

    return JSONResponse(await platform_of(request).database.read(read))


async def _retrieve_item(request: Request) -> Response:
    names = request.path_params

    def read(connection: sqlite3.Connection) -> dict[str, Any]:
        records.find_run(connection, names["eval_id"], names["run_id"])
        return records.show_item(records.find_item(connection, names["run_id"], names["item_id"]))

    return JSONResponse(await platform_of(request).database.read(read))


def _show_run(request: Request, connection: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    return records.show_run(connection, row, str(request.base_url).rstrip("/"))


def _config(asked: EvalRequest) -> dict[str, Any]:
    """The data source's configuration as it is shown: with the schema of a whole row. Raises `ApiError`."""
    given = asked.data_source_config
    if not isinstance(given, CustomConfig):
        schema = {"type": "object", "properties": {"item": {"type": "object"}, "sample": {"type": "object"}}}
        return {"type": given.type, "metadata": given.metadata or {}, "schema": {**schema, "required": ["item"]}}
    try:
        validator_of(given.item_schema)
    except SourceBroken as error:
        param = "data_source_config.item_schema"
        raise ApiError(400, f"Invalid value for '{param}': {error}.", param=param, code="invalid_value") from None
    sample = {"sample": {"type": "object"}} if given.include_sample_schema else {}
    return {
        "type": "custom",
        "schema": {
            "type": "object",
            "properties": {"item": given.item_schema, **sample},
            "required": ["item", *sample],
        },
    }


def _status(request: Request, known: tuple[str, ...]) -> dict[str, str]:
    given = request.query_params.get("status")
    if given is None:
        return {}
    if given not in known:
        message = f"Invalid value for 'status': expected one of {', '.join(known)}."
        raise ApiError(400, message, param="status", code="invalid_value")
    return {"status": given}


_EVAL = "/v1/evals/{eval_id}"
_RUN = _EVAL + "/runs/{run_id}"

ROUTES = [
    Route("/v1/evals", _create, methods=["POST"]),
    Route("/v1/evals", _list, methods=["GET"]),
    Route(_EVAL, _retrieve, methods=["GET"]),
    Route(_EVAL, _update, methods=["POST"]),
    Route(_EVAL, _delete, methods=["DELETE"]),
    Route(_EVAL + "/runs", _create_run, methods=["POST"]),
    Route(_EVAL + "/runs", _list_runs, methods=["GET"]),
    Route(_RUN, _retrieve_run, methods=["GET"]),
    Route(_RUN, _cancel_run, methods=["POST"]),
    Route(_RUN + "/cancel", _cancel_run, methods=["POST"]),  # where newer clients look
    Route(_RUN, _delete_run, methods=["DELETE"]),
    Route(_RUN + "/output_items", _list_items, methods=["GET"]),
    Route(_RUN + "/output_items/{item_id}", _retrieve_item, methods=["GET"]),
]
