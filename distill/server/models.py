"""GET /v1/models: what this server serves."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from distill.server.platform import platform_of


async def _list(request: Request) -> Response:
    return JSONResponse({"object": "list", "data": await platform_of(request).catalog.listing()})


async def _retrieve(request: Request) -> Response:
    return JSONResponse(await platform_of(request).catalog.retrieve(request.path_params["model"]))


ROUTES = [
    Route("/v1/models", _list),
    Route("/v1/models/{model:path}", _retrieve),
]
