"""The local model: answers per second and CPU time per answer, through the server and by the engine alone; memory.

Three kinds of work, each with the 60-token prompts of the evaluation: an untuned model that rambles to a limit of 32
tokens; a tuned one merged into its weights, which costs what the base costs but answers with the 10 tokens of a git
command; and the same with a LoRA adapter of the size that training makes. Machines are shared, so the server and the
engine alone take turns, and CPU time is the figure to compare between days.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai

from benchmarks.figure import Figure
from distill.cases import load_cases
from distill.models.registry import EMBEDDED, LocalModel
from distill.server.engine import LlamaEngine
from distill.server.generation import Finished, Generation
from distill.server.process import LocalServer
from distill.server.settings import EngineSettings, ModelFiles
from distill.server.weights import locate

ROOT = Path(__file__).parents[1]
ADAPTED = f"ft:{EMBEDDED}:local:benchmark:0"
REQUESTS = 96
CONCURRENCY = 32
ROUNDS = 2
ALONE = 12
RAMBLING, TUNED = 32, 10
"""Tokens of an answer."""

_PROJECTIONS = {
    "attn_q": (576, 576),
    "attn_k": (192, 576),
    "attn_v": (192, 576),
    "attn_output": (576, 576),
    "ffn_gate": (1536, 576),
    "ffn_up": (1536, 576),
    "ffn_down": (576, 1536),
}
_LAYERS, _RANK = 30, 16

Ask = Callable[[str], Awaitable[int]]
"""Asks one request; the tokens of its answer."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is measured: which model, and how long its answers are."""

    name: str
    model: str
    tokens: int
    reach: str


WORK = (
    Work("tuned, merged into Q8_0", EMBEDDED, TUNED, "12 /s"),
    Work("tuned, with an adapter", ADAPTED, TUNED, "8 /s"),
    Work("untuned", EMBEDDED, RAMBLING, "5 /s"),
)


@dataclass(slots=True)
class Spent:
    """Answers, and what they took in seconds: by the clock and of CPU."""

    answers: int = 0
    clock: float = 0.0
    cpu: float = 0.0


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        adapter = _write_adapter(Path(folder) / "adapter.gguf")
        started = time.perf_counter()
        models = {ADAPTED: LocalModel(adapter=adapter)}
        with LocalServer([EMBEDDED, ADAPTED], models) as server:
            ready = time.perf_counter() - started
            return [
                *asyncio.run(_measure(server, adapter)),
                Figure(what="server ready after", value=ready, unit="s", how="with the weights in the cache"),
                Figure(
                    what="server's peak memory",
                    value=_peak(server.pid or 0),
                    unit="MB",
                    reach="under 1,000 MB",
                    how="base and adapter loaded, after all answers",
                ),
            ]


async def _measure(server: LocalServer, adapter: Path) -> list[Figure]:
    engine = LlamaEngine(ModelFiles(gguf=locate(EMBEDDED).gguf, adapters=(adapter,)), EngineSettings())
    figures: list[Figure] = []
    try:
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key=server.api_key, timeout=600) as client:
            for work in WORK:
                through, alone = _through(client, work), _alone(engine, work, adapter)
                await asyncio.gather(*(ask(_requests()[0]) for ask in (through, alone)))
                both = Spent(), Spent()
                for _ in range(ROUNDS):
                    await _drive(both[0], through, _requests(), CONCURRENCY, lambda: _cpu(server.pid or 0))
                    await _drive(both[1], alone, _requests(), CONCURRENCY, time.process_time)
                single = Spent()
                await _drive(single, through, _requests()[:ALONE], 1, lambda: _cpu(server.pid or 0))
                figures += _figures(work, *both, single)
            figures.append(await _first_token(client))
    finally:
        await asyncio.to_thread(engine.close)
    return figures


def _figures(work: Work, through: Spent, alone: Spent, single: Spent) -> list[Figure]:
    how = f"{through.answers} requests, {CONCURRENCY} in flight, at most {work.tokens} tokens each"
    cpu, own = through.cpu / through.answers, alone.cpu / alone.answers
    return [
        Figure(
            what=f"{work.name}: answers per second",
            value=through.answers / through.clock,
            unit="/s",
            reach=work.reach,
            how=how,
        ),
        Figure(
            what=f"{work.name}: of the engine alone",
            value=100 * (through.answers / through.clock) / (alone.answers / alone.clock),
            unit="%",
            reach="90 %",
            how=f"answers per second; alone {alone.answers / alone.clock:.1f} /s, taking turns",
        ),
        Figure(what=f"{work.name}: CPU per answer", value=1000 * cpu, unit="ms", how="of the server process"),
        Figure(
            what=f"{work.name}: CPU beyond the engine's",
            value=1000 * (cpu - own),
            unit="ms",
            reach="under 5 ms",
            how=f"an answer; the engine alone takes {1000 * own:.0f} ms",
        ),
        Figure(
            what=f"{work.name}: one at a time",
            value=single.answers / single.clock,
            unit="/s",
            how=f"{single.answers} requests; {1000 * single.cpu / single.answers:.0f} ms of CPU each",
        ),
    ]


async def _first_token(client: openai.AsyncOpenAI) -> Figure:
    times: list[float] = []
    for request in _requests(REQUESTS, REQUESTS + ALONE):  # no slot has seen these
        started = time.perf_counter()
        create: Any = client.chat.completions.create
        async with await create(
            model=EMBEDDED, messages=_messages(request), temperature=0, max_completion_tokens=TUNED, stream=True
        ) as stream:
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    break
        times.append(time.perf_counter() - started)
    return Figure(
        what="first token",
        value=statistics.median(times),
        unit="s",
        reach="under 1 s",
        how=f"median of {len(times)} streams, one at a time; the slowest {max(times):.2f} s",
    )


async def _drive(spent: Spent, ask: Ask, requests: Sequence[str], at_once: int, cpu: Callable[[], float]) -> None:
    gate = asyncio.Semaphore(at_once)

    async def one(request: str) -> int:
        async with gate:
            return await ask(request)

    started, before = time.perf_counter(), cpu()
    await asyncio.gather(*map(one, requests))
    spent.answers += len(requests)
    spent.clock += time.perf_counter() - started
    spent.cpu += cpu() - before


def _through(client: openai.AsyncOpenAI, work: Work) -> Ask:
    async def ask(request: str) -> int:
        create: Any = client.chat.completions.create
        answer = await create(
            model=work.model, messages=_messages(request), temperature=0, max_completion_tokens=work.tokens
        )
        return int(answer.usage.completion_tokens)

    return ask


def _alone(engine: LlamaEngine, work: Work, adapter: Path) -> Ask:
    adapters = (adapter,) if work.model == ADAPTED else ()

    async def ask(request: str) -> int:
        generation = Generation(
            messages=tuple(_messages(request)), temperature=0, longest=work.tokens, adapters=adapters
        )
        ends = [event async for event in engine.stream(generation) if isinstance(event, Finished)]
        return ends[0].completion_tokens

    return ask


def _requests(start: int = 0, end: int = REQUESTS) -> list[str]:
    return [case.request for case in load_cases([ROOT / "evals/cases"])[start:end]]


def _messages(request: str) -> list[dict[str, str]]:
    system = (ROOT / "fixtures/prompts/git.md").read_text(encoding="utf-8").strip()
    return [{"role": "system", "content": system}, {"role": "user", "content": request}]


def _write_adapter(path: Path) -> Path:
    """An adapter that costs what a trained one costs, and changes nothing."""
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 2.0 * _RANK)
    for layer in range(_LAYERS):
        for name, (rows, columns) in _PROJECTIONS.items():
            tensor = f"blk.{layer}.{name}.weight"
            writer.add_tensor(f"{tensor}.lora_a", np.full((_RANK, columns), 0.01, np.float16))
            writer.add_tensor(f"{tensor}.lora_b", np.zeros((rows, _RANK), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> float:
    """Megabytes that a process had resident at most, as the kernel counts them."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6
