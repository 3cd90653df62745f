"""The local model: answers per second through the server and without it, and the server's memory."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from benchmarks.figure import Figure
from distill.cases import load_cases
from distill.models.ask import Asker, Question
from distill.models.completion import ModelError, Prompt
from distill.models.registry import EMBEDDED, bind, resolve
from distill.server.engine import LlamaEngine
from distill.server.generation import Generation
from distill.server.process import LocalServer
from distill.server.settings import EngineSettings
from distill.server.weights import locate

ROOT = Path(__file__).parents[1]
ANSWERS = 96
CONCURRENCY = 32
TOKENS = 32


def measure() -> list[Figure]:
    prompts = _prompts()
    how = f"{len(prompts)} requests, {CONCURRENCY} in flight, at most {TOKENS} tokens each, untuned"
    started = time.perf_counter()
    with LocalServer([EMBEDDED]) as server:
        ready = time.perf_counter() - started
        through = asyncio.run(_through(server, prompts))
        memory = _resident(server.pid or 0)
    alone = asyncio.run(_alone(prompts))
    return [
        Figure(what="answers per second through the server", value=through, unit="/s", reach="5 /s", how=how),
        Figure(what="answers per second, the engine alone", value=alone, unit="/s", how="the same, in process"),
        Figure(what="through the server, of the engine alone", value=100 * through / alone, unit="%", how="same run"),
        Figure(what="server ready after", value=ready, unit="s", how="with the weights in the cache"),
        Figure(what="server's resident memory", value=memory, unit="MB", reach="under 700 MB", how="after the answers"),
    ]


def _prompts() -> list[Prompt]:
    system = (ROOT / "fixtures/prompts/git.md").read_text(encoding="utf-8").strip()
    cases = load_cases([ROOT / "evals/cases"])[:ANSWERS]
    parameters = {"temperature": 0, "max_completion_tokens": TOKENS}
    return [
        Prompt(
            messages=({"role": "system", "content": system}, {"role": "user", "content": case.request}),
            parameters=parameters,
        )
        for case in cases
    ]


async def _through(server: LocalServer, prompts: list[Prompt]) -> float:
    target = bind(resolve(EMBEDDED), server.base_url, server.api_key)
    questions = [Question(role="student", target=target, prompt=prompt) for prompt in prompts]
    async with Asker(None, concurrency=CONCURRENCY) as asker:
        started = time.perf_counter()
        async for _, answer in asker.ask_all(questions):
            if isinstance(answer, ModelError) and answer.kind != "empty":
                raise answer
        return len(prompts) / (time.perf_counter() - started)


async def _alone(prompts: list[Prompt]) -> float:
    engine = LlamaEngine(locate(EMBEDDED), EngineSettings())
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one(prompt: Prompt) -> None:
        async with gate:
            messages = tuple({"role": each["role"], "content": each["content"]} for each in prompt.messages)
            async for _ in engine.stream(Generation(messages=messages, longest=TOKENS, temperature=0.0)):
                pass

    try:
        started = time.perf_counter()
        await asyncio.gather(*(one(prompt) for prompt in prompts))
        return len(prompts) / (time.perf_counter() - started)
    finally:
        engine.close()


def _resident(pid: int) -> float:
    """Megabytes of resident memory, as the kernel counts them."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6
