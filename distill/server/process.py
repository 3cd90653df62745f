"""The local platform as a process of its own, started and stopped by whoever needs it.

In: the models to serve. Out: `base_url` and `api_key` for a client, while the `with` block lasts.

- The process gets its settings, the API key among them, over a pipe, and an environment that is built from nothing: no
  other program's keys reach it.
- It takes a free port itself and reports it, so that no other program can take the port in between.
- Its log goes to a file; what llama.cpp has to say never reaches the terminal.
- It ends with its parent, even one that is killed: the pipe closes, and it notices.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import distill
from distill.models.completion import ModelError
from distill.models.registry import LocalModel
from distill.server.settings import EngineSettings, JobSettings, RemoteSettings, ServerSettings, check_access
from distill.server.weights import locate

_WANTED = re.compile(
    r"PATH|HOME|TMPDIR|LANG|LC_.*|TZ|LD_LIBRARY_PATH|PYTHONPATH|SYSTEMROOT|OMP_.*"
    r"|DISTILL_CACHE|XDG_CACHE_HOME|HF_HOME|HF_HUB_CACHE|HF_HUB_OFFLINE|CUDA_VISIBLE_DEVICES"
)
_NETWORK = r"(?i:https?_proxy|all_proxy|no_proxy)|SSL_CERT_FILE|SSL_CERT_DIR"
_GRACE = 5.0  # seconds between asking the process to end and killing it
_TAIL = 12  # lines of the log shown when it dies
_TAIL_BYTES = 8192
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


class LocalServerError(ModelError):
    """The server did not start."""

    def __init__(self, message: str) -> None:
        super().__init__(message, kind="server", fatal=True)


class LocalServer:
    """Serves local models on this machine, as a context manager.

    Entering fetches missing weights (with a progress bar), starts the process and returns when every model is loaded
    (with `preload`; otherwise when it listens). Raises `WeightsError` for files that are not to be had, and
    `LocalServerError` when the process does not come up or the address needs an API key and has none.
    """

    def __init__(
        self,
        names: Iterable[str],
        models: Mapping[str, LocalModel] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        needs_key: bool = True,
        preload: bool = True,
        engine: EngineSettings | None = None,
        data: Path | None = None,
        jobs: JobSettings | None = None,
        memory: int | None = None,
        remote: RemoteSettings | None = None,
        start_within: float = 120.0,
        report: Callable[[str], None] | None = None,
    ) -> None:
        """`needs_key` without `api_key` makes up a random one. `start_within`: seconds. `report` is told each step.

        `data`: the folder for what the server keeps; by default a temporary one that goes with it. `memory`: bytes that
        loaded models may take together. `remote`: the server to ask for models that are not on this machine.
        """
        self._names = tuple(dict.fromkeys(names))
        self._models = dict(models or {})
        self._host, self._port = host, port
        self.api_key = api_key or (secrets.token_urlsafe(32) if needs_key else None)
        self._preload = preload
        self._engine = engine or EngineSettings()
        self._data = data
        self._jobs = jobs or JobSettings()
        self._memory = memory
        self._remote = remote
        self._start_within = start_within
        self._report = report or (lambda _message: None)
        self._process: subprocess.Popen[bytes] | None = None
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._reader: threading.Thread | None = None
        self._log: IO[bytes] | None = None
        self.base_url = ""
        """Where OpenAI's client finds it, once started: http://HOST:PORT/v1."""

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it is not running."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        if self._process is not None:
            raise RuntimeError("this server has been started already")
        try:
            check_access(self._host, self.api_key)
        except ValueError as error:
            raise LocalServerError(f"The local server was not started: {error}.") from None
        settings = ServerSettings(
            models={name: locate(name, self._models) for name in self._names},
            host=self._host,
            port=self._port,
            api_key=self.api_key,
            preload=self._preload,
            engine=self._engine,
            data=self._data,
            jobs=self._jobs,
            memory=self._memory,
            remote=self._remote,
        )
        # A file without a name, so that nothing is left of it however this process ends.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - stop() closes it
        try:
            self._launch(settings)
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the process and wait for it; does nothing when it is not running."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError):
                assert process.stdin is not None  # noqa: S101 - it was started with a pipe
                process.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if self._reader is not None:
                self._reader.join()
            assert process.stdout is not None  # noqa: S101 - it was started with a pipe
            process.stdout.close()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _launch(self, settings: ServerSettings) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "distill.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=child_environment(os.environ, network=settings.remote is not None),
            start_new_session=True,  # Ctrl-C is for the run, which then stops its server in order
        )
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        with contextlib.suppress(BrokenPipeError):  # it has died already, and the log says why
            self._process.stdin.write(settings.model_dump_json().encode() + b"\n")
            self._process.stdin.flush()

    def _read(self, pipe: Any) -> None:
        """Pass on what the process reports, one JSON object a line, until the pipe closes."""
        for line in pipe:
            with contextlib.suppress(ValueError):
                self._events.put(json.loads(line))
        self._events.put(None)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._start_within
        while True:
            try:
                event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise LocalServerError(
                    f"The local server was not ready after {self._start_within:.0f} s.{self._tail()}"
                ) from None
            if event is None:
                assert self._process is not None  # noqa: S101
                raise LocalServerError(
                    f"The local server ended while it started (status {self._process.wait()}).{self._tail()}"
                )
            match event.get("event"):
                case "listening":
                    host = f"[{self._host}]" if ":" in self._host else self._host
                    self.base_url = f"http://{host}:{event['port']}/v1"
                case "loading":
                    self._report(f"loading {event['model']}")
                case "failed":
                    raise LocalServerError(f"The local server did not start. {event['message']}")
                case "ready":
                    self._report("ready")
                    return

    def _tail(self) -> str:
        assert self._log is not None  # noqa: S101 - opened before the process
        start = max(0, os.fstat(self._log.fileno()).st_size - _TAIL_BYTES)
        end = os.pread(self._log.fileno(), _TAIL_BYTES, start)  # leaves the position alone, which the process shares
        lines = end.decode(errors="replace").splitlines()[-_TAIL:]
        shown = [_UNPRINTABLE.sub("?", line) for line in lines if line.strip()]
        return " Its log ends:\n" + "\n".join(f"  {line}" for line in shown) if shown else " Its log is empty."


def child_environment(environ: Mapping[str, str], *, network: bool = False) -> dict[str, str]:
    """What the server process gets: what a Python program needs to run, and the cores left alone by waiting threads.

    `network`: also what it needs to reach other machines from here.
    """
    wanted = re.compile(f"{_WANTED.pattern}|{_NETWORK}" if network else _WANTED.pattern)
    environment = {name: value for name, value in environ.items() if wanted.fullmatch(name)}
    source = str(Path(distill.__file__).resolve().parent.parent)
    path = [source, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    return {"OMP_WAIT_POLICY": "PASSIVE", **environment, "PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}
