"""The model as llama.cpp serves it.

In: the base as a GGUF file, with the adapter or without. Out: the tokens that llama.cpp makes of a conversation, by its
own chat template and tokenizer, and those that it answers with.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from distill.trainer.conversation import served_messages
from distill.trainer.events import Failure
from distill.training_files import Message

_LONGEST_ANSWER = 48
"""Tokens."""
_SLOTS = 4


class Served:
    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """The tokens that llama.cpp makes of a conversation that it is to answer."""
        text = self._post("/apply-template", {"messages": served_messages(messages)})["prompt"]
        return list(self._post("/tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"])

    def answer(self, messages: Sequence[Message]) -> list[int]:
        """The tokens of the most probable answer, with the one that ended it unless it was cut off."""
        request = {
            "prompt": self.prompt(messages),
            "n_predict": _LONGEST_ANSWER,
            "temperature": 0,
            "top_k": 1,
            "samplers": ["top_k"],
            "return_tokens": True,  # its chat interface leaves out tokens that are half a character
        }
        return list(self._post("/completion", request)["tokens"])

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
        yield Served(client)
        del engine  # which ends it, and frees its memory
