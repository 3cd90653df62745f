"""The platform in front of another server: its own kind, and servers that misbehave."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import openai
import pytest

from distill.server.catalog import Catalog
from distill.server.errors import ApiError
from distill.server.generation import (
    ContextLengthExceeded,
    Engine,
    EngineError,
    Finished,
    Generation,
    Piece,
    TokenLogprob,
)
from distill.server.process import child_environment
from distill.server.remote_engine import RemoteEngines
from distill.server.settings import ModelFiles, RemoteSettings, ServerSettings, remote_engine

from .conftest import Event, Platform, Start, StubEngine, until, words

KEY = "sk-engine-0123456789abcdef"
ASK: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "?"}]


@pytest.fixture
def front(start: Start) -> Callable[..., tuple[Platform, Platform]]:
    """A platform without models of its own, in front of one whose engine plays what it is given."""

    def front(
        answer: Callable[[Generation], Sequence[Event]] | Sequence[Event], *, key: str = KEY
    ) -> tuple[Platform, Platform]:
        behind = start(answer, api_key=KEY)
        remote = RemoteSettings(url=behind.url, api_key=key)
        return start(names=(), remote=remote, api_key="a-key"), behind

    return front


def test_an_answer_comes_through_whole_and_streamed(front: Callable[..., tuple[Platform, Platform]]) -> None:
    platform, _ = front(words("git switch -c topic", reason="length"))
    create: Any = platform.client.chat.completions.create

    whole = create(model="small", messages=ASK)
    chunks = list(create(model="small", messages=ASK, stream=True, stream_options={"include_usage": True}))

    assert whole.choices[0].message.content == "git switch -c topic"
    assert whole.choices[0].finish_reason == "length"
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (11, 4)
    assert whole.usage.prompt_tokens_details.cached_tokens == 3
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert [piece for piece in pieces if piece] == ["git ", "switch ", "-c ", "topic"]
    assert chunks[-1].usage == whole.usage


def test_everything_that_an_answer_depends_on_is_passed_on(front: Callable[..., tuple[Platform, Platform]]) -> None:
    platform, behind = front(words("yes"))
    shape = {"type": "json_schema", "json_schema": {"name": "it", "schema": {"type": "object"}}}
    everything: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_completion_tokens": 7,
        "seed": 3,
        "stop": ["\n"],
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "logprobs": True,
        "top_logprobs": 2,
        "response_format": shape,
        "n": 2,
    }
    platform.client.chat.completions.create(model="small", messages=ASK, **everything)
    platform.client.chat.completions.create(model="small", messages=ASK)

    first, second, plain = sorted(behind.engine.asked, key=lambda each: (each.seed is None, each.seed))
    assert first == Generation(
        messages=tuple(ASK),
        temperature=0.5,
        top_p=0.9,
        longest=7,
        seed=3,
        stop=("\n",),
        frequency_penalty=0.1,
        presence_penalty=0.2,
        top_logprobs=2,
        response_format=shape,
    )
    assert second.seed == 4
    assert plain == Generation(messages=tuple(ASK))


def test_log_probabilities_come_through(front: Callable[..., tuple[Platform, Platform]]) -> None:
    token = TokenLogprob("git", -0.5, (103, 105, 116), (TokenLogprob("hg", -1.5, (104, 103)),))
    platform, _ = front([Piece("git", (token,)), Finished(reason="stop", prompt_tokens=1, completion_tokens=1)])

    answer = platform.client.chat.completions.create(model="small", messages=ASK, logprobs=True, top_logprobs=1)

    logprobs = answer.choices[0].logprobs
    assert logprobs is not None and logprobs.content is not None
    (found,) = logprobs.content
    assert (found.token, found.logprob, found.bytes) == ("git", -0.5, [103, 105, 116])
    assert [(other.token, other.logprob) for other in found.top_logprobs] == [("hg", -1.5)]


def test_what_is_stored_is_stored_here_and_nowhere_else(front: Callable[..., tuple[Platform, Platform]]) -> None:
    platform, behind = front(words("git status"))

    made = platform.client.chat.completions.create(model="small", messages=ASK, store=True, metadata={"task": "git"})

    until(lambda: bool(platform.client.chat.completions.list().data))
    assert platform.client.chat.completions.retrieve(made.id).choices[0].message.content == "git status"
    assert behind.client.chat.completions.list().data == []


def test_its_models_are_listed(front: Callable[..., tuple[Platform, Platform]]) -> None:
    platform, _ = front(words("yes"))

    assert [model.id for model in platform.client.models.list()] == ["small", "other"]
    assert platform.client.models.retrieve("other").owned_by == "remote"
    with pytest.raises(openai.NotFoundError, match="serves: other, small"):
        platform.client.models.retrieve("large")


def test_a_model_on_this_machine_is_answered_on_this_machine(start: Start) -> None:
    behind = start(words("from behind"))
    remote = RemoteSettings(url=behind.url, api_key="a-key")
    platform = start(words("from here"), names=("small",), remote=remote)

    def ask(model: str) -> str | None:
        return platform.client.chat.completions.create(model=model, messages=ASK).choices[0].message.content

    assert (ask("small"), ask("other")) == ("from here", "from behind")
    assert [model.id for model in platform.client.models.list()] == ["small", "other"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "code", "param"),
    [
        (ContextLengthExceeded(2000, 1024), 400, "context_length_exceeded", "messages"),
        (EngineError("out of luck"), 502, "engine_error", None),
    ],
)
def test_an_error_behind_is_an_error_here(
    front: Callable[..., tuple[Platform, Platform]],
    error: EngineError,
    status: int,
    code: str,
    param: str | None,
    stream: bool,
) -> None:
    platform, _ = front([error])
    create: Any = platform.client.chat.completions.create

    with pytest.raises(openai.APIStatusError) as raised:
        create(model="small", messages=ASK, stream=stream)

    assert (raised.value.status_code, raised.value.code, raised.value.param) == (status, code, param)


def test_an_unknown_model_is_not_found(front: Callable[..., tuple[Platform, Platform]]) -> None:
    platform, _ = front(words("yes"))

    with pytest.raises(openai.NotFoundError) as error:
        platform.client.chat.completions.create(model="large", messages=ASK)

    assert (error.value.code, error.value.param) == ("model_not_found", "model")


def test_a_wrong_key_is_the_server_s_matter_and_not_the_client_s(
    front: Callable[..., tuple[Platform, Platform]],
) -> None:
    platform, _ = front(words("yes"), key="sk-wrong-9876543210fedcba")

    for ask in (
        lambda: platform.client.chat.completions.create(model="small", messages=ASK),
        lambda: platform.client.models.list(),
    ):
        with pytest.raises(openai.InternalServerError, match="DISTILL_ENGINE_API_KEY") as error:
            ask()
        assert (error.value.status_code, error.value.code) == (502, "engine_refused_access")
        assert "sk-wrong" not in str(error.value)


def test_an_answer_that_breaks_off_says_so(front: Callable[..., tuple[Platform, Platform]]) -> None:
    platform, _ = front([Piece("git "), EngineError("out of luck")])

    with pytest.raises(openai.APIError) as error:
        list(platform.client.chat.completions.create(model="small", messages=ASK, stream=True))

    assert "out of luck" in str(error.value)


def test_hanging_up_is_passed_on(front: Callable[..., tuple[Platform, Platform]]) -> None:
    go_on = threading.Event()
    platform, behind = front([Piece("git "), go_on, *words("status")])

    stream = platform.client.chat.completions.create(model="small", messages=ASK, stream=True)
    next(iter(stream))
    stream.close()
    until(lambda: behind.engine.abandoned == 1)
    go_on.set()


def test_from_the_command_line(start: Start, tmp_path: Path) -> None:
    behind = start(words("git status"), api_key=KEY)
    program = "from distill.cli import app; app()"
    command = [sys.executable, "-c", program, "serve", "--engine", f"openai:{behind.url}", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--data", str(tmp_path / "data")],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"DISTILL_ENGINE_API_KEY": KEY},
    )
    assert process.stderr is not None
    with process.stderr:
        line = process.stderr.readline()
        assert line.startswith(f"Serving what {behind.url}/v1 has at http://127.0.0.1:"), line
        assert KEY not in line
        with openai.OpenAI(base_url=line.split()[5], api_key="none", max_retries=0) as client:
            answer = client.chat.completions.create(model="small", messages=ASK)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert answer.choices[0].message.content == "git status"
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


class Other:
    """A server that answers each request with the next of some responses, and keeps the requests."""

    def __init__(self, *responses: tuple[int, Any]) -> None:
        self.asked: list[dict[str, Any]] = []
        waiting = list(responses)
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                status, body = waiting.pop(0) if len(waiting) > 1 else waiting[0]
                if isinstance(body, list):
                    content = "".join(
                        f"data: {line if isinstance(line, str) else json.dumps(line)}\n\n" for line in body
                    )
                else:
                    content = body if isinstance(body, str) else json.dumps(body)
                self.send_response(status)
                self.send_header("content-type", "text/event-stream" if isinstance(body, list) else "application/json")
                self.end_headers()
                self.wfile.write(content.encode())

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def other() -> Iterator[Callable[..., Other]]:
    opened: list[Other] = []

    def other(*responses: tuple[int, Any]) -> Other:
        opened.append(Other(*responses))
        return opened[-1]

    yield other
    for each in opened:
        each.close()


ANY = Generation(messages=())


def ask(url: str, generation: Generation = ANY, times: int = 1) -> list[list[Piece | Finished]]:
    async def story() -> list[list[Piece | Finished]]:
        remote = RemoteEngines(RemoteSettings(url=url, api_key=KEY), retries=0)
        try:
            return [[event async for event in remote.engine("m").stream(generation)] for _ in range(times)]
        finally:
            await remote.close()

    return asyncio.run(story())


def failure(url: str) -> ApiError:
    """What a client would be told."""
    from distill.server.errors import from_engine

    with pytest.raises(EngineError) as error:
        ask(url)
    return from_engine(error.value)


def chunk(text: str | None = None, reason: str | None = None, **others: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **others}


def test_a_server_that_does_not_count_is_counted_for(other: Callable[..., Other]) -> None:
    server = other((200, [chunk("git "), chunk("status"), chunk(reason="stop"), "[DONE]"]))

    (events,) = ask(server.url)

    assert events == [Piece("git "), Piece("status"), Finished(reason="stop", prompt_tokens=0, completion_tokens=2)]


@pytest.mark.parametrize(("given", "reason"), [("tool_calls", "stop"), ("content_filter", "content_filter")])
def test_reasons_to_end(other: Callable[..., Other], given: str, reason: str) -> None:
    (events,) = ask(other((200, [chunk("x", given), "[DONE]"])).url)

    assert isinstance(events[-1], Finished) and events[-1].reason == reason


def test_an_answer_without_an_end_is_none(other: Callable[..., Other]) -> None:
    error = failure(other((200, [chunk("git ")])).url)

    assert (error.status, error.code) == (502, "engine_error") and "before its answer was complete" in error.message


def test_an_error_in_the_middle_of_an_answer(other: Callable[..., Other]) -> None:
    error = failure(other((200, [chunk("git "), {"error": {"message": f"no more memory for {KEY}"}}])).url)

    assert error.status == 502 and "no more memory for [key]" in error.message


def test_the_limit_goes_under_the_name_that_the_server_knows(other: Callable[..., Other]) -> None:
    refusal = {
        "error": {
            "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "type": "invalid_request_error",
            "param": "max_tokens",
            "code": "unsupported_parameter",
        }
    }
    server = other((400, refusal), (200, [chunk("x", "stop"), "[DONE]"]))

    ask(server.url, Generation(messages=(), longest=5), times=2)

    limits = [{name: body[name] for name in body if name.startswith("max_")} for body in server.asked]
    assert limits == [{"max_tokens": 5}, {"max_completion_tokens": 5}, {"max_completion_tokens": 5}]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": {"message": "no such schema", "param": "response_format", "code": "bad"}}, (400, "bad")),
        (400, {"object": "error", "message": "vLLM says no", "code": 400}, (400, None)),
        (422, {"detail": [{"loc": ["body", "seed"], "msg": "bad seed"}]}, (400, None)),
        (404, {"error": {"message": "model 'm' not found"}}, (404, "model_not_found")),
        (429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, (429, "rate_limit_exceeded")),
        (500, "<html>oops</html>", (502, "engine_error")),
        (503, {"error": {"message": "loading"}}, (502, "engine_error")),
        (403, {"error": {"message": f"{KEY} is not welcome"}}, (502, "engine_refused_access")),
    ],
)
def test_other_servers_errors_in_openai_s_shape(
    other: Callable[..., Other], status: int, body: Any, expected: tuple[int, str | None]
) -> None:
    error = failure(other((status, body)).url)

    assert (error.status, error.code) == expected
    assert error.message and KEY not in error.message
    assert isinstance(error.param, str | None)


def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = failure(f"http://127.0.0.1:{port}/v1")

    assert (error.status, error.code) == (502, "engine_unreachable")
    assert f"http://127.0.0.1:{port}/v1 cannot be reached" in error.message


def test_a_catalog_without_the_other_server_s_list_still_asks_it(other: Callable[..., Other]) -> None:
    server = other((200, [chunk("x", "stop"), "[DONE]"]))
    catalog = Catalog({}, lambda _files: StubEngine(lambda _: []), remote=RemoteEngines(RemoteSettings(url=server.url)))

    async def story() -> Engine:
        engine = await catalog.engine("anything")
        assert await anext(engine.stream(ANY)) == Piece("x")
        await catalog.close()
        return engine

    assert asyncio.run(story()).fingerprint.startswith("fp_")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("openai:http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
        ("openai:http://127.0.0.1:11434/", "http://127.0.0.1:11434/v1"),
        ("openai:https://host/path/v1/", "https://host/path/v1"),
    ],
)
def test_reading_the_option(text: str, url: str) -> None:
    assert remote_engine(text, None) == RemoteSettings(url=url)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http://127.0.0.1:11434", "expected openai:URL"),
        ("openai:", "expected openai:URL"),
        ("openai:127.0.0.1:11434", "has to be a URL such as"),
        ("openai:https://me:secret@host/v1", "must hold no password"),
    ],
)
def test_an_option_that_names_no_server(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        remote_engine(text, None)
    assert "me:secret" not in str(error.value)


def test_the_key_is_not_shown() -> None:
    settings = ServerSettings(models={}, remote=RemoteSettings(url="http://host/v1", api_key=KEY))

    assert KEY not in repr(settings)
    assert ServerSettings.model_validate_json(settings.model_dump_json()) == settings


def test_without_a_model_and_without_another_server_there_is_nothing_to_serve() -> None:
    with pytest.raises(ValueError, match="no model to serve"):
        ServerSettings(models={})
    assert ServerSettings(models={"small": ModelFiles(gguf=Path("small.gguf"))}).remote is None


def test_the_server_process_gets_the_way_to_other_machines_only_when_it_needs_one() -> None:
    environ = {"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "localhost", "OPENAI_API_KEY": "sk", "PATH": "/bin"}

    assert "HTTPS_PROXY" not in child_environment(environ)
    networked = child_environment(environ, network=True)
    assert networked["HTTPS_PROXY"] and networked["no_proxy"] and "OPENAI_API_KEY" not in networked
