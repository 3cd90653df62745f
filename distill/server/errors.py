"""Errors as OpenAI's API reports them, so that its client raises the exception that a program expects.

In: whatever went wrong while a request was handled. Out: `{"error": {"message", "type", "param", "code"}}` and a
status. A traceback never leaves the process, and no message repeats an API key.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from distill.server.generation import ContextLengthExceeded, EngineError, InvalidGeneration, RemoteError

logger = logging.getLogger(__name__)


class ApiError(Exception):
    """A refusal or a failure with everything that the response needs."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code

    @property
    def type(self) -> str:
        return "invalid_request_error" if self.status < 500 else "server_error"

    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        headers = {"www-authenticate": "Bearer"} if self.status == 401 else None
        return JSONResponse(self.body(), status_code=self.status, headers=headers)


def unknown_model(name: str, served: Iterable[str]) -> ApiError:
    return ApiError(
        404,
        f"The model '{name}' does not exist here. This server serves: {', '.join(sorted(served))}.",
        param="model",
        code="model_not_found",
    )


def from_engine(error: EngineError) -> ApiError:
    if isinstance(error, ContextLengthExceeded):
        return ApiError(
            400,
            f"This model's maximum context length is {error.context} tokens here, prompt and answer together. However, "
            f"your messages resulted in {error.prompt_tokens} tokens. Please reduce the length of the messages.",
            param="messages",
            code="context_length_exceeded",
        )
    if isinstance(error, RemoteError):
        return ApiError(error.status, str(error), param=error.param, code=error.code)
    if isinstance(error, InvalidGeneration):
        param = "response_format" if "schema" in str(error).lower() or "grammar" in str(error) else None
        return ApiError(400, f"The engine cannot follow this request: {error}", param=param, code="invalid_value")
    return ApiError(500, f"The engine failed: {error}", code="engine_error")


def from_validation(error: ValidationError, unsupported: Collection[Any]) -> ApiError:
    """The first thing that is wrong with a request. `unsupported`: parameters of OpenAI that have no effect here."""
    problem = error.errors(include_url=False, include_context=False, include_input=True)[0]
    param = _path(problem["loc"])
    kind = problem["type"]
    if kind == "missing":
        return ApiError(400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    if kind == "extra_forbidden":
        if problem["loc"][0] in unsupported or len(problem["loc"]) > 1:
            message = f"Unsupported parameter: '{param}' is not supported by this server."
            return ApiError(400, message, param=param, code="unsupported_parameter")
        return ApiError(400, f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")
    if kind.endswith("_type"):
        expected = problem["msg"].removeprefix("Input should be ")
        message = f"Invalid type for '{param}': expected {expected}, but got {_name(problem['input'])} instead."
        return ApiError(400, message, param=param, code="invalid_type")
    reason = problem["msg"][:1].lower() + problem["msg"][1:]
    return ApiError(400, f"Invalid value for '{param}': {reason}.", param=param, code="invalid_value")


async def on_api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - registered for this class alone
    return error.response()


async def on_http_error(request: Request, error: Exception) -> Response:
    """Starlette's own errors: no such route, no such method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    if error.status_code == 405:
        message = f"Not allowed to {request.method} on {request.url.path}."
        return ApiError(405, message, code="method_not_supported").response()
    if error.status_code == 404:
        return ApiError(404, f"Invalid URL ({request.method} {request.url.path})", code="unknown_url").response()
    return ApiError(error.status_code, str(error.detail)).response()


async def on_unexpected(_request: Request, error: Exception) -> Response:
    logger.error("a request failed unexpectedly", exc_info=error)
    return ApiError(500, "The server had an error while processing your request.").response()


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _name(value: Any) -> str:
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "an array"}
    return "null" if value is None else names.get(type(value), "an object")
