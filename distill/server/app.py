"""The local platform's HTTP face: which path leads where.

In: a `Catalog` of engines. Out: an ASGI application that speaks OpenAI's protocol: its paths, objects and errors.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from distill.server import access, completions
from distill.server.catalog import Catalog
from distill.server.errors import ApiError, on_api_error, on_http_error, on_unexpected


def create_app(
    catalog: Catalog,
    *,
    api_key: str | None = None,
    largest_body: int = 4 * 1024 * 1024,
    expected: Sequence[str] = (),
) -> Starlette:
    """The application. It is ready when the `expected` models are loaded, and closes the catalog when it ends."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await catalog.close()

    app = Starlette(
        routes=[
            Route(access.PUBLIC, _health),
            Route("/v1/models", _list_models),
            Route("/v1/models/{model:path}", _retrieve_model),
            Route("/v1/chat/completions", completions.create, methods=["POST"]),
        ],
        middleware=[Middleware(access.Gate, api_key=api_key)],
        exception_handlers={ApiError: on_api_error, HTTPException: on_http_error, Exception: on_unexpected},
        lifespan=lifespan,
    )
    app.state.catalog = catalog
    app.state.largest_body = largest_body
    app.state.expected = tuple(expected)
    return app


async def _health(request: Request) -> Response:
    catalog: Catalog = request.app.state.catalog
    ready = all(catalog.is_loaded(name) for name in request.app.state.expected)
    return JSONResponse({"status": "ready" if ready else "loading"}, status_code=200 if ready else 503)


async def _list_models(request: Request) -> Response:
    catalog: Catalog = request.app.state.catalog
    return JSONResponse({"object": "list", "data": [catalog.describe(name) for name in catalog.names]})


async def _retrieve_model(request: Request) -> Response:
    return JSONResponse(request.app.state.catalog.describe(request.path_params["model"]))
