"""Is the model that will be served the model that was trained?

In: the base as a GGUF file, with the adapter or without. Out: the tokens that llama.cpp makes of a
conversation, and those that it answers with. It is asked through its own chat interface, as the server asks it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from distill.trainer.conversation import served_messages
from distill.trainer.events import Failure
from distill.training_files import Message

_LONGEST_ANSWER = 48
"""Tokens."""
_SLOTS = 4


@dataclass(frozen=True, slots=True)
class Answer:
    tokens: list[int]
    """Without the one that ended it."""
    ended: bool
    """Whether the model ended its turn, rather than being cut off."""


class Served:
    def __init__(self, engine: Any, client: httpx2.Client) -> None:
        self._engine = engine
        self._client = client

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """The tokens that llama.cpp makes of a conversation that it is to answer."""
        text = self._post("/apply-template", {"messages": served_messages(messages)})["prompt"]
        return list(self._post("/tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"])

    def answer(self, messages: Sequence[Message]) -> Answer:
        """The most probable answer, token by token."""
        received: list[dict[str, Any]] = []
        request = {
            "messages": served_messages(messages),
            "max_tokens": _LONGEST_ANSWER,
            "temperature": 0,
            "top_k": 1,
            "samplers": ["top_k"],
            "logprobs": True,
            "top_logprobs": 1,
        }
        self._engine.handle_chat_completions(request, received.append)
        choice = received[-1]["choices"][0]
        content = (choice.get("logprobs") or {}).get("content") or []
        return Answer([entry["id"] for entry in content], choice["finish_reason"] == "stop")

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = self._client.post(path, json=body)
        response.raise_for_status()
        return dict(response.json())


@contextmanager
def serve(base: Path, adapter: Path | None, *, longest: int, threads: int) -> Iterator[Served]:
    """`longest`: tokens that a prompt may have. Raises `Failure` when llama.cpp cannot load the files."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(base)
    if adapter is not None:
        parameters.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 1.0)]
    parameters.n_parallel = _SLOTS
    parameters.n_ctx = (longest + _LONGEST_ANSWER) * _SLOTS
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.fit_params = False
    parameters.cache_ram_mib = 0
    parameters.verbosity = 1
    parameters.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    key = secrets.token_urlsafe(32)
    parameters.api_keys = [key]
    parameters.hostnames = ["127.0.0.1"]
    try:
        engine = xllamacpp.Server(parameters)
    except RuntimeError as error:
        raise Failure("export_mismatch", f"llama.cpp cannot load what was trained: {error}") from error
    with httpx2.Client(
        base_url=engine.listening_address, headers={"authorization": f"Bearer {key}"}, trust_env=False, timeout=60
    ) as client:
        yield Served(engine, client)
