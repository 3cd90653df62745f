"""/v1/models: what this server serves: list, retrieve, and delete what was fine-tuned here."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from distill.models.fine_tuned import read_folder
from distill.server.errors import ApiError
from distill.server.jobs.results import drop_model
from distill.server.platform import platform_of


async def _list(request: Request) -> Response:
    return JSONResponse({"object": "list", "data": await platform_of(request).catalog.listing()})


async def _retrieve(request: Request) -> Response:
    return JSONResponse(await platform_of(request).catalog.retrieve(request.path_params["model"]))


async def _delete(request: Request) -> Response:
    platform, name = platform_of(request), request.path_params["model"]
    trained = await asyncio.to_thread(read_folder, platform.data / "models")
    folder = next((folder for folder, model in trained.items() if model.name == name), None)
    if folder is None:
        await platform.catalog.retrieve(name)
        message = f"The model '{name}' was not fine-tuned here, so it cannot be deleted here."
        raise ApiError(403, message, param="model", code="model_not_deletable")
    await asyncio.to_thread(drop_model, folder)
    with contextlib.suppress(ApiError):  # another process made it, and nobody has asked for it here yet
        platform.catalog.remove(name)
    return JSONResponse({"id": name, "object": "model", "deleted": True})


ROUTES = [
    Route("/v1/models", _list),
    Route("/v1/models/{model:path}", _retrieve),
    Route("/v1/models/{model:path}", _delete, methods=["DELETE"]),
]
