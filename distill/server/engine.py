"""llama.cpp, in this process: one base model and its adapters, many answers at a time.

In: `ModelFiles` and `EngineSettings`. Out: an `Engine`. llama.cpp's own server loop does the continuous batching; every
answer runs on a thread of its own that only waits, and hands its pieces to the event loop.

Every adapter in the files is loaded and none is applied: each `Generation` names those that it wants, and one that
names none is answered by the base exactly as if no adapter were there. llama.cpp cannot load a further adapter later.
Answers with different adapters are never computed in one batch, so they take `Turns`.

Two things that the model's chat template decides, and not this file: a conversation without a system message gets the
template's default one (SmolLM2's introduces itself by name), so a model is best trained and served with the same
explicit system prompt; and text such as `<|im_end|>` inside a message is read as the control token that it spells.

Memory for SmolLM2-135M with 32 slots of 1,024 tokens is about 575 MB. The cache of keys and values is the larger part:
at 8 bits it takes half of what it takes at 16, with no difference in speed that could be measured.

Greedy answers do not depend on what else is being answered beyond rounding. Of 96 answers of 16 tokens of a base model,
asked 32 at a time and one at a time, every probability was the same to the last bit. With an adapter, which is computed
in half precision, sums are taken in another order in a larger batch: logarithms of probabilities moved by 0.0015 on
average and 0.09 at most, by which an answer whose two best tokens are nearly tied can go the other way.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from distill.server.generation import (
    ContextLengthExceeded,
    EngineError,
    Finished,
    Generation,
    InvalidGeneration,
    Piece,
    TokenLogprob,
)
from distill.server.settings import EngineSettings, ModelFiles
from distill.server.turns import Turns

_ONLY_ERRORS = 1
_LEAST_LOGPROB = -9999.0  # what OpenAI reports for a token that cannot be
_LONGEST_SOCKET_PATH = 100  # the system's limit is 108 bytes on Linux and 104 on macOS


class LlamaEngine:
    """An `Engine` over llama.cpp. Loading blocks for a second or so; raises `EngineError` for files it cannot load."""

    def __init__(self, files: ModelFiles, settings: EngineSettings) -> None:
        self.fingerprint = _fingerprint(files, settings)
        self._context = settings.context
        self._adapters = files.adapters
        self._server = _load(files, settings)
        # llama.cpp queues what finds no free slot; queueing here instead lets a request that nobody waits for
        # any more leave the queue without ever starting.
        self._workers = ThreadPoolExecutor(settings.slots, thread_name_prefix="answer")
        self._turns = Turns(settings.slots, self._start)
        self._closing = threading.Event()

    async def stream(self, generation: Generation) -> AsyncGenerator[Piece | Finished, None]:
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Piece | Finished | EngineError] = asyncio.Queue()
        abandoned = threading.Event()

        def emit(event: Piece | Finished | EngineError) -> None:
            with contextlib.suppress(RuntimeError):  # the event loop is gone, and with it whoever asked
                loop.call_soon_threadsafe(events.put_nowait, event)

        def stopped() -> bool:
            return abandoned.is_set() or self._closing.is_set()

        request = _request(generation) | self._lora(generation.adapters)
        alternatives = generation.top_logprobs or 0
        self._turns.add(generation.adapters, lambda: self._generate(request, alternatives, emit, stopped))
        try:
            while True:
                event = await events.get()
                if isinstance(event, EngineError):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            abandoned.set()  # one that still waits for a worker then ends before it starts

    def close(self) -> None:
        self._closing.set()
        for never_started in self._turns.drop():
            never_started()  # which only says so to whoever waits for it
        self._workers.shutdown(wait=True)
        self._server = None  # its destructor ends llama.cpp's loop and frees the model

    def _lora(self, wanted: tuple[Path, ...]) -> dict[str, Any]:
        unknown = set(wanted) - set(self._adapters)
        if unknown:
            raise EngineError(f"the adapter {min(unknown)} is not loaded")
        scales = [{"id": index, "scale": float(path in wanted)} for index, path in enumerate(self._adapters)]
        return {"lora": scales} if scales else {}

    def _start(self, job: Callable[[], None]) -> None:
        def run() -> None:
            job()
            self._turns.done()

        try:
            self._workers.submit(run)
        except RuntimeError:  # closed in the meantime, which the job then says
            job()

    def _generate(
        self,
        request: dict[str, Any],
        alternatives: int,
        emit: Callable[[Piece | Finished | EngineError], None],
        stopped: Callable[[], bool],
    ) -> None:
        """One answer from beginning to end, on a worker's thread."""
        reading = _Reading(self._context, alternatives)

        def receive(chunk: Any) -> bool:
            """Called by llama.cpp for every chunk; true tells it to stop. It must not raise: C++ is the caller."""
            try:
                piece = reading.add(chunk)
            except Exception as error:
                reading.error = reading.error or EngineError(f"unreadable output of the engine: {error!r}")
                return True
            if piece is not None:
                emit(piece)
            return reading.error is not None or stopped()

        try:
            if not stopped():
                self._server.handle_chat_completions(request, receive)
        except ValueError as error:
            reading.error = InvalidGeneration(_without_prefix(str(error)))
        except Exception as error:
            reading.error = EngineError(str(error))
        emit(reading.error or reading.finished or EngineError("the engine stopped before the answer was complete"))


class _Reading:
    """What llama.cpp has said so far about one answer."""

    def __init__(self, context: int, alternatives: int) -> None:
        self.context = context
        self.alternatives = alternatives
        self.finished: Finished | None = None
        self.error: EngineError | None = None
        self._reason: str | None = None

    def add(self, chunk: dict[str, Any]) -> Piece | None:
        if "error" in chunk:
            self.error = _error(chunk["error"], self.context)
            return None
        piece = None
        for choice in chunk.get("choices", ()):
            self._reason = choice.get("finish_reason") or self._reason
            text = choice.get("delta", {}).get("content") or ""
            logprobs = tuple(
                _logprob(entry, self.alternatives) for entry in (choice.get("logprobs") or {}).get("content") or ()
            )
            if text or logprobs:
                piece = Piece(text, logprobs)
        usage = chunk.get("usage")
        if usage:
            self.finished = Finished(
                reason="length" if self._reason == "length" else "stop",
                prompt_tokens=usage["prompt_tokens"],
                completion_tokens=usage["completion_tokens"],
                cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0),
            )
        return piece


def _load(files: ModelFiles, settings: EngineSettings) -> Any:
    for path in (files.gguf, *files.adapters):
        if not path.is_file():
            raise EngineError(f"There is no file {path}.")
    # Threads that wait for work by spinning would take the cores from the sandbox; OpenMP reads this when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(files.gguf)
    parameters.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(path), 0.0) for path in files.adapters]
    parameters.n_parallel = settings.slots
    parameters.n_ctx = settings.context * settings.slots
    parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_Q8_0
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = settings.threads
    parameters.fit_params = False  # sizes are set here, not guessed from free memory
    parameters.cache_ram_mib = 0  # by default up to 8 GiB of finished prompts are kept
    parameters.n_ctx_checkpoints = 0
    parameters.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    parameters.verbosity = _ONLY_ERRORS
    parameters.ui = parameters.endpoint_slots = False
    parameters.n_threads_http = 1
    with _unreachable(parameters):
        try:
            server = xllamacpp.Server(parameters)
        except RuntimeError:
            adapters = "".join(f" with the adapter {path}" for path in files.adapters)
            raise EngineError(
                f"{files.gguf}{adapters} could not be loaded: it is no GGUF file that llama.cpp understands, "
                "or there is not enough memory."
            ) from None
    # It says that it is ready before its loop has begun. Whoever closed it in between would wait forever; a request for
    # nothing, which comes back through the loop, is answered when it has.
    server.handle_completions({"prompt": "", "max_tokens": 1}, lambda _answer: False)
    return server


@contextlib.contextmanager
def _unreachable(parameters: Any) -> Any:
    """Keep others away from the HTTP server that llama.cpp insists on opening, and that nothing here uses.

    It can swap adapters and read prompts. It gets a key that nobody knows and, where paths are short enough, a
    socket in a private folder that is gone once the model is loaded.
    """
    parameters.api_keys = [secrets.token_urlsafe(32)]
    parameters.cors_origins = "http://127.0.0.1"
    with tempfile.TemporaryDirectory(prefix="distill-") as folder:
        socket = str(Path(folder) / "engine.sock")
        if len(os.fsencode(socket)) < _LONGEST_SOCKET_PATH and os.name == "posix":
            parameters.hostnames = [socket]
        yield


def _request(generation: Generation) -> dict[str, Any]:
    request: dict[str, Any] = {
        "messages": list(generation.messages),
        "stream": True,  # an answer that is not streamed could not be abandoned
        "stream_options": {"include_usage": True},
        "stop": list(generation.stop),
        "max_tokens": -1 if generation.longest is None else generation.longest,
        "temperature": generation.temperature,
        "frequency_penalty": generation.frequency_penalty,
        "presence_penalty": generation.presence_penalty,
        # OpenAI's sampling has neither of these, and llama.cpp has both unless told otherwise
        "top_k": 0,
        "min_p": 0.0,
        "top_p": generation.top_p,
    }
    if generation.temperature == 0:
        request |= {"top_k": 1, "samplers": ["penalties", "top_k"]}  # saves sorting the whole vocabulary
    if generation.seed is not None:
        request["seed"] = generation.seed % 0xFFFFFFFF  # 32 bits, the last value of which means "random"
    if generation.top_logprobs is not None:
        # asked for no alternatives, llama.cpp leaves the token's own probability out too
        request |= {"logprobs": True, "top_logprobs": max(1, generation.top_logprobs)}
    if generation.response_format is not None:
        request["response_format"] = generation.response_format
    return request


def _logprob(entry: dict[str, Any], alternatives: int) -> TokenLogprob:
    logprob = entry.get("logprob")
    return TokenLogprob(
        token=entry["token"],
        logprob=_LEAST_LOGPROB if logprob is None else max(logprob, _LEAST_LOGPROB),
        bytes=tuple(entry.get("bytes") or ()),
        top=tuple(_logprob(other, 0) for other in (entry.get("top_logprobs") or ())[:alternatives]),
    )


def _error(error: dict[str, Any], context: int) -> EngineError:
    message = str(error.get("message", "no reason given"))
    if error.get("type") == "exceed_context_size_error":
        return ContextLengthExceeded(error.get("n_prompt_tokens", 0), error.get("n_ctx", context))
    return InvalidGeneration(_without_prefix(message)) if error.get("code") == 400 else EngineError(message)


def _without_prefix(message: str) -> str:
    """llama.cpp's reason without what it was doing at the time, which means nothing to whoever asked."""
    for noise in ("Unable to generate parser for this template. ", "Automatic parser generation failed: "):
        message = message.removeprefix(noise)
    return " ".join(message.split())


def _fingerprint(files: ModelFiles, settings: EngineSettings) -> str:
    parts = [str(settings.context)]
    for path in (files.gguf, *files.adapters):
        with contextlib.suppress(OSError):  # a missing file gets its own message when it is loaded
            state = path.stat()
            parts.append(f"{path.name} {state.st_size} {state.st_mtime_ns}")
    return "fp_" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:10]
