"""An id for every request, sent back as `x-request-id`, by which OpenAI's client and a stored completion name it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from distill.server.ids import new_id


def request_id_of(request: Request) -> str:
    """The id that the response of this request carries."""
    return str(request.state.request_id)


class RequestIds:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        name = new_id("req", dash=False)
        scope.setdefault("state", {})["request_id"] = name

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-request-id", name.encode())]}
            await send(message)

        await self.app(scope, receive, send_named)
