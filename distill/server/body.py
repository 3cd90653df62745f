"""Reading a request's body: bounded before it is read, and JSON of the expected shape or refused."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

import pydantic_core
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from distill.server.errors import ApiError, from_validation

Shape = TypeVar("Shape", bound=BaseModel)


async def read_json(request: Request) -> Any:
    """The body, parsed. Raises `ApiError`: 413 when it is larger than the settings allow, 400 when it is not JSON."""
    largest: int = request.app.state.platform.settings.largest_body
    # A browser asks for permission first before it sends this type to another site's server, and is refused it.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        message = "The request body has to be JSON, sent with the header 'Content-Type: application/json'."
        raise ApiError(400, message, code="invalid_content_type")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > largest:
            raise ApiError(413, f"The request body is larger than {largest:,} bytes.", code="request_too_large")
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
