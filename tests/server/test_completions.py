"""Answers through the real client: whole and streamed, several at once, failing, and given up."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import openai
import pytest

from distill.server.generation import (
    ContextLengthExceeded,
    EngineError,
    Finished,
    Generation,
    InvalidGeneration,
    Piece,
    TokenLogprob,
)

from .conftest import Event, Platform, Start, until, words

MESSAGES: Any = [{"role": "user", "content": "Switch to main."}]


def ask(platform: Platform, **parameters: Any) -> Any:
    return platform.client.chat.completions.create(model="small", messages=MESSAGES, **parameters)


def test_a_whole_answer(start: Start) -> None:
    platform = start(words("git switch main"))

    answer = ask(platform, temperature=0, store=True, metadata={"task": "git"})

    assert answer.object == "chat.completion" and answer.id.startswith("chatcmpl-") and answer.model == "small"
    assert answer.choices[0].message.content == "git switch main"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (11, 3, 14)
    assert answer.usage.prompt_tokens_details.cached_tokens == 3
    assert answer.system_fingerprint == "fp_stub"


def test_a_streamed_answer_is_the_same_text(start: Start) -> None:
    platform = start(words("git switch main", "length"))

    chunks = list(ask(platform, stream=True, stream_options={"include_usage": True}))

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "git switch main"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None, None, None, None, "length"]
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 14
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({(chunk.id, chunk.created, chunk.object) for chunk in chunks}) == 1


def test_usage_is_streamed_only_where_it_was_asked_for(start: Start) -> None:
    chunks = list(ask(start(words("git status")), stream=True))

    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_each_choice_has_a_seed_of_its_own(start: Start) -> None:
    platform = start(lambda generation: words(f"answer {generation.seed}"))

    whole = ask(platform, n=3, seed=7)
    chunks = list(ask(platform, n=3, seed=7, stream=True))

    texts = [choice.message.content for choice in whole.choices]
    assert texts == ["answer 7", "answer 8", "answer 9"]
    streamed = ["", "", ""]
    for chunk in chunks:
        streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert streamed == texts
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (11, 6)


def test_log_probabilities(start: Start) -> None:
    other = TokenLogprob("hg", -2.5, (104, 103))
    token = TokenLogprob("git", -0.25, (103, 105, 116), (TokenLogprob("git", -0.25, (103, 105, 116)), other))
    platform = start([Piece("git", (token,)), Finished(reason="stop", prompt_tokens=1, completion_tokens=1)])

    content = ask(platform, logprobs=True, top_logprobs=2).choices[0].logprobs.content

    assert (content[0].token, content[0].logprob, content[0].bytes) == ("git", -0.25, [103, 105, 116])
    assert [other.token for other in content[0].top_logprobs] == ["git", "hg"]
    assert platform.engine.asked[0].top_logprobs == 2
    assert ask(platform).choices[0].logprobs is None
    assert platform.engine.asked[1].top_logprobs is None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "raised", "code"),
    [
        (ContextLengthExceeded(2031, 1024), openai.BadRequestError, "context_length_exceeded"),
        (InvalidGeneration("JSON schema error at #: unrecognized type"), openai.BadRequestError, "invalid_value"),
        (EngineError("out of memory"), openai.InternalServerError, "engine_error"),
    ],
)
def test_what_the_engine_refuses(
    start: Start, stream: bool, error: EngineError, raised: type[openai.APIStatusError], code: str
) -> None:
    platform = start([error])

    with pytest.raises(raised) as caught:
        ask(platform, stream=stream)

    assert caught.value.code == code


def test_a_stream_that_breaks_says_so(start: Start) -> None:
    platform = start([Piece("git "), EngineError("out of memory")])
    received: list[str] = []

    with pytest.raises(openai.APIError, match="out of memory"):
        for chunk in ask(platform, stream=True):
            received.append(chunk.choices[0].delta.content or "")

    assert "".join(received) == "git "


def test_many_answers_at_once(start: Start) -> None:
    together = threading.Event()

    def answer(generation: Generation) -> Sequence[Event]:
        return [together, *words(f"echo {generation.seed}")]

    platform = start(answer)
    with ThreadPoolExecutor(40) as pool:
        answers = [pool.submit(ask, platform, seed=number) for number in range(40)]
        until(lambda: len(platform.engine.asked) == 40)
        together.set()

    texts = [answer.result().choices[0].message.content for answer in answers]
    assert texts == [f"echo {number}" for number in range(40)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("before_the_first_piece", [False, True])
def test_whoever_hangs_up_abandons_their_own_answer_only(
    start: Start, stream: bool, before_the_first_piece: bool
) -> None:
    go_on = threading.Event()

    def answer(generation: Generation) -> Sequence[Event]:
        first = [] if before_the_first_piece else [Piece("first ")]
        return [*first, go_on, *words("git status")]

    platform = start(answer)
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(ask, platform)
        until(lambda: len(platform.engine.asked) == 1)
        with httpx2.Client(base_url=platform.url, timeout=0.3) as hasty, pytest.raises(httpx2.ReadTimeout):
            hasty.post(
                "/v1/chat/completions",
                json={"model": "small", "messages": MESSAGES, "stream": stream},
                headers={"authorization": "Bearer a-key"},
            )
        until(lambda: platform.engine.abandoned == 1)
        go_on.set()
        assert patient.result().choices[0].message.content.endswith("git status")
    assert platform.engine.abandoned == 1
