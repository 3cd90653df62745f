"""`distill serve`: the local platform in the foreground, until Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType

from rich.console import Console

from distill.models.registry import LocalModel, without_credentials
from distill.server.process import LocalServer
from distill.server.settings import EngineSettings, JobSettings, RemoteSettings

_LOOK_EVERY = 1.0  # seconds


def serve(
    names: Iterable[str],
    models: Mapping[str, LocalModel] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key: str | None = None,
    engine: EngineSettings | None = None,
    data: Path | None = None,
    memory: int | None = None,
    remote: RemoteSettings | None = None,
    jobs: JobSettings | None = None,
    console: Console | None = None,
) -> int:
    """Serve local models until SIGINT or SIGTERM, then 0; 1 when the server ends by itself.

    Each model is loaded when it is first asked. `data`: the folder for everything that is kept; without it nothing is.
    `memory`: bytes that loaded models may take together. `remote`: the server to ask for all other models.
    `jobs`: how fine-tuning jobs are run.
    Raises `WeightsError`, `LocalServerError`, and `ValueError` for an address that other machines reach without an
    `api_key`.
    """
    console = console or Console(stderr=True)
    names = tuple(names)
    server = LocalServer(
        names,
        models,
        host=host,
        port=port,
        api_key=api_key,
        needs_key=False,
        preload=False,
        engine=engine,
        data=data,
        memory=memory,
        remote=remote,
        jobs=jobs,
    )
    served = [*names, *([f"what {without_credentials(remote.url)} has"] if remote else [])]
    asked_to_stop = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        asked_to_stop.set()

    with server:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            key = "the API key" if api_key else "no API key needed"
            for line in (f"Serving {', '.join(served)} at {server.base_url} ({key}).", "Press Ctrl-C to stop."):
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            while not asked_to_stop.wait(_LOOK_EVERY):
                if server.pid is None:
                    console.print("The server ended unexpectedly.", markup=False)
                    return 1
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return 0
