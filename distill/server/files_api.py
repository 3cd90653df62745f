"""/v1/files: upload, list, retrieve, download, delete."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from distill.server import files
from distill.server.pages import envelope, page
from distill.server.platform import platform_of

_MOST = 10_000  # files in one page

SCHEMA = files.SCHEMA


async def _list(request: Request) -> Response:
    asked = page(request, default=_MOST, most=_MOST, order="desc")
    objects, more = await platform_of(request).files.list(asked, request.query_params.get("purpose") or None)
    return JSONResponse(envelope(objects, more))


async def _retrieve(request: Request) -> Response:
    return JSONResponse(await platform_of(request).files.object(request.path_params["file_id"]))


async def _content(request: Request) -> Response:
    store = platform_of(request).files
    known = await store.object(request.path_params["file_id"])
    return FileResponse(
        store.path(known["id"]),
        media_type="application/octet-stream",
        filename=known["filename"],
        headers={"x-content-type-options": "nosniff"},
    )


async def _delete(request: Request) -> Response:
    file_id = request.path_params["file_id"]
    await platform_of(request).files.delete(file_id)
    return JSONResponse({"id": file_id, "object": "file", "deleted": True})


ROUTES = [
    Route("/v1/files", _list),
    Route("/v1/files/{file_id}", _retrieve),
    Route("/v1/files/{file_id}", _delete, methods=["DELETE"]),
    Route("/v1/files/{file_id}/content", _content),
]
