"""/v1/files: upload, list, retrieve, download, delete.

In: HTTP requests. Out: OpenAI's file objects. What is uploaded for fine-tuning is read at once, and the object's status
says whether it can be learned from; a job checks it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from distill.server import files
from distill.server.body import bounded
from distill.server.errors import ApiError, from_validation
from distill.server.pages import envelope, page
from distill.server.platform import Platform, platform_of
from distill.server.upload import Form, read_form
from distill.training_files import TrainingFileError, read_training_file

logger = logging.getLogger(__name__)

SCHEMA = files.SCHEMA

_MOST = 10_000  # files in one page
_LONGEST_NAME = 255  # characters
_BATCH_LASTS = 30 * 24 * 3600  # seconds that a file for a batch is kept, unless something else is asked
_LARGEST_CHECKED = 32 * 1024 * 1024  # bytes; a larger file is read when a job needs it
_SWEEP_EVERY = 600.0  # seconds
_FORM = 64 * 1024  # bytes that a form may have beside its file

_sweepers: dict[Platform, asyncio.Task[None]] = {}


def _whole_number(value: Any) -> Any:
    """A number, which in a form is text."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20 else value


def _plain_name(name: str) -> str:
    if name in (".", "..") or any(each in "/\\" or unicodedata.category(each) in ("Cc", "Zl", "Zp") for each in name):
        raise PydanticCustomError("filename", "a file's name has no path and no control characters in it")
    return name


class _Expiry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    anchor: Literal["created_at"]
    seconds: Annotated[int, BeforeValidator(_whole_number), Field(ge=3600, le=2_592_000)]


class _Upload(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    file: Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME), BeforeValidator(_plain_name)]
    """Its name."""
    purpose: Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
    expires_after: _Expiry | None = None


async def start(platform: Platform) -> None:
    _sweepers[platform] = asyncio.create_task(_sweep(platform))


async def stop(platform: Platform) -> None:
    task = _sweepers.pop(platform)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _sweep(platform: Platform) -> None:
    while True:
        try:
            await platform.files.sweep()
        except (ApiError, OSError) as error:
            logger.warning("files could not be cleaned up: %s", error)
        await asyncio.sleep(_SWEEP_EVERY)


async def _create(request: Request) -> Response:
    store = platform_of(request).files
    async with bounded(request, platform_of(request).settings.largest_upload + _FORM), store.receive() as partial:
        upload = _parse(await read_form(request, "file", lambda block: store.append(partial, block)))
        if not partial.size:
            raise ApiError(400, "The file is empty.", param="file", code="empty_file")
        kept = await store.keep(
            partial, upload.file, upload.purpose, expires_after=_lasts(upload), check=_CHECKS.get(upload.purpose)
        )
    return JSONResponse(kept)


def _parse(form: Form) -> _Upload:
    """`expires_after[seconds]` and its like are the fields of an object in a form."""
    data: dict[str, Any] = {} if form.filename is None else {"file": form.filename}
    for name, value in form.fields.items():
        outer, bracket, inner = name.partition("[")
        if bracket and inner.endswith("]") and isinstance(fields := data.setdefault(outer, {}), dict):
            fields[inner[:-1]] = value
        else:
            data[name] = value
    try:
        return _Upload.model_validate(data)
    except ValidationError as error:
        raise from_validation(error, ()) from None


def _lasts(upload: _Upload) -> int | None:
    """Seconds until it is deleted."""
    if upload.expires_after is not None:
        return upload.expires_after.seconds
    return _BATCH_LASTS if upload.purpose == "batch" else None


def _trainable(path: Path) -> str | None:
    """What keeps a file from being trained on; too few examples are for the job to say, as OpenAI has it."""
    if path.stat().st_size > _LARGEST_CHECKED:
        return None
    try:
        read_training_file(path, "dpo" if _holds_preferences(path) else "supervised", fewest=1)
    except TrainingFileError as error:
        return error.message
    return None


def _holds_preferences(path: Path) -> bool:
    with path.open("rb") as content, contextlib.suppress(ValueError, RecursionError):
        first = json.loads(content.readline())
        return isinstance(first, dict) and "preferred_output" in first
    return False


_CHECKS = {"fine-tune": _trainable}


async def _list(request: Request) -> Response:
    asked = page(request, default=_MOST, most=_MOST, order="desc")
    objects, more = await platform_of(request).files.list(asked, request.query_params.get("purpose") or None)
    return JSONResponse(envelope(objects, more))


async def _retrieve(request: Request) -> Response:
    return JSONResponse(await platform_of(request).files.object(request.path_params["file_id"]))


async def _content(request: Request) -> Response:
    store = platform_of(request).files
    known = await store.object(request.path_params["file_id"])
    path = store.path(known["id"])
    if not path.is_file():  # deleted in this moment, or by hand
        raise ApiError(404, f"The content of the file {known['id']} is gone.", param="id", code="not_found")
    return FileResponse(
        path,
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
    Route("/v1/files", _create, methods=["POST"]),
    Route("/v1/files/{file_id}", _retrieve),
    Route("/v1/files/{file_id}", _delete, methods=["DELETE"]),
    Route("/v1/files/{file_id}/content", _content),
]
