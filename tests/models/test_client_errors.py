"""The client against servers that fail for good: every way in which a request can, and what is said of it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from distill.models.client import LOST_IN_A_ROW, ModelClient
from distill.models.completion import Completion, ModelError, Prompt
from distill.models.registry import NO_KEY
from distill.models.retries import RetryPolicy
from tests.models.asking import KEY, PROMPT, failure, using

pytestmark = pytest.mark.usefixtures("no_ambient_settings")


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


def test_an_error_is_one_printable_line(loopback: Any) -> None:
    with loopback(loopback.error(400, "\x1b[31mred\x1b[0m\r\n[bold]" + "x" * 100_000)) as server:
        error = failure(server.url)
    assert str(error).isprintable() and len(str(error)) < 600
