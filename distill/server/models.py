"""GET /v1/models: what this server serves."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from distill.server.platform import platform_of


async def _list(request: Request) -> Response:
    catalog = platform_of(request).catalog
    return JSONResponse({"object": "list", "data": [catalog.describe(name) for name in catalog.names]})


async def _retrieve(request: Request) -> Response:
    return JSONResponse(platform_of(request).catalog.describe(request.path_params["model"]))


ROUTES = [
    Route("/v1/models", _list),
    Route("/v1/models/{model:path}", _retrieve),
]
