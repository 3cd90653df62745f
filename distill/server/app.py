"""The local platform's HTTP face: which path leads where.

In: a `Platform`. Out: an ASGI application that speaks OpenAI's protocol: its paths, objects and errors.

Each resource is a module of its own, listed in `RESOURCES`. It has `ROUTES`; `SCHEMA` if it keeps something, which is
SQL that creates its tables where they do not exist yet; and, if it works by itself, the coroutines `start(platform)`
and `stop(platform)`, which are called when the server starts and before it ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from types import ModuleType

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from distill.server import access, batches, completions, evals, files_api, graders_api, jobs, models, stored_completions
from distill.server.catalog import Catalog
from distill.server.errors import ApiError, on_api_error, on_http_error, on_unexpected
from distill.server.platform import Platform, platform_of
from distill.server.request_ids import RequestIds
from distill.server.settings import ServerSettings

RESOURCES: Sequence[ModuleType] = (
    models,
    completions,
    stored_completions,
    files_api,
    graders_api,
    evals,
    batches,
    jobs,
)
"""Started in this order and stopped in the other."""


def open_platform(settings: ServerSettings, catalog: Catalog) -> Platform:
    """A platform with the tables of every resource. Raises `DataFolderError`."""
    schema = [resource.SCHEMA for resource in RESOURCES if hasattr(resource, "SCHEMA")]
    return Platform.open(settings, catalog, schema)


def create_app(platform: Platform) -> Starlette:
    """The application. When it ends it stops the resources, and closes the catalog and the platform."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(platform.close)
            stack.push_async_callback(platform.catalog.close)
            for resource in RESOURCES:
                if hasattr(resource, "start"):
                    await resource.start(platform)
                if hasattr(resource, "stop"):
                    stack.push_async_callback(resource.stop, platform)
            yield

    routes: list[BaseRoute] = [Route(access.PUBLIC, _health)]
    for resource in RESOURCES:
        routes += resource.ROUTES
    app = Starlette(
        routes=routes,
        middleware=[Middleware(RequestIds), Middleware(access.Gate, api_key=platform.settings.api_key)],
        exception_handlers={ApiError: on_api_error, HTTPException: on_http_error, Exception: on_unexpected},
        lifespan=lifespan,
    )
    app.state.platform = platform
    return app


async def _health(request: Request) -> Response:
    platform = platform_of(request)
    expected = platform.settings.models if platform.settings.preload else ()
    ready = all(platform.catalog.is_loaded(name) for name in expected)
    return JSONResponse({"status": "ready" if ready else "loading"}, status_code=200 if ready else 503)
