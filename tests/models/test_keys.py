"""Equal questions have equal keys, and only equal ones."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from distill.models.completion import Message, Prompt
from distill.models.keys import completion_key

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
PARAMETERS = st.dictionaries(st.text(), JSON, max_size=4)
MESSAGE: st.SearchStrategy[Message] = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["system", "user", "assistant"]),
    st.text(st.characters()),
)
QUESTION = st.tuples(
    st.text(max_size=5),
    st.text(max_size=5),
    st.builds(
        lambda messages, parameters, sample: Prompt(messages=tuple(messages), parameters=parameters, sample=sample),
        st.lists(MESSAGE, max_size=3),
        PARAMETERS,
        st.integers(0, 3),
    ),
)


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reversed_keys(value[name]) for name in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


def plain(question: tuple[str, str, Prompt]) -> Any:
    """What JSON can tell apart: 1 and 1.0 are one number there, 1 and true are not."""
    origin, model, prompt = question

    def number(value: Any) -> Any:
        if isinstance(value, float) and value == int(value):
            return int(value)
        if isinstance(value, dict):
            return {name: number(item) for name, item in value.items()}
        return [number(item) for item in value] if isinstance(value, list) else value

    content = [origin, model, prompt.messages, number(prompt.parameters), prompt.sample]
    return json.dumps(content, sort_keys=True)


@given(QUESTION)
def test_the_order_of_a_mapping_does_not_count(question: tuple[str, str, Prompt]) -> None:
    origin, model, prompt = question
    turned = replace(prompt, parameters=reversed_keys(prompt.parameters))
    assert completion_key(origin, model, turned) == completion_key(origin, model, prompt)


@given(QUESTION, QUESTION)
def test_different_questions_have_different_keys(one: tuple[str, str, Prompt], other: tuple[str, str, Prompt]) -> None:
    assert (completion_key(*one) == completion_key(*other)) == (plain(one) == plain(other))


@given(QUESTION)
def test_any_change_changes_the_key(question: tuple[str, str, Prompt]) -> None:
    origin, model, prompt = question
    message: Message = {"role": "user", "content": "more"}
    changed = [
        (origin + "x", model, prompt),
        (origin, model + "x", prompt),
        (origin, model, replace(prompt, messages=(*prompt.messages, message))),
        (origin, model, replace(prompt, parameters={**prompt.parameters, "another": 1})),
        (origin, model, replace(prompt, sample=prompt.sample + 1)),
    ]
    keys = {completion_key(*question) for question in [question, *changed]}
    assert len(keys) == 1 + len(changed)


def test_metadata_is_no_part_of_it() -> None:
    prompt = Prompt(messages=({"role": "user", "content": "x"},))
    filed = replace(prompt, metadata={"task": "git"})
    assert completion_key("o", "m", prompt) == completion_key("o", "m", filed)


def test_it_is_the_same_in_every_process() -> None:
    prompt = Prompt(messages=({"role": "user", "content": "é\ud800"},), parameters={"b": 1.0, "a": {"y": 1, "x": 2}})
    script = (
        "from distill.models.keys import completion_key; from distill.models.completion import Prompt\n"
        f"print(completion_key('o', 'm', {prompt!r}))"
    )
    path = ":".join(sys.path)
    for seed in ("1", "2"):
        environment = {"PYTHONPATH": path, "PYTHONHASHSEED": seed}
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == completion_key("o", "m", prompt)
