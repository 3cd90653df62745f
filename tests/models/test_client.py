"""The client against a real server: answers, refusals, retries, and every way in which a request can fail."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any, TypeVar

import pytest

from distill.models.client import LOST_IN_A_ROW, ModelClient
from distill.models.completion import Completion, ModelError, Prompt
from distill.models.registry import NO_KEY
from distill.models.retries import RetryPolicy

pytestmark = pytest.mark.usefixtures("no_ambient_settings")

KEY = "sk-test-0123456789abcdefghij"
AT_ONCE = RetryPolicy(first_wait=0.001, longest_wait=0.002, longest_retry_after=0.01)
PROMPT = Prompt(
    messages=({"role": "user", "content": "Switch to main."},),
    parameters={"temperature": 0, "max_completion_tokens": 64},
    metadata={"task": "git"},
)
Result = TypeVar("Result")


def using(
    url: str, work: Callable[[ModelClient], Awaitable[Result]], *, key: str | None = KEY, **options: Any
) -> Result:
    async def run() -> Result:
        async with ModelClient(url, key, **{"policy": AT_ONCE, "timeout": 5.0, **options}) as client:
            return await work(client)

    return asyncio.run(run())


def ask(url: str, prompt: Prompt = PROMPT, *, model: str = "m", **options: Any) -> Completion:
    return using(url, lambda client: client.complete(model, prompt), **options)


def failure(url: str, prompt: Prompt = PROMPT, **options: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        ask(url, prompt, **options)
    assert KEY not in str(caught.value)
    return caught.value


def test_an_answer(loopback: Any) -> None:
    with loopback(loopback.answer("git switch main")) as server:
        completion = ask(server.url)
    assert completion.text == "git switch main"
    assert (completion.model, completion.finish_reason, completion.id) == ("m", "stop", "chatcmpl-1")
    assert (completion.prompt_tokens, completion.completion_tokens, completion.stored) == (11, 3, False)
    assert completion.latency is not None and completion.latency > 0


def test_every_request_is_stored_and_filed_under_its_metadata(loopback: Any) -> None:
    with loopback() as server:
        ask(server.url)
    assert server.requests[0].body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Switch to main."}],
        "temperature": 0,
        "max_completion_tokens": 64,
        "store": True,
        "metadata": {"task": "git"},
    }
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_metadata_is_kept_within_what_openai_takes(loopback: Any) -> None:
    prompt = Prompt(messages=PROMPT.messages, metadata={f"{n:02}" + "k" * 80: "v" * 600 for n in range(20)})
    with loopback() as server:
        ask(server.url, prompt)
    sent = server.requests[0].body["metadata"]
    assert len(sent) == 16
    assert {(len(key), len(value)) for key, value in sent.items()} == {(64, 512)}


@pytest.mark.parametrize(
    "text",
    [
        "git switch main\r\ngit pull\r\n",
        "nul \x00 inside",
        "git commit -m \u201csmart \u2013 quotes\u201d",
        "git tag версия ブランチ 🎉 \u202e",
        " \t git status\n",
        "\x1b[31mred\x1b[0m",
        "x" * 1_000_000,
    ],
    ids=["crlf", "nul", "quotes", "scripts", "spaces", "escapes", "1 MB"],
)
def test_text_is_kept_as_it_came(loopback: Any, text: str) -> None:
    with loopback(loopback.answer(text)) as server:
        assert ask(server.url).text == text


def test_half_a_surrogate_pair_becomes_a_replacement_character(loopback: Any) -> None:
    with loopback(loopback.raw(b'{"choices": [{"message": {"content": "a\\ud800b"}}]}')) as server:
        assert ask(server.url).text == "a\ufffdb"


def test_a_list_of_text_parts_is_one_text(loopback: Any) -> None:
    with loopback(loopback.answer([{"type": "text", "text": "git "}, {"type": "text", "text": "log"}])) as server:
        assert ask(server.url).text == "git log"


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, {"prompt_tokens": "many"}, [1]])
def test_missing_usage_is_unknown_and_not_zero(loopback: Any, usage: Any) -> None:
    with loopback(loopback.answer("git log", usage=usage)) as server:
        completion = ask(server.url)
    assert (completion.prompt_tokens, completion.completion_tokens) == (None, None)


REFUSALS: dict[str, tuple[int, Any, set[str]]] = {
    "openai": (
        400,
        {
            "error": {
                "message": "Unsupported parameter: 'max_completion_tokens' is not supported with this model.",
                "type": "invalid_request_error",
                "param": "max_completion_tokens",
                "code": "unsupported_parameter",
            }
        },
        {"max_completion_tokens"},
    ),
    "openai value": (
        400,
        {
            "error": {
                "message": "Unsupported value: 'temperature' does not support 0 with this model.",
                "param": "temperature",
                "code": "unsupported_value",
            }
        },
        {"temperature"},
    ),
    "openai metadata": (
        400,
        {
            "error": {
                "message": "The 'metadata' parameter is only allowed when 'store' is enabled.",
                "param": "metadata",
            }
        },
        {"metadata"},
    ),
    "openai of old": (400, {"error": {"message": "Unrecognized request argument supplied: store"}}, {"store"}),
    "groq": (
        400,
        {
            "error": {
                "message": "property 'store' is unsupported, did you mean 'stop'?",
                "type": "invalid_request_error",
            }
        },
        {"store"},
    ),
    "groq model": (
        400,
        {"error": {"message": "`metadata` is not supported with this model", "param": "metadata"}},
        {"metadata"},
    ),
    "cerebras": (
        422,
        {
            "message": "body.store: property 'body.store' is unsupported",
            "type": "invalid_request_error",
            "param": "validation_error",
            "code": "wrong_api_format",
        },
        {"store"},
    ),
    "pydantic": (
        422,
        {
            "detail": [
                {"type": "extra_forbidden", "loc": ["body", "store"], "msg": "Extra inputs are not permitted"},
                {"type": "extra_forbidden", "loc": ["body", "metadata"], "msg": "Extra inputs are not permitted"},
            ]
        },
        {"store", "metadata"},
    ),
    "pydantic of old": (
        422,
        {"detail": [{"loc": ["body", "seed"], "msg": "extra fields not permitted", "type": "value_error.extra"}]},
        {"seed"},
    ),
    "pydantic in a string": (
        400,
        {
            "object": "error",
            "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'store'), 'msg': 'Extra inputs not permitted'}]",
            "code": 400,
        },
        {"store"},
    ),
    "google, two at once": (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": 'Invalid JSON payload received. Unknown name "metadata": Cannot find field.\n'
                    'Invalid JSON payload received. Unknown name "store": Cannot find field.',
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
        {"store", "metadata"},
    ),
    "prose": (400, b"response_format is not supported by this model", {"response_format"}),
    "a path": (
        400,
        {
            "error": {
                "message": "Unknown parameter: 'response_format.json_schema'.",
                "param": "response_format.json_schema",
            }
        },
        {"response_format"},
    ),
    "about the model": (
        400,
        {"error": {"message": "The model 'm' is here, but 'temperature' is not available or not supported by it."}},
        {"temperature"},
    ),
    "n": (400, {"error": "unknown field: n"}, {"n"}),
    "an argument": (400, {"error": "Argument not supported: metadata"}, {"metadata"}),
}
RICH = Prompt(
    messages=PROMPT.messages,
    parameters={
        "temperature": 0,
        "max_completion_tokens": 64,
        "seed": 7,
        "n": 1,
        "stop": ["\n"],
        "response_format": {"type": "json_object"},
    },
    metadata={"task": "git"},
)


def strict(loopback: Any, wording: str) -> Callable[[Any], Any]:
    """A server that refuses what its wording names, for as long as it is sent any of it."""
    status, body, names = REFUSALS[wording]
    return lambda request: (
        loopback.raw(body, status) if names & request.parameters else loopback.answer("git switch main")
    )


@pytest.mark.parametrize("wording", REFUSALS)
def test_a_refused_parameter_is_left_out_and_nothing_else(loopback: Any, wording: str) -> None:
    refused = REFUSALS[wording][2]
    everything = {*RICH.parameters, "store", "metadata"}
    with loopback(strict(loopback, wording)) as server:

        async def work(client: ModelClient) -> dict[str, dict[str, str]]:
            await client.complete("m", RICH)
            return client.dropped

        dropped = using(server.url, work)
    assert len(server.requests) == 2
    left = {"max_tokens"} if "max_completion_tokens" in refused else set()
    assert server.requests[1].parameters == everything - refused | left
    assert set(dropped["m"]) == refused


def test_tokens_are_limited_by_the_other_name_when_one_is_refused(loopback: Any) -> None:
    with loopback(strict(loopback, "openai")) as server:

        async def work(client: ModelClient) -> dict[str, dict[str, str]]:
            await client.complete("m", PROMPT)
            return client.dropped

        assert using(server.url, work) == {"m": {"max_completion_tokens": "sent as max_tokens"}}
    assert server.requests[1].body["max_tokens"] == 64


def test_a_refusal_is_met_once_however_many_ask_at_the_same_time(loopback: Any) -> None:
    with loopback(strict(loopback, "pydantic")) as server:

        async def work(client: ModelClient) -> None:
            await asyncio.gather(*[client.complete("m", RICH) for _ in range(40)])

        using(server.url, work, concurrency=40)
    assert len(server.requests) == 41
    assert sum("store" in request.body for request in server.requests) == 1


def test_each_model_has_its_own_refusals(loopback: Any) -> None:
    def reply(request: Any) -> Any:
        refuses = request.body["model"] == "old" and "store" in request.body
        return loopback.error(400, "property 'store' is unsupported") if refuses else loopback.answer("git log")

    with loopback(reply) as server:

        async def work(client: ModelClient) -> dict[str, dict[str, str]]:
            await client.complete("old", PROMPT)
            await client.complete("new", PROMPT)
            return client.dropped

        assert using(server.url, work) == {"old": {"store": "dropped"}}
    assert server.requests[-1].body["store"] is True


def test_a_refusal_that_names_nothing_costs_our_own_additions(loopback: Any) -> None:
    def reply(request: Any) -> Any:
        ours = {"store", "metadata"} & request.parameters
        return loopback.raw(b"", 400) if ours else loopback.answer("git log")

    with loopback(reply) as server:
        assert ask(server.url).text == "git log"
    assert [sorted(request.parameters) for request in server.requests] == [
        ["max_completion_tokens", "metadata", "store", "temperature"],
        ["max_completion_tokens", "temperature"],
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Invalid 'temperature': decimal above maximum value.", "param": "temperature"}},
        {"error": {"message": "This model's maximum context length is 4096 tokens.", "param": "messages"}},
        {"detail": [{"loc": ["body", "messages", 0, "store"], "msg": "extra fields not permitted"}]},
        {"detail": [{"loc": ["body", "temperature"], "msg": "Input should be a valid number"}]},
        {"error": {"message": "unsupported: 'messages' and 'model'", "param": "model"}},
    ],
)
def test_a_wrong_value_is_not_silently_left_out(loopback: Any, body: Any) -> None:
    with loopback(loopback.answer("git log"), loopback.raw(body, 400)) as server:

        async def work(client: ModelClient) -> tuple[ModelError, dict[str, dict[str, str]]]:
            await client.complete("m", PROMPT)
            with pytest.raises(ModelError, match="refused the request") as caught:
                await client.complete("m", PROMPT)
            return caught.value, client.dropped

        error, dropped = using(server.url, work)
    assert (error.kind, error.fatal, dropped, len(server.requests)) == ("invalid_request", False, {}, 2)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_what_may_pass_is_asked_again(loopback: Any, status: int) -> None:
    with loopback(loopback.error(status), loopback.error(status), loopback.answer("git log")) as server:
        assert ask(server.url).text == "git log"
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 418, 422])
def test_what_will_not_pass_is_asked_once(loopback: Any, status: int) -> None:
    with loopback(loopback.answer("git log"), loopback.error(status), loopback.answer("git log")) as server:

        async def work(client: ModelClient) -> None:
            await client.complete("m", PROMPT)
            with pytest.raises(ModelError):
                await client.complete("m", PROMPT)

        using(server.url, work)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("header", "at_least"),
    [
        ({"retry-after": "0.3"}, 0.3),
        ({"retry-after-ms": "300"}, 0.3),
        ({"retry-after": "3600"}, 0.4),
        ({"retry-after": "soon"}, 0),
        ({}, 0),
    ],
    ids=["seconds", "milliseconds", "capped", "nonsense", "none"],
)
def test_a_429_is_asked_again_when_the_server_says(loopback: Any, header: dict[str, str], at_least: float) -> None:
    """The clock is the server's: how far apart it saw the two requests."""
    policy = RetryPolicy(first_wait=0.001, longest_wait=0.002, longest_retry_after=0.4)
    moments: list[float] = []

    def reply(request: Any) -> Any:
        moments.append(asyncio.get_running_loop().time())
        return loopback.error(429, "slow down", header) if len(moments) == 1 else loopback.answer("git log")

    with loopback(reply) as server:
        assert ask(server.url, policy=policy).text == "git log"
    assert moments[1] - moments[0] >= at_least


def test_patience_ends_and_says_how_often_it_tried(loopback: Any) -> None:
    with loopback(loopback.error(429, "slow down")) as server:
        error = failure(server.url)
    assert (error.kind, len(server.requests)) == ("rate_limit", 6)
    assert "limits how much may be asked (429): slow down." in str(error)
    assert "Lower the concurrency" in str(error) and "It was tried 6 times." in str(error)


def test_a_429_halves_what_is_in_flight_and_answers_raise_it_again(loopback: Any) -> None:
    with loopback(loopback.answer("git log"), loopback.error(429, "slow down"), loopback.answer("git log")) as server:

        async def work(client: ModelClient) -> list[int]:
            seen = [client.concurrency]
            await client.complete("m", PROMPT)
            await client.complete("m", PROMPT)
            seen.append(client.concurrency)
            for _ in range(200):
                await client.complete("m", PROMPT)
            return [*seen, client.concurrency]

        assert using(server.url, work, concurrency=16) == [16, 8, 16]


def test_never_more_in_flight_than_allowed(loopback: Any) -> None:
    with loopback(loopback.answer("git log", seconds=0.01)) as server:

        async def work(client: ModelClient) -> None:
            await asyncio.gather(*[client.complete("m", PROMPT) for _ in range(60)])

        using(server.url, work, concurrency=7)
    assert server.most_at_once == 7


MONEY = [
    (
        429,
        {
            "error": {
                "message": "You exceeded your current quota.",
                "type": "insufficient_quota",
                "code": "insufficient_quota",
            }
        },
    ),
    (429, {"error": {"message": "Your credit balance is exhausted.", "code": "credit_balance_exhausted"}}),
    (402, {"error": {"message": "Insufficient Balance"}}),
    (400, {"error": {"message": "Billing hard limit has been reached", "code": "billing_hard_limit_reached"}}),
    (403, {"error": "insufficient credits"}),
]


@pytest.mark.parametrize(("status", "body"), MONEY)
def test_money_errors_are_never_repeated_and_end_the_asking(loopback: Any, status: int, body: Any) -> None:
    with loopback(loopback.raw(body, status)) as server:

        async def work(client: ModelClient) -> list[BaseException | Completion]:
            asked = [client.complete(model, PROMPT) for model in ["m"] * 20 + ["other"]]
            first = await asyncio.gather(*asked[:20], return_exceptions=True)
            return [*first, *await asyncio.gather(asked[20], return_exceptions=True)]

        errors = using(server.url, work)
    assert len(server.requests) == 1
    for error in errors:
        assert isinstance(error, ModelError)
        assert (error.kind, error.fatal) == ("quota", True)
        assert "has no money left" in str(error) and "Add credit" in str(error)


def test_a_rate_limit_that_mentions_billing_is_no_money_error(loopback: Any) -> None:
    said = "Rate limit reached. Need more tokens? Upgrade today at https://console.example/settings/billing"
    limit = loopback.error(429, said, type="tokens", code="rate_limit_exceeded")
    with loopback(limit, loopback.answer("git log")) as server:
        assert ask(server.url).text == "git log"


def test_401(loopback: Any) -> None:
    with loopback(loopback.error(401, f"Incorrect API key provided: {KEY}.", code="invalid_api_key")) as server:

        async def work(client: ModelClient) -> list[BaseException | Completion]:
            return await asyncio.gather(*[client.complete("m", PROMPT) for _ in range(20)], return_exceptions=True)

        errors = using(server.url, work)
    assert len(server.requests) == 1
    assert {str(error) for error in errors} == {
        f"{server.url} refused the key (401): Incorrect API key provided: [key]. Check OPENAI_API_KEY: it may be "
        "mistyped, revoked, or meant for another endpoint."
    }
    assert all(isinstance(error, ModelError) and error.fatal for error in errors)


@pytest.mark.parametrize("key", [None, "", NO_KEY])
def test_401_without_a_key(loopback: Any, key: str | None) -> None:
    with loopback(loopback.error(401, "Unauthorized")) as server:
        error = failure(server.url, key=key)
    assert "It wants a key and none is set: set OPENAI_API_KEY." in str(error)


def test_a_bad_key_may_come_as_a_400(loopback: Any) -> None:
    with loopback(loopback.error(400, "API key not valid. Please pass a valid API key.")) as server:
        assert failure(server.url).kind == "authentication"


def test_403(loopback: Any) -> None:
    with loopback(loopback.error(403, "Project does not have access.")) as server:
        error = failure(server.url)
    assert (error.kind, error.fatal) == ("authentication", True)
    assert "does not let this key use 'm' (403): Project does not have access. Ask for access" in str(error)


def test_a_flagged_prompt_is_about_that_prompt_only(loopback: Any) -> None:
    with loopback(loopback.error(403, "Your input was flagged.")) as server:
        error = failure(server.url)
    assert (error.kind, error.fatal) == ("invalid_request", False)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"error": {"message": "The model `gpt4o` does not exist.", "code": "model_not_found"}}),
        (400, {"message": "Invalid model: gpt4o", "type": "invalid_model"}),
        (404, {"error": 'model "gpt4o" not found, try pulling it first'}),
    ],
)
def test_an_unknown_model_names_the_models_there_are(loopback: Any, status: int, body: Any) -> None:
    models = ["whisper", "gpt-4o", *(f"other-{n}" for n in range(20))]
    with loopback(loopback.raw(body, status), models=models) as server:

        async def work(client: ModelClient) -> list[BaseException | Completion]:
            return await asyncio.gather(*[client.complete("gpt4o", PROMPT) for _ in range(20)], return_exceptions=True)

        errors = using(server.url, work)
    assert len(server.requests) == 1
    sentence = str(errors[-1])
    assert f"does not know the model 'gpt4o' ({status}): " in sentence
    assert "It offers gpt-4o, whisper, other-0" in sentence and "and 14 more." in sentence


def test_an_unknown_model_leaves_the_others_of_the_endpoint_alone(loopback: Any) -> None:
    def reply(request: Any) -> Any:
        return loopback.answer("git log") if request.body["model"] == "known" else loopback.error(404)

    with loopback(reply, models=["known"]) as server:

        async def work(client: ModelClient) -> Completion:
            with pytest.raises(ModelError, match="It offers known"):
                await client.complete("unknown", PROMPT)
            return await client.complete("known", PROMPT)

        assert using(server.url, work).text == "git log"


def test_404_from_what_is_no_api(loopback: Any) -> None:
    with loopback(loopback.raw(b"<html>nothing here</html>", 404, "text/html")) as server:
        error = failure(server.url)
    assert "(404): a web page instead of JSON. It lists no models either" in str(error)
    assert "usually ends in /v1" in str(error)


def test_a_model_that_is_listed_but_is_none_for_chat(loopback: Any) -> None:
    with loopback(loopback.error(404, "This is not a chat model."), models=["m"]) as server:
        assert "has no chat completions for 'm' (404): This is not a chat model." in str(failure(server.url))


def test_a_refused_connection_ends_the_asking() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"

        async def work(client: ModelClient) -> list[BaseException | Completion]:
            first = await asyncio.gather(client.complete("m", PROMPT), return_exceptions=True)
            return [*first, *await asyncio.gather(client.complete("m", PROMPT), return_exceptions=True)]

        errors = using(url, work)
    assert {str(error) for error in errors} == {
        f"Nothing answers at {url}: connection refused. Is the server running at {url}? It was tried 4 times. "
        "Nothing more is asked there."
    }
    assert all(isinstance(error, ModelError) and error.kind == "connection" and error.fatal for error in errors)


def test_a_host_that_does_not_exist() -> None:
    error = failure("http://host.invalid/v1", policy=RetryPolicy(attempts=1))
    assert error.kind == "connection"
    assert "The host of http://host.invalid/v1 cannot be found." in str(error)


def test_a_server_that_hangs(loopback: Any) -> None:
    with loopback(loopback.raw(b"", hang=True)) as server:
        error = failure(server.url, timeout=0.1)
    assert (error.kind, len(server.requests)) == ("timeout", 3)
    assert "gave no whole answer within 0.1 s. The server hangs or is overloaded" in str(error)


def test_a_server_that_hangs_once(loopback: Any) -> None:
    with loopback(loopback.raw(b"", hang=True), loopback.answer("git log")) as server:
        completion = ask(server.url, timeout=0.5)
    assert completion.latency is not None and completion.latency < 0.5  # of the attempt that succeeded


def test_500_for_everyone_ends_the_asking(loopback: Any) -> None:
    with loopback(loopback.error(500, "out of memory")) as server:

        async def work(client: ModelClient) -> list[ModelError]:
            errors = []
            for _ in range(LOST_IN_A_ROW + 5):
                with pytest.raises(ModelError) as caught:
                    await client.complete("m", PROMPT)
                errors.append(caught.value)
            return errors

        errors = using(server.url, work, policy=RetryPolicy(attempts=2, first_wait=0.001, longest_wait=0.001))
    assert [error.fatal for error in errors] == [False] * (LOST_IN_A_ROW - 1) + [True] * 6
    assert "failed with 500: out of memory. Look at the server's own log" in str(errors[0])
    assert "8 questions in a row got no answer" in str(errors[-1])
    assert len(server.requests) == LOST_IN_A_ROW * 2


def test_an_answer_in_between_keeps_the_asking_alive(loopback: Any) -> None:
    def reply(request: Any) -> Any:
        return loopback.answer("git log") if len(server.requests) % 3 == 0 else loopback.error(500)

    with loopback(reply) as server:

        async def work(client: ModelClient) -> int:
            asked = [await asyncio.gather(client.complete("m", PROMPT), return_exceptions=True) for _ in range(40)]
            return sum(isinstance(answer, Completion) for (answer,) in asked)

        assert using(server.url, work, policy=RetryPolicy(attempts=1)) > 10


def test_a_connection_that_breaks_off_is_tried_again(loopback: Any) -> None:
    whole = loopback.answer("git log")
    half = loopback.raw(whole.body, cut=40)
    with loopback(half, half, whole) as server:
        assert ask(server.url).text == "git log"


def test_a_connection_that_always_breaks_off(loopback: Any) -> None:
    with loopback(loopback.raw(loopback.answer("git log").body, cut=40)) as server:
        error = failure(server.url)
    assert error.kind == "connection"
    assert "was lost before the whole answer came" in str(error)


@pytest.mark.parametrize(
    ("body", "content_type", "found"),
    [
        (b'{"choices": [{"message": {"content": "git st', "application/json", "JSON that breaks off or is not valid"),
        (b"<!DOCTYPE html><title>Welcome</title>", "text/html", "a web page instead of JSON"),
        (b"<html>", "application/json", "a web page instead of JSON"),
        (b"", "application/json", "nothing at all"),
        (b"hello", "text/plain", "something that is not JSON"),
        (b"[1, 2]", "application/json", "JSON that is no object"),
        (b"[" * 200_000, "application/json", "JSON that breaks off or is not valid"),
        (b"{}", "application/json", "JSON without `choices`"),
        (b'{"choices": []}', "application/json", "JSON without `choices`"),
        (b'{"choices": null}', "application/json", "JSON without `choices`"),
        (b'{"choices": [{}]}', "application/json", "a choice without a `message`"),
        (b'{"choices": [{"message": {"content": 5}}]}', "application/json", "a `content` that is no text"),
        (b'{"choices": "\xff"}', "application/json", "JSON that breaks off or is not valid"),
    ],
)
def test_a_200_that_is_no_completion(loopback: Any, body: bytes, content_type: str, found: str) -> None:
    with loopback(loopback.raw(body, content_type=content_type)) as server:
        error = failure(server.url)
    assert (error.kind, error.fatal, len(server.requests)) == ("malformed", False, 1)
    assert f"{server.url} answered with {found}" in str(error)
    assert "Is it an OpenAI-compatible API?" in str(error)


def test_a_200_with_an_error_inside_is_that_error(loopback: Any) -> None:
    with loopback(loopback.raw({"error": {"code": 502, "message": "Provider returned error"}})) as server:
        error = failure(server.url)
    assert (error.kind, len(server.requests)) == ("server", 6)
    assert "failed with 502: Provider returned error." in str(error)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ({"content": ""}, "finish_reason stop"),
        ({"content": None}, "finish_reason stop"),
        ({"content": " \r\n\t"}, "finish_reason stop"),
        ({"content": []}, "finish_reason stop"),
        ({"content": "", "finish_reason": "length"}, "raise max_completion_tokens"),
        ({"content": None, "finish_reason": "content_filter"}, "content filter took the answer away"),
        ({"content": None, "refusal": "I cannot."}, "it refused: I cannot."),
        ({"content": None, "tool_calls": [{"id": "1"}]}, "it called a tool, and none was offered"),
    ],
)
def test_an_empty_answer_is_an_error(loopback: Any, reply: dict[str, Any], why: str) -> None:
    with loopback(loopback.answer(**reply)) as server:
        error = failure(server.url)
    assert (error.kind, error.fatal, len(server.requests)) == ("empty", False, 1)
    assert "gave an empty answer" in str(error) and why in str(error)


def test_a_prompt_that_cannot_be_sent(loopback: Any) -> None:
    with loopback() as server:
        error = failure(server.url, Prompt(messages=({"role": "user", "content": "half \ud800"},)))
    assert (error.kind, server.requests) == ("invalid_request", [])
    assert "half a surrogate pair" in str(error)


def test_a_parameter_that_is_no_json(loopback: Any) -> None:
    with loopback() as server:
        error = failure(server.url, Prompt(messages=PROMPT.messages, parameters={"stop": object()}))
    assert error.kind == "invalid_request" and "cannot be sent" in str(error)


ECHOES = [
    (400, {"error": {"message": f"bad header: Authorization: Bearer {KEY}"}}),
    (500, {"error": {"message": f"GET https://user:{KEY}@host/v1?key={KEY}&x=1 failed"}}),
    (401, {"error": {"message": f"key {KEY[:20]}... is unknown"}}),
    (403, f"<{KEY}>".encode()),
    (418, json.dumps({"weird": {"nested": KEY}}).encode()),
    (200, {"choices": [], "debug": KEY}),
    (200, {"choices": [{"message": {"content": None, "refusal": KEY}, "finish_reason": KEY}]}),
]


@pytest.mark.parametrize(("status", "body"), ECHOES)
def test_an_echoed_key_is_in_no_error(loopback: Any, status: int, body: Any) -> None:
    with loopback(loopback.answer("git log"), loopback.raw(body, status), models=[KEY]) as server:

        async def work(client: ModelClient) -> ModelError:
            await client.complete("m", PROMPT)
            with pytest.raises(ModelError) as caught:
                await client.complete("m", PROMPT)
            return caught.value

        error = using(server.url, work, policy=RetryPolicy(attempts=1))
    for piece in (KEY, KEY[:20], KEY[-12:]):
        assert piece not in str(error)


def test_a_key_that_a_server_puts_into_its_answer_stays_out_of_it(loopback: Any) -> None:
    with loopback(loopback.answer(f"git config x {KEY}", id=f"id-{KEY}", finish_reason=KEY)) as server:
        completion = ask(server.url)
    assert completion.text == "git config x [key]"
    assert KEY not in repr(completion)


def test_a_password_in_the_address_is_in_no_error(loopback: Any) -> None:
    with loopback(loopback.error(500, "hunter2-hunter2 is wrong")) as server:
        error = failure(server.url.replace("//", "//user:hunter2-hunter2@"))
    assert "hunter2" not in str(error) and server.url in str(error)


def test_a_query_in_the_address_is_sent_with_every_request(loopback: Any) -> None:
    with loopback() as server:
        ask(server.url + "?api-version=2026-01-01")
    assert server.requests[0].query == "api-version=2026-01-01"


def test_an_error_is_one_printable_line(loopback: Any) -> None:
    with loopback(loopback.error(400, "\x1b[31mred\x1b[0m\r\n[bold]" + "x" * 100_000)) as server:
        error = failure(server.url)
    assert str(error).isprintable() and len(str(error)) < 600


def test_a_client_does_not_show_its_key() -> None:
    async def work(client: ModelClient) -> str:
        return repr(client) + repr(vars(client))

    assert KEY not in using("http://127.0.0.1:9/v1", work)


@pytest.mark.parametrize(
    ("days", "warning"),
    [(-3, "m was to be shut down on {day}"), (30, "m will be shut down on {day}, in 30 days"), (400, None)],
)
def test_an_announced_shutdown_is_a_warning_once(loopback: Any, days: int, warning: str | None) -> None:
    day = date.today() + timedelta(days=days)
    with loopback(shutdown=day.isoformat()) as server:

        async def work(client: ModelClient) -> list[str]:
            await asyncio.gather(*[client.complete("m", PROMPT) for _ in range(5)])
            await client.aclose()
            return client.warnings

        warnings = using(server.url, work)
    assert server.looked_up == ["/v1/models/m"]
    if warning is None:
        assert warnings == []
    else:
        assert len(warnings) == 1 and warnings[0].startswith(warning.format(day=day))


@pytest.mark.parametrize("shutdown", [None, "soon", ""])
def test_a_shutdown_that_cannot_be_looked_up_is_no_warning(loopback: Any, shutdown: str | None) -> None:
    with loopback(shutdown=shutdown) as server:

        async def work(client: ModelClient) -> list[str]:
            await client.complete("m", PROMPT)
            await client.aclose()
            return client.warnings

        assert using(server.url, work) == []


def test_a_proxy_is_not_asked_for_this_machine(loopback: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with loopback() as server:
        assert ask(server.url).text == "git status"


def test_a_cancelled_first_request_does_not_hold_up_the_others(loopback: Any) -> None:
    def reply(request: Any) -> Any:
        return loopback.raw(b"", hang=True) if len(server.requests) == 1 else loopback.answer("git log")

    with loopback(reply) as server:

        async def work(client: ModelClient) -> Completion:
            first = asyncio.create_task(client.complete("m", PROMPT))
            second = asyncio.create_task(client.complete("m", PROMPT))
            while not server.requests:
                await asyncio.sleep(0.01)
            first.cancel()
            return await second

        assert using(server.url, work).text == "git log"
