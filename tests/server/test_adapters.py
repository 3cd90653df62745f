"""Several adapters on one real engine: each answer comes from the one that was asked, whatever else is being answered.

The adapters are random and small, so that answers change and stay text.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import openai
import pytest

from distill.models.fine_tuned import FineTuned
from distill.models.registry import EMBEDDED, fine_tuned
from distill.server.engine import LlamaEngine
from distill.server.generation import EngineError, Generation, Piece
from distill.server.process import LocalServer
from distill.server.settings import EngineSettings, ModelFiles, RemoteSettings
from distill.server.weights import locate

pytestmark = pytest.mark.model

SETTINGS = EngineSettings(slots=8, context=256)
VERBS, THINGS = ("Create", "Delete", "Show", "Rename"), ("a branch", "a tag", "main")
REQUESTS = [f"{verb} {thing}." for verb in VERBS for thing in THINGS]
LAYERS, WIDTH, INNER, RANK = 30, 576, 1536, 8


def adapter(path: Path, seed: int, strength: float = 0.006) -> Path:
    """A LoRA adapter for the embedded model, in llama.cpp's format."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 2.0 * RANK)
    for layer in range(LAYERS):
        for name, rows, columns in (("attn_q", WIDTH, WIDTH), ("ffn_down", WIDTH, INNER)):
            first = random.normal(0, columns**-0.5, (RANK, columns)).astype(np.float16)
            second = random.normal(0, strength, (rows, RANK)).astype(np.float16)
            writer.add_tensor(f"blk.{layer}.{name}.weight.lora_a", first)
            writer.add_tensor(f"blk.{layer}.{name}.weight.lora_b", second)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return adapter(folder / "first.gguf", 1), adapter(folder / "second.gguf", 2)


def load(*adapters: Path) -> LlamaEngine:
    return LlamaEngine(ModelFiles(gguf=locate(EMBEDDED).gguf, adapters=adapters), SETTINGS)


Answer = list[tuple[str, float]]
"""Each token, and the logarithm of its probability."""


async def ask(engine: LlamaEngine, request: str, *adapters: Path) -> Answer:
    messages = ({"role": "system", "content": "Answer with one git command."}, {"role": "user", "content": request})
    generation = Generation(messages=messages, temperature=0, longest=12, top_logprobs=0, adapters=adapters)
    answer: Answer = []
    async for event in engine.stream(generation):
        if isinstance(event, Piece):
            answer += [(token.token, token.logprob) for token in event.logprobs]
    return answer


def one_at_a_time(engine: LlamaEngine, *adapters: Path) -> list[Answer]:
    async def story() -> list[Answer]:
        return [await ask(engine, request, *adapters) for request in REQUESTS]

    return asyncio.run(story())


def at_once(engine: LlamaEngine, *choices: tuple[Path, ...]) -> list[list[Answer]]:
    """Every request with every choice of adapters, all asked at the same time; the answers by choice."""

    async def story() -> list[Answer]:
        return await asyncio.gather(*(ask(engine, request, *choice) for request in REQUESTS for choice in choices))

    answers = asyncio.run(story())
    return [answers[index :: len(choices)] for index in range(len(choices))]


def alike(found: list[Answer], wanted: list[Answer]) -> bool:
    """Whether answers agree but for rounding, by which a near tie may go the other way.

    The base alone comes out the same to the last bit, on the processor that this was measured on. Adapters are computed
    in half precision, with a rounding that depends on how many answers are computed together: the logarithm of a
    token's probability moved by 0.0015 on average and 0.09 at most, and one answer in twelve went another way. What
    these weak adapters change is far outside of this: 0.05 on average, and half of the answers.
    """
    parted, moved = 0, []
    for each, other in zip(found, wanted, strict=True):
        for (token, probability), (expected, expected_probability) in zip(each, other, strict=False):
            if token != expected:
                parted += 1
                break
            moved.append(abs(probability - expected_probability))
    return parted <= len(wanted) // 4 and sum(moved) / len(moved) < 0.01


@pytest.fixture(scope="module")
def alone(adapters: tuple[Path, Path]) -> Iterator[list[list[Answer]]]:
    """What the base and each adapter answer with an engine of their own, one request at a time."""
    found = []
    for choice in ((), *((path,) for path in adapters)):
        engine = load(*choice)
        found.append(one_at_a_time(engine, *choice))
        engine.close()
    yield found


@pytest.fixture(scope="module")
def shared(adapters: tuple[Path, Path]) -> Iterator[LlamaEngine]:
    engine = load(*adapters)
    yield engine
    engine.close()
    gc.collect()


def test_the_adapters_change_the_answers(alone: list[list[Answer]]) -> None:
    base, first, second = alone

    assert not alike(first, base) and not alike(second, base) and not alike(first, second)


def test_a_base_with_adapters_loaded_answers_as_without(shared: LlamaEngine, alone: list[list[Answer]]) -> None:
    assert one_at_a_time(shared) == alone[0]


def test_each_answer_comes_from_the_adapter_that_was_asked(
    shared: LlamaEngine, alone: list[list[Answer]], adapters: tuple[Path, Path]
) -> None:
    """All three at once, several times over, so that slots pass from one to another with the same prompt in them."""
    for _ in range(2):
        found = at_once(shared, (), *((path,) for path in adapters))
        assert [alike(answers, wanted) for answers, wanted in zip(found, alone, strict=True)] == [True] * 3


def test_nothing_of_an_adapter_is_left_for_whoever_comes_next(
    shared: LlamaEngine, alone: list[list[Answer]], adapters: tuple[Path, Path]
) -> None:
    """A slot keeps what it computed for a prompt; with another adapter that would be another model's thoughts."""

    async def story() -> list[Answer]:
        answers = []
        for request in REQUESTS:
            await ask(shared, request, adapters[0])
            answers.append(await ask(shared, request))
        return answers

    assert alike(asyncio.run(story()), alone[0])


def test_greedy_answers_do_not_depend_on_what_else_is_answered(shared: LlamaEngine, alone: list[list[Answer]]) -> None:
    (found,) = at_once(shared, ())

    assert alike(found, alone[0])


def test_an_adapter_that_is_not_loaded_is_an_error(shared: LlamaEngine, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"gone\.gguf is not loaded"):
        asyncio.run(ask(shared, "?", tmp_path / "gone.gguf"))


def test_a_model_that_is_trained_while_the_server_runs(tmp_path: Path) -> None:
    """By whichever process; the base is then loaded again with it, and answers as before."""
    name = f"ft:{EMBEDDED}:local:git:a1b2"

    def answer(client: openai.OpenAI, model: str) -> str:
        made = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Create a branch."}], temperature=0, max_tokens=12
        )
        return str(made.choices[0].message.content)

    with (
        LocalServer([EMBEDDED], data=tmp_path, engine=SETTINGS) as server,
        openai.OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0) as client,
    ):
        before = answer(client, EMBEDDED)
        with pytest.raises(openai.NotFoundError):
            answer(client, name)
        folder = tmp_path / "models" / "one"
        FineTuned(name=name, base=EMBEDDED, adapter="adapter.gguf", created=1).save(folder)
        adapter(folder / "adapter.gguf", seed=1, strength=0.03)
        tuned = answer(client, name)

        assert tuned != before
        assert answer(client, EMBEDDED) == before
        assert name in [model.id for model in client.models.list()]

        with (
            LocalServer([], remote=RemoteSettings(url=server.base_url, api_key=server.api_key)) as front,
            openai.OpenAI(base_url=front.base_url, api_key=front.api_key, max_retries=0) as through,
        ):
            assert (answer(through, EMBEDDED), answer(through, name)) == (before, tuned)

    with (
        LocalServer([name], fine_tuned(tmp_path / "models"), data=tmp_path, engine=SETTINGS) as server,
        openai.OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0) as client,
    ):
        assert answer(client, name) == tuned, "named when the server starts"


def test_closing_ends_those_that_wait_for_their_turn(adapters: tuple[Path, Path]) -> None:
    engine = load(*adapters)

    async def story() -> list[object]:
        first = engine.stream(Generation(messages=({"role": "user", "content": "Tell me a story."},), temperature=0))
        assert isinstance(await anext(first), Piece)
        waiting = asyncio.create_task(ask(engine, "?", adapters[0]))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(engine.close)
        late = asyncio.create_task(ask(engine, "?"))
        ends = await asyncio.gather(waiting, late, return_exceptions=True)
        await first.aclose()
        return list(ends)

    ends = asyncio.run(asyncio.wait_for(story(), 60))
    assert [str(end) for end in ends] == ["the engine stopped before the answer was complete"] * 2
    assert all(isinstance(end, EngineError) for end in ends)


def test_two_adapters_in_one_answer(
    shared: LlamaEngine, alone: list[list[Answer]], adapters: tuple[Path, Path]
) -> None:
    found = one_at_a_time(shared, *adapters)

    assert all(not alike(found, wanted) for wanted in alone)
