"""Reading a request's body: bounded before it is read, and JSON of the expected shape or refused."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from typing import Any, TypeVar

import pydantic_core
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from distill.server.errors import ApiError, from_validation

Shape = TypeVar("Shape", bound=BaseModel)

_HEARD_OUT = 5.0  # seconds
_MOST_HEARD = 64 * 1024 * 1024  # bytes


@contextlib.asynccontextmanager
async def bounded(request: Request, largest: int) -> AsyncIterator[None]:
    """Refuse a body that announces more than `largest` bytes (413), and hear out whoever is refused.

    A connection that is closed while the client still sends takes the answer with it, so that the client would see a
    broken connection and try again.
    """
    try:
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and len(announced) < 20 and int(announced) > largest:
            raise _too_large(largest)
        yield
    except ClientDisconnect:
        raise ApiError(499, "The client closed the connection.") from None
    except ApiError:
        # There is a RuntimeError where all of it has been heard already.
        with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):
            async with asyncio.timeout(_HEARD_OUT):
                heard = 0
                async for part in request.stream():
                    heard += len(part)
                    if heard > _MOST_HEARD:
                        break
        raise


def _too_large(largest: int) -> ApiError:
    return ApiError(413, f"The request body is larger than {largest:,} bytes.", code="request_too_large")


async def read_json(request: Request) -> Any:
    """The body, parsed. Raises `ApiError`: 413 when it is larger than the settings allow, 400 when it is not JSON."""
    largest: int = request.app.state.platform.settings.largest_body
    # A browser asks for permission first before it sends this type to another site's server, and is refused it.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        message = "The request body has to be JSON, sent with the header 'Content-Type: application/json'."
        raise ApiError(400, message, code="invalid_content_type")
    body = bytearray()
    async with bounded(request, largest):
        async for part in request.stream():
            body += part
            if len(body) > largest:
                raise _too_large(largest)
    try:
        return pydantic_core.from_json(bytes(body), allow_inf_nan=False)
    except ValueError as error:
        message = f"We could not parse the JSON body of your request: {error}."
        raise ApiError(400, message, code="invalid_json") from None


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object. Raises `ApiError`."""
    data = await read_json(request)
    if not isinstance(data, dict):
        raise ApiError(400, "The request body has to be a JSON object.", code="invalid_type")
    return data


async def read_shape(request: Request, shape: type[Shape], unsupported: Collection[str] = ()) -> Shape:
    """The body as a pydantic model. Raises `ApiError` (400) that names the parameter.

    `unsupported`: OpenAI's parameters that exist and have no effect here; any other unexpected one is unknown.
    """
    data = await read_object(request)
    try:
        return shape.model_validate(data)
    except ValidationError as error:
        raise from_validation(error, unsupported) from None
