"""A platform in a process of its own, with an engine that answers at once: `python instant_server.py DATA`.

It prints its port when it listens, and lives until it is killed.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import uvicorn

from distill.server.app import create_app, open_platform
from distill.server.catalog import Catalog
from distill.server.generation import Finished, Generation, Piece
from distill.server.listening import configuration
from distill.server.settings import ModelFiles, ServerSettings


class Instant:
    """Says again what it was asked last."""

    fingerprint = "fp_instant"

    async def stream(self, generation: Generation) -> AsyncGenerator[Piece | Finished, None]:
        yield Piece(generation.messages[-1]["content"])
        yield Finished(reason="stop", prompt_tokens=1, completion_tokens=1)

    def close(self) -> None:
        pass


def main(data: str) -> None:
    models = {"small": ModelFiles(gguf=Path("small.gguf"))}
    settings = ServerSettings(models=models, api_key="a-key", preload=False, data=Path(data))
    platform = open_platform(settings, Catalog(models, lambda _files: Instant()))
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print(listener.getsockname()[1], flush=True)
        uvicorn.Server(configuration(create_app(platform), log_level="critical")).run(sockets=[listener])


main(sys.argv[1])
