"""Who may ask the local platform.

With an API key: whoever has it. Without one: programs on this machine that address it as such. The second rule keeps
out web pages, which a browser on this machine would otherwise let ask under a host name of their own, or send a form.
"""

from __future__ import annotations

import hmac

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from distill.models.registry import is_loopback
from distill.server.errors import ApiError

PUBLIC = "/health"
"""The one path that anybody may ask; it says only whether the models are loaded."""


class Gate:
    """ASGI middleware that answers 401 or 403 itself and passes on everything else."""

    def __init__(self, app: ASGIApp, api_key: str | None) -> None:
        self.app = app
        self.api_key = api_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(Request(scope)) if scope["type"] == "http" and scope["path"] != PUBLIC else None
        await (self.app if refusal is None else refusal.response())(scope, receive, send)

    def _refusal(self, request: Request) -> ApiError | None:
        if self.api_key is None:
            if not _is_here(f"http://{request.headers.get('host', '')}"):
                return ApiError(403, "This server answers to 127.0.0.1 and localhost only.", code="host_not_allowed")
            # A browser lets any page send a form anywhere, and says here whose page it is.
            if not _is_here(request.headers.get("origin", "http://localhost")):
                return ApiError(403, "Web pages of other sites may not ask this server.", code="origin_not_allowed")
            return None
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            message = "You didn't provide an API key. Send it as 'Authorization: Bearer KEY'."
            return ApiError(401, message, code="missing_api_key")
        if not hmac.compare_digest(given.strip().encode(), self.api_key.encode()):
            return ApiError(401, "Incorrect API key provided.", code="invalid_api_key")
        return None


def _is_here(url: str) -> bool:
    try:
        return is_loopback(url)
    except ValueError:  # it is no URL
        return False
