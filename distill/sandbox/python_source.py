"""Python graders in the sandbox: which limits they get, and what is read of what they leave.

In: a source, a sample and an item. Out: a `SourceOutcome`. A source runs like an answer of a model does, on a worker of
the same tiers and behind the same self-test, with no network, in an empty folder for temporary files, and with OpenAI's
limits: 2 minutes, 2 GB of memory, 1 GB of disk. It has Python's standard library and rapidfuzz in pure Python; OpenAI's
image has more packages, and importing one that is not there is an error of the source.

Fails closed: without a sandbox nothing is run, and the outcome says so. What runs in there can do as it likes with its
own score, and so can what a source itself chooses to `exec`, such as the answer under grading.
"""

from __future__ import annotations

import asyncio
import functools
import json
import math
import secrets
import shlex
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from distill.openai_graders.tools import SourceOutcome
from distill.sandbox.execution import Execution, Limits, Outcome, SandboxUnavailable
from distill.sandbox.image import Entry, Image, Kind
from distill.sandbox.pool import Pool, SandboxChoice, open_pool
from distill.sandbox.tiers import interpreter

LIMITS = Limits(
    seconds=120.0,
    memory_bytes=2 * 1024**3,
    file_bytes=1024**3,
    kept_bytes=16 * 1024 * 1024,
    output_bytes=64 * 1024,
)
WORKERS = 2
"""How many sources run at a time; a worker of its own for each."""

_FOLDER = "grader"
_PACKAGES = ("rapidfuzz",)
_NO_PYTHON = 113
_FIND = "for python in {candidates}; do \"$python\" -I -S -c 'import json' 2> /dev/null && break; python=; done"
_START = (
    'test -n "$python" || exit {missing}; cd "$TMPDIR" && exec "$python" -I -S -B -X utf8 "$HOME/../{folder}/run.py"'
)


class SourceSandbox:
    """A `SourceRunner`. The workers are started when the first source comes; `close` ends them.

    `opened` makes the pool: by default that of the `choice` of sandbox, with `LIMITS` and `WORKERS`.
    """

    def __init__(
        self,
        choice: SandboxChoice = "auto",
        *,
        limits: Limits = LIMITS,
        opened: Callable[[], Pool] | None = None,
    ) -> None:
        self._limits = limits
        self._opened = opened or (lambda: open_pool(choice, workers=WORKERS, limits=limits))
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="grader-source")
        self._lock = threading.Lock()
        self._pool: Pool | None = None
        self._closed = False
        self._unavailable = ""

    async def __call__(self, source: str, sample: Mapping[str, Any], item: Mapping[str, Any], /) -> SourceOutcome:
        """Call the source's `grade(sample, item)`. Raises nothing for what it does."""
        call = {"source": source, "sample": sample, "item": item, "only_compile": False}
        return await self._later(call)

    async def check(self, source: str) -> str:
        """What is wrong with a source that is no Python, read in the sandbox and not called; empty when nothing is, or
        when there is no sandbox to read it in."""
        call = {"source": source, "sample": {}, "item": {}, "only_compile": True}
        return (await self._later(call)).problem

    async def _later(self, call: Mapping[str, Any]) -> SourceOutcome:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, call)
        except RuntimeError:
            if self._closed:  # while this waited for its turn, or ran
                return SourceOutcome(score=None, unavailable="the sandbox is closed")
            raise

    def _run(self, call: Mapping[str, Any]) -> SourceOutcome:
        try:
            pool = self._ready()
        except SandboxUnavailable as error:
            return SourceOutcome(score=None, unavailable=str(error))
        token = secrets.token_hex(16)
        request = json.dumps({"token": token, "call": call}).encode()
        entries = {**_program(), f"{_FOLDER}/request.json": Entry(Kind.FILE, 0o644, request)}
        return _outcome(pool.run(Image(entries), _command(), limits=self._limits), token)

    def close(self) -> None:
        """End the workers. A source that still runs is ended with its worker."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ready(self) -> Pool:
        with self._lock:
            if self._closed:
                raise SandboxUnavailable("the sandbox is closed")
            if self._unavailable:
                raise SandboxUnavailable(self._unavailable)  # trying again takes seconds, and would find the same
            if self._pool is None:
                try:
                    self._pool = self._opened()
                except SandboxUnavailable as error:
                    self._unavailable = str(error)
                    raise
            return self._pool


def _outcome(execution: Execution, token: str) -> SourceOutcome:
    if execution.outcome is Outcome.BROKEN:
        return SourceOutcome(score=None, unavailable=f"the sandbox broke: {execution.detail}")
    if execution.exit_code == _NO_PYTHON:
        return SourceOutcome(
            score=None,
            unavailable="there is no Python in the sandbox: none of /usr, and this one lies where a case may not read; "
            "install python3 with your package manager",
        )
    if execution.outcome is not Outcome.FINISHED:
        return SourceOutcome(score=None, problem=execution.detail or execution.outcome.value)
    entry = execution.image.entries.get(f"{_FOLDER}/result.json") if execution.image is not None else None
    try:
        result = json.loads(entry.data) if entry is not None and entry.kind is Kind.FILE else None
    except (ValueError, RecursionError):
        result = None
    if not isinstance(result, dict) or result.get("token") != token:
        return SourceOutcome(score=None, problem=f"the source ended its process, with exit code {execution.exit_code}")
    score, problem = result.get("score"), result.get("problem")
    if type(score) is float and math.isfinite(score):
        return SourceOutcome(score=score)
    said = problem if isinstance(problem, str) and problem else "it said nothing"
    return SourceOutcome(score=None, problem=said.encode("utf-8", "backslashreplace").decode())


def _command() -> str:
    candidates = f"{shlex.quote(interpreter())} python3"
    return f"{_FIND.format(candidates=candidates)}\n{_START.format(missing=_NO_PYTHON, folder=_FOLDER)}"


@functools.cache
def _program() -> dict[str, Entry]:
    """What every run has: the program, and the packages that a source may import."""
    program = files("distill.sandbox").joinpath("python_program.py").read_bytes()
    folders = ["home", "repo", _FOLDER, f"{_FOLDER}/packages"]
    entries = {folder: Entry(Kind.DIRECTORY, 0o755) for folder in folders}
    entries[f"{_FOLDER}/run.py"] = Entry(Kind.FILE, 0o644, program)
    for package in _PACKAGES:
        spec = find_spec(package)
        root = Path(spec.origin).parent if spec is not None and spec.origin is not None else None
        for path in sorted(root.rglob("*.py")) if root is not None else ():
            name = f"{_FOLDER}/packages/{package}/{path.relative_to(root).as_posix()}"  # type: ignore[arg-type]
            for parent in list(Path(name).parents)[:-1]:
                entries.setdefault(parent.as_posix(), Entry(Kind.DIRECTORY, 0o755))
            entries[name] = Entry(Kind.FILE, 0o644, path.read_bytes())
    return entries
