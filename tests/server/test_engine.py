"""The real model, through the real server. Its weights are fetched once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from distill.models.registry import EMBEDDED
from distill.server.engine import LlamaEngine
from distill.server.generation import EngineError, Finished, Generation, Piece
from distill.server.process import LocalServer
from distill.server.settings import EngineSettings, ModelFiles
from distill.server.weights import locate

pytestmark = pytest.mark.model
in_proc = pytest.mark.skipif(not Path("/proc/self/net").exists(), reason="this system shows no process's sockets")

SYSTEM = {"role": "system", "content": "Answer with one git command and nothing else."}


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer([EMBEDDED]) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: LocalServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, request: str, **parameters: Any) -> Any:
    messages: Any = [SYSTEM, {"role": "user", "content": request}]
    parameters = {"temperature": 0, "max_completion_tokens": 24} | parameters
    return client.chat.completions.create(model=EMBEDDED, messages=messages, **parameters)


def text(answer: Any) -> str:
    return str(answer.choices[0].message.content)


def test_it_answers(client: openai.OpenAI) -> None:
    answer = ask(client, "Show the status of the repository.")

    assert "git" in text(answer)
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert 0 < answer.usage.completion_tokens <= 24
    assert answer.usage.prompt_tokens > 20
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_same_question_gets_the_same_greedy_answer(client: openai.OpenAI) -> None:
    answers = {text(ask(client, "Create a branch called 'docs'.")) for _ in range(3)}

    assert len(answers) == 1


def test_streamed_and_whole_are_the_same_text(client: openai.OpenAI) -> None:
    chunks = list(ask(client, "Say something in Japanese, with an emoji.", stream=True))
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    assert streamed == text(ask(client, "Say something in Japanese, with an emoji."))
    assert len(chunks) > 5, "it came in one piece"


def test_sixteen_at_once_answer_what_each_was_asked(client: openai.OpenAI) -> None:
    names = [f"topic-{number}" for number in range(16)]
    schema = {"type": "object", "properties": {"x": {"enum": ["?"]}}, "required": ["x"], "additionalProperties": False}

    def about(name: str) -> Any:
        own = schema | {"properties": {"x": {"enum": [name]}}}
        shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": own}}
        return json.loads(text(ask(client, f"Reply about {name}.", response_format=shape, max_completion_tokens=60)))

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(about, names))

    assert answers == [{"x": name} for name in names]


def test_sampling_repeats_with_its_seed_and_differs_between_choices(client: openai.OpenAI) -> None:
    def sample(seed: int) -> list[str]:
        answer = ask(client, "Tell me a story.", temperature=1, seed=seed, n=4)
        return [choice.message.content for choice in answer.choices]

    first = sample(1)

    assert len(set(first)) > 1
    assert sample(1) == first
    assert sample(100) != first


def test_stop_sequences_end_the_answer_and_are_left_out(client: openai.OpenAI) -> None:
    whole = text(ask(client, "Show the status of the repository."))
    word = whole.split()[1]

    answer = ask(client, "Show the status of the repository.", stop=word)

    assert text(answer) == whole[: whole.index(word)]
    assert answer.choices[0].finish_reason == "stop"


def test_an_answer_is_cut_where_it_was_said(client: openai.OpenAI) -> None:
    answer = ask(client, "Count to one thousand.", max_completion_tokens=3)

    assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (3, "length")


def test_log_probabilities_cover_the_answer(client: openai.OpenAI) -> None:
    answer = ask(client, "Show the status of the repository.", logprobs=True, top_logprobs=3)
    tokens = answer.choices[0].logprobs.content

    assert "".join(token.token for token in tokens).startswith(text(answer))
    for token in tokens:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3
        assert token.logprob == max(other.logprob for other in token.top_logprobs), "greedy takes the best"


def test_log_probabilities_without_alternatives(client: openai.OpenAI) -> None:
    answer = ask(client, "Show the status of the repository.", logprobs=True)
    tokens = answer.choices[0].logprobs.content

    assert len(tokens) >= answer.usage.completion_tokens - 1
    assert all(token.logprob <= 0 and token.top_logprobs == [] for token in tokens)


def test_any_json(client: openai.OpenAI) -> None:
    free = ask(client, "Write a JSON object with a name.")
    shaped = ask(client, "Write a JSON object with a name.", response_format={"type": "json_object"})

    assert not text(free).lstrip().startswith("{"), "this test needs a request that is not answered in JSON by itself"
    assert text(shaped).lstrip().startswith("{")


@pytest.mark.parametrize("schema", [{"type": "objectx"}, {"$ref": "#/nowhere"}, {"type": "string", "pattern": "^(a$"}])
def test_a_schema_that_cannot_be_followed(client: openai.OpenAI, schema: dict[str, Any]) -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}

    with pytest.raises(openai.BadRequestError) as error:
        ask(client, "Hello.", response_format=shape)

    assert error.value.param == "response_format"
    assert ask(client, "Hello.").choices, "the server has survived it"


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_too_long(client: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError, match="maximum context length is 1024 tokens") as error:
        ask(client, "hello " * 2000, stream=stream)

    assert error.value.code == "context_length_exceeded"


@in_proc
def test_the_server_stays_small(server: LocalServer, client: openai.OpenAI) -> None:
    with ThreadPoolExecutor(32) as pool:
        questions = [f"Create a branch called '{number}'." for number in range(32)]
        list(pool.map(lambda question: ask(client, question, max_completion_tokens=8), questions))

    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    (peak,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    assert peak < 700_000, "kilobytes"


@in_proc
def test_the_engine_s_own_http_server_is_out_of_reach(server: LocalServer) -> None:
    """llama.cpp opens one that swaps adapters; nothing but the platform listens on the network."""
    tables = [Path(f"/proc/{server.pid}/net/{name}") for name in ("tcp", "tcp6")]
    owned = {
        link.readlink().name.removeprefix("socket:[").rstrip("]")
        for link in Path(f"/proc/{server.pid}/fd").iterdir()
        if str(link.readlink()).startswith("socket:")
    }
    listening = [
        line.split()[1]
        for table in tables
        for line in table.read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[9] in owned
    ]
    port = int(server.base_url.split(":")[2].removesuffix("/v1"))

    assert [int(address.rpartition(":")[2], 16) for address in listening] == [port]


def small_engine() -> LlamaEngine:
    return LlamaEngine(locate(EMBEDDED), EngineSettings(slots=1, context=256, threads=1))


def question(longest: int | None = None, content: str = "Tell me a story.") -> Generation:
    return Generation(messages=({"role": "user", "content": content},), temperature=0, longest=longest)


class Counting:
    """llama.cpp's server, and how many chunks of each answer it was let generate."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.chunks: list[int] = []

    def handle_chat_completions(self, request: Any, receive: Callable[[Any], bool]) -> None:
        index = len(self.chunks)
        self.chunks.append(0)

        def counted(chunk: Any) -> bool:
            self.chunks[index] += 1
            return receive(chunk)

        self._server.handle_chat_completions(request, counted)


def test_an_abandoned_answer_frees_its_slot_and_a_waiting_one_never_starts() -> None:
    async def give_up_twice_and_ask_again(engine: LlamaEngine) -> Finished:
        async for _ in (story := engine.stream(question())):
            break
        waiting = asyncio.ensure_future(anext(engine.stream(question())))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await story.aclose()
        events = [event async for event in engine.stream(question(4))]
        assert isinstance(events[-1], Finished)
        return events[-1]

    engine = small_engine()
    counting = engine._server = Counting(engine._server)
    try:
        assert asyncio.run(give_up_twice_and_ask_again(engine)).completion_tokens == 4
    finally:
        engine.close()
    abandoned, whole = counting.chunks
    assert abandoned < 50, "the story is longer than that"
    assert whole >= 4


def test_closing_cuts_what_is_being_answered() -> None:
    async def close_in_the_middle(engine: LlamaEngine) -> None:
        story = engine.stream(question())
        assert isinstance(await anext(story), Piece)
        await asyncio.to_thread(engine.close)
        async for _ in story:
            pass

    with pytest.raises(EngineError, match="stopped before the answer was complete"):
        asyncio.run(close_in_the_middle(small_engine()))


def test_an_answer_that_fills_the_context_is_cut_there() -> None:
    async def fill(engine: LlamaEngine) -> Finished:
        events = [event async for event in engine.stream(question(content="hello " * 200))]
        assert isinstance(events[-1], Finished)
        return events[-1]

    engine = small_engine()
    try:
        finished = asyncio.run(fill(engine))
    finally:
        engine.close()
    assert finished.reason == "length"
    assert 200 < finished.prompt_tokens < 256 <= finished.prompt_tokens + finished.completion_tokens <= 257


def test_it_can_be_closed_as_soon_as_it_is_loaded() -> None:
    for _ in range(5):
        small_engine().close()


def test_a_missing_adapter_is_named(tmp_path: Path) -> None:
    files = ModelFiles(gguf=locate(EMBEDDED).gguf, adapters=(tmp_path / "gone.gguf",))

    with pytest.raises(EngineError, match=r"no file .*gone\.gguf"):
        LlamaEngine(files, EngineSettings())
