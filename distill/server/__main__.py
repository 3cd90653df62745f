"""The server process: `python -m distill.server`, started by `LocalServer` and not by hand.

In: `ServerSettings` as one line of JSON on standard input, which then stays open for as long as the parent lives. Out:
on standard output one JSON object a line: `listening` with the port, `loading` with a model's name, then `ready`, or
`failed` with a message. It ends on SIGTERM, or when standard input closes because the parent has ended in whatever way.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import uvicorn

from distill.server.app import create_app, open_platform
from distill.server.catalog import Catalog
from distill.server.database import DataFolderError
from distill.server.engine import LlamaEngine
from distill.server.errors import ApiError
from distill.server.listening import configuration
from distill.server.memory import default_limit, needed
from distill.server.remote_engine import RemoteEngines
from distill.server.settings import ServerSettings

Say = Callable[[dict[str, Any]], None]
_GRACE = 3.0  # seconds for an orderly end once the parent is gone
_LOOK_EVERY = 1.0


class _Server(uvicorn.Server):
    """uvicorn, telling the parent where it listens, and loading the models while it already answers /health."""

    def __init__(self, config: uvicorn.Config, settings: ServerSettings, catalog: Catalog, say: Say) -> None:
        super().__init__(config)
        self._settings = settings
        self._catalog = catalog
        self._say = say
        self._preloading: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            self._say({"event": "listening", "port": sockets[0].getsockname()[1]})
            self._preloading = asyncio.create_task(self._preload())

    async def _preload(self) -> None:
        for name in self._settings.models if self._settings.preload else ():
            self._say({"event": "loading", "model": name})
            try:
                await self._catalog.engine(name)
            except ApiError as error:
                self._say({"event": "failed", "message": error.message})
                self.should_exit = True
                return
        self._say({"event": "ready"})


def main() -> int:
    """Serve until told to stop; 1 when it could not start."""
    say = _reserve_standard_output()
    settings = ServerSettings.model_validate_json(sys.stdin.buffer.readline())
    try:
        listener = _bind(settings.host, settings.port)
    except OSError as error:
        address = f"{settings.host} port {settings.port}"
        say({"event": "failed", "message": f"It cannot listen on {address}: {error.strerror or error}."})
        return 1
    catalog = Catalog(
        settings.models,
        lambda files: LlamaEngine(files, settings.engine),
        memory=settings.memory or default_limit(),
        needed=lambda files: needed(files, settings.engine),
        remote=RemoteEngines(settings.remote) if settings.remote else None,
    )
    try:
        platform = open_platform(settings, catalog)
    except DataFolderError as error:
        say({"event": "failed", "message": str(error)})
        return 1
    server = _Server(configuration(create_app(platform), log_level="warning"), settings, catalog, say)
    _end_with_parent(server, os.getppid())
    with listener:
        server.run(sockets=[listener])
    return 0


def _reserve_standard_output() -> Say:
    """A way to talk to the parent that no library's stray output can get into."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(event: dict[str, Any]) -> None:
        channel.write(json.dumps(event) + "\n")
        channel.flush()

    return say


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except BaseException:
        listener.close()
        raise
    return listener


def _end_with_parent(server: uvicorn.Server, parent: int) -> None:
    """End when standard input closes, or when the parent is another one: some child of it may hold the pipe open."""

    def end() -> None:
        server.should_exit = True
        time.sleep(_GRACE)
        os._exit(1)

    def until_closed() -> None:
        while os.read(0, 4096):
            pass
        end()

    def until_orphaned() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_EVERY)
        end()

    for watch in (until_closed, until_orphaned):
        threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
