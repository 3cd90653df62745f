"""What a request may say, what it means, and what is said about one that is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.server.chat_request import UNSUPPORTED, ChatRequest, parse
from distill.server.errors import ApiError

USER = {"role": "user", "content": "Switch to main."}
MINIMAL = {"model": "small", "messages": [USER]}


def test_what_is_left_out_means_what_it_means_at_openai() -> None:
    (generation,) = parse(MINIMAL).generations()

    assert generation.messages == (USER,)
    assert (generation.temperature, generation.top_p, generation.longest, generation.stop) == (1.0, 1.0, None, ())


def test_null_is_the_same_as_left_out() -> None:
    nulls = dict.fromkeys(set(ChatRequest.model_fields) - {"model", "messages"}) | dict.fromkeys(UNSUPPORTED)

    assert parse(MINIMAL | nulls) == parse(MINIMAL)


def test_parameters_reach_the_engine() -> None:
    asked = parse(
        MINIMAL
        | {
            "temperature": 0,
            "top_p": 0.5,
            "seed": 3,
            "stop": "\n",
            "max_tokens": 9,
            "logprobs": True,
            "top_logprobs": 2,
        }
        | {"frequency_penalty": 1, "presence_penalty": -1, "response_format": {"type": "json_object"}}
    )

    (generation,) = asked.generations()

    assert (generation.temperature, generation.top_p, generation.seed, generation.longest) == (0, 0.5, 3, 9)
    assert (generation.stop, generation.top_logprobs) == (("\n",), 2)
    assert (generation.frequency_penalty, generation.presence_penalty) == (1, -1)
    assert generation.response_format == {"type": "json_object"}


def test_a_schema_reaches_the_engine_under_its_own_name() -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": {"type": "object"}, "strict": True}}

    assert parse(MINIMAL | {"response_format": shape}).generations()[0].response_format == shape


def test_messages_in_parts_and_of_the_developer() -> None:
    parts = [{"type": "text", "text": "Switch "}, {"type": "text", "text": "to main."}]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]

    (generation,) = parse({"model": "small", "messages": messages}).generations()

    assert generation.messages == ({"role": "system", "content": "Be brief."}, USER)


def test_an_answer_can_be_sent_back_as_it_came() -> None:
    came = {"role": "assistant", "content": "git switch main", "refusal": None, "annotations": [], "tool_calls": None}

    (generation,) = parse({"model": "small", "messages": [USER, came, USER]}).generations()

    assert generation.messages[1] == {"role": "assistant", "content": "git switch main"}


@pytest.mark.parametrize(
    "harmless",
    [
        {"user": "me"},
        {"tools": []},
        {"tool_choice": "auto"},
        {"logit_bias": {}},
        {"modalities": ["text"]},
        {"store": True},
    ],
)
def test_what_changes_nothing_about_the_answer_is_accepted(harmless: dict[str, Any]) -> None:
    assert parse(MINIMAL | harmless).generations() == parse(MINIMAL).generations()


@pytest.mark.parametrize(
    ("wrong", "param", "code"),
    [
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": "hello"}, "messages", "invalid_type"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [USER, {"role": "user", "content": None}]}, "messages[1].content", "invalid_type"),
        ({"messages": [{"role": "pirate", "content": "?"}]}, "messages[0].role", "invalid_value"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a/b"}}]}]},
            "messages[0].content",
            "invalid_value",
        ),
        (
            {"messages": [{"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}]},
            "messages[0].tool_calls",
            "unsupported_parameter",
        ),
        ({"model": 3}, "model", "invalid_type"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"temperature": 2.1}, "temperature", "invalid_value"),
        ({"temperature": True}, "temperature", "invalid_type"),
        ({"top_p": -0.1}, "top_p", "invalid_value"),
        ({"n": 0}, "n", "invalid_value"),
        ({"n": 129}, "n", "invalid_value"),
        ({"n": 1.5}, "n", "invalid_type"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", "invalid_value"),
        ({"max_completion_tokens": 5, "max_tokens": 5}, "max_tokens", "invalid_parameter_combination"),
        ({"seed": 2**63}, "seed", "invalid_value"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "invalid_value"),
        ({"stop": ""}, "stop[0]", "invalid_value"),
        ({"stop": 3}, "stop", "invalid_type"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_parameter_combination"),
        ({"top_logprobs": 3}, "top_logprobs", "invalid_parameter_combination"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_value"),
        ({"response_format": {"type": "yaml"}}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format", "invalid_value"),
        ({"metadata": {"a": 1}}, "metadata.a", "invalid_type"),
        ({"metadata": {str(i): "" for i in range(17)}}, "metadata", "invalid_value"),
        ({"metadata": {"a": "x" * 513}}, "metadata.a", "invalid_value"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "unsupported_parameter"),
        ({"reasoning_effort": "high"}, "reasoning_effort", "unsupported_parameter"),
        ({"temprature": 1}, "temprature", "unknown_parameter"),
    ],
)
def test_a_wrong_parameter_is_named(wrong: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(ApiError) as error:
        parse(MINIMAL | wrong)

    assert (error.value.status, error.value.param, error.value.code) == (400, param, code)
    assert param in error.value.message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)
any_parameter = st.sampled_from(sorted({*ChatRequest.model_fields, *UNSUPPORTED, "unknown"}))


@given(st.dictionaries(any_parameter, json_values, max_size=5))
def test_any_object_is_understood_or_refused(parameters: dict[str, Any]) -> None:
    try:
        generations = parse(MINIMAL | parameters).generations()
    except ApiError as error:
        assert error.status == 400 and error.message
    else:
        assert len(generations) >= 1


@given(st.integers(min_value=-(2**63), max_value=2**62), st.integers(min_value=1, max_value=128))
def test_sampled_choices_never_share_a_seed(seed: int, choices: int) -> None:
    seeds = [generation.seed for generation in parse(MINIMAL | {"seed": seed, "n": choices}).generations()]

    assert len(set(seeds)) == choices and seeds[0] == seed
