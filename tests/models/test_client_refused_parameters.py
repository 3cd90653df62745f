"""The client against servers that refuse a parameter, each in its own words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from distill.models.client import ModelClient
from distill.models.completion import ModelError, Prompt
from tests.models.asking import PROMPT, ask, using

pytestmark = pytest.mark.usefixtures("no_ambient_settings")


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
