"""Reading a request's body: bounded before it is read, and JSON or refused."""

from __future__ import annotations

from typing import Any

import pydantic_core
from starlette.requests import Request

from distill.server.errors import ApiError


async def read_json(request: Request, *, largest: int) -> Any:
    """The body, parsed. Raises `ApiError`: 413 when it has more than `largest` bytes, 400 when it is not JSON."""
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
