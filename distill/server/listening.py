"""How the server speaks HTTP: its limits, and what it says to what is no HTTP.

In: the application. Out: uvicorn's configuration for it. A request line and its headers may have 64 KiB together;
whoever sends more, or something else than HTTP, is answered in OpenAI's shape and cut off.
"""

from __future__ import annotations

import json
from typing import Any

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from distill.server.errors import ApiError

LARGEST_HEAD = 64 * 1024
"""Bytes."""

_KEEP_ALIVE = 75  # seconds; longer than clients keep idle connections, so that none is closed under their hands
_BACKLOG = 1024  # connections that wait to be taken


class _Protocol(H11Protocol):
    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps(ApiError(400, msg, code="invalid_http").body()).encode()
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            for event in (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def configuration(app: Starlette, **other: Any) -> uvicorn.Config:
    """`other`: what else `uvicorn.Config` is told."""
    return uvicorn.Config(
        app,
        http=_Protocol,
        h11_max_incomplete_event_size=LARGEST_HEAD,
        ws="none",
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=1,
        **other,
    )
