"""What a server takes, and what a refusal is about."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.models.completion import Prompt
from distill.models.parameters import Dialect, refused_parameters

PROMPT = Prompt(
    messages=({"role": "user", "content": "store metadata"},),
    parameters={"max_completion_tokens": 64, "temperature": 0, "n": 2, "stop": ["x"]},
    metadata={"task": "git"},
)
SENT = Dialect().body("m", PROMPT).keys()
WORDS = st.sampled_from(
    [
        "store",
        "metadata",
        "model",
        "messages",
        "n",
        "is not supported",
        "unknown field:",
        "'stop'",
        "body.",
        ":",
        "\n",
        "use",
    ]
)
TEXT = st.lists(WORDS | st.text(max_size=5), max_size=8).map(" ".join)
BODY = st.recursive(
    TEXT | st.none() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "detail", "loc", "param", "msg", "code"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


@given(BODY)
def test_whatever_a_server_says_only_what_was_sent_is_dropped_and_never_the_question(body: Any) -> None:
    refused = refused_parameters(body, SENT)
    assert refused <= set(SENT) - {"model", "messages"}


@given(st.lists(st.sampled_from([*SENT, "max_tokens", "model", "messages"])))
def test_refusing_ends(names: list[str]) -> None:
    """Each refusal takes something away, so that a client that obeys stops asking."""
    dialect = Dialect()
    for name in names:
        dialect.refuse({name})
        body = dialect.body("m", PROMPT)
        assert name in ("model", "messages") or name not in body
        assert body["model"] == "m" and body["messages"] == list(PROMPT.messages)


def test_both_names_for_the_token_limit_refused() -> None:
    dialect = Dialect()
    dialect.refuse({"max_completion_tokens"})
    assert dialect.body("m", PROMPT)["max_tokens"] == 64
    dialect.refuse({"max_tokens"})
    assert not {"max_tokens", "max_completion_tokens"} & dialect.body("m", PROMPT).keys()
    assert dialect.dropped == {"max_completion_tokens": "dropped", "max_tokens": "dropped"}


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("property 'store' is unsupported, did you mean 'stop'?", {"store"}),
        ("Unsupported parameter: 'stop'. Use 'temperature' instead.", {"stop"}),
        ("Unrecognized request arguments supplied: metadata, store", {"metadata", "store"}),
        ("1 validation error for Request\nbody -> store\n  extra fields not permitted", {"store"}),
        ("create() got an unexpected keyword argument 'store'", {"store"}),
        ("unknown parameter: n. Supported parameters: temperature, stop", {"n"}),
        ("temperature is not supported", {"temperature"}),
        ("this user may not stop here: it is not allowed", set()),
        ("temperature is too high", set()),
        ("messages are not supported", set()),
        ("", set()),
    ],
)
def test_prose(text: str, refused: set[str]) -> None:
    assert refused_parameters(text, SENT) == refused
    assert refused_parameters({"error": {"message": text}}, SENT) == refused


def test_a_prompt_that_is_echoed_in_a_problem_drops_nothing() -> None:
    problem = {"loc": ["body", "messages", 0], "msg": "extra fields not permitted", "input": {"store": "metadata"}}
    assert refused_parameters({"detail": [problem]}, SENT) == set()
