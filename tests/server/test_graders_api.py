"""OpenAI's endpoints for graders, asked by its own client; a stub engine answers for the models that grade."""

from __future__ import annotations

import json
import threading
from typing import Any

import openai
import pytest

from distill.server.generation import InvalidGeneration

from .conformance import violations
from .conftest import words

PROMPT = [
    {"role": "developer", "content": "Score the answer."},
    {"role": "user", "content": [{"type": "input_text", "text": "{{item.question}} -> {{sample.output_text}}"}]},
]
CHECK = {
    "type": "string_check",
    "name": "same",
    "operation": "eq",
    "input": "{{sample.output_text}}",
    "reference": "{{item.answer}}",
}
SCORE = {"type": "score_model", "name": "quality", "model": "small", "input": PROMPT, "range": [0, 10]}
LABEL = {
    "type": "label_model",
    "name": "tone",
    "model": "small",
    "input": PROMPT,
    "labels": ["good", "bad"],
    "passing_labels": ["good"],
}
SOURCE = "def grade(sample, item):\n    return len(sample['output_text']) / item['most']\n"
PYTHON = {"type": "python", "name": "length", "source": SOURCE, "image_tag": "2025-05-08"}
SIMILAR = {**CHECK, "type": "text_similarity", "name": "alike", "evaluation_metric": "rouge_1"}
del SIMILAR["operation"]
MULTI = {
    "type": "multi",
    "name": "both",
    "graders": {"same": CHECK, "alike": SIMILAR},
    "calculate_output": "0.5 * same + 0.5 * alike",
}


def set_errors(result: Any) -> set[str]:
    return {name for name, value in result.metadata.errors.to_dict().items() if value is True}


def test_every_type_is_run(start: Any) -> None:
    answers = iter([8, "good"])
    platform = start(lambda _generation: words(json.dumps({"steps": [], "result": next(answers)})))
    run = platform.client.fine_tuning.alpha.graders.run
    item = {"question": "Capital of France?", "answer": "Paris", "most": 10}
    graders: tuple[Any, ...] = (CHECK, SIMILAR, SCORE, LABEL, PYTHON, MULTI)
    assert [run(grader=grader, item=item, model_sample="Paris").reward for grader in graders] == [1, 1, 8, 1, 0.5, 1]


def test_the_response_is_openais(start: Any) -> None:
    platform = start(words('{"steps": [], "result": 7.5}'))
    result = platform.client.fine_tuning.alpha.graders.run(
        grader=SCORE, item={"question": "Why?"}, model_sample="{{item.question}}"
    )
    assert (result.reward, result.sub_rewards) == (7.5, {})
    metadata = result.metadata
    assert (metadata.name, metadata.type, metadata.sampled_model_name) == ("quality", "score_model", "small")
    assert metadata.token_usage == result.to_dict()["model_grader_token_usage_per_model"]["small"]["total_tokens"] > 0
    assert metadata.execution_time > 0
    assert set_errors(result) == set()
    (generation,) = platform.engine.asked
    assert generation.messages == (
        {"role": "system", "content": "Score the answer."},
        {"role": "user", "content": "Why? -> {{item.question}}"},
    )
    assert generation.temperature == 0
    assert generation.response_format["type"] == "json_schema"
    both = platform.client.fine_tuning.alpha.graders.run(grader=MULTI, item={"answer": "a b"}, model_sample="a c")
    assert (both.reward, both.sub_rewards) == (0.25, {"same": 0, "alike": 0.5})


@pytest.mark.parametrize(
    ("grader", "sample", "answer", "flag"),
    [
        ({**CHECK, "input": "{{item.none}}"}, "x", "", "invalid_variable_error"),
        ({**CHECK, "input": "{{sample.output_json.x}}"}, "x", "", "sample_parse_error"),
        (SCORE, "x", "I would not know", "model_grader_parse_error"),
        ({**SCORE, "model": "gpt-4o"}, "x", "", "model_grader_server_error"),
        ({**PYTHON, "source": "def grade(s, i): return s['none']"}, "x", "", "python_grader_runtime_error"),
        ({**PYTHON, "source": "import torch"}, "x", "", "python_grader_runtime_error"),
        ({**MULTI, "calculate_output": "1 / same"}, "x", "", "formula_parse_error"),
        ({**SIMILAR, "evaluation_metric": "rouge_l"}, "x" * 60_000, "", "truncated_observation_error"),
    ],
)
def test_what_goes_wrong_is_a_flag_and_no_reward(grader: Any, sample: str, answer: str, flag: str, start: Any) -> None:
    client = start(words(answer or "nothing")).client
    result = client.fine_tuning.alpha.graders.run(
        grader=grader, item={"question": "?", "answer": "a", "most": 1}, model_sample=sample
    )
    assert (result.reward, set_errors(result)) == (0, {flag})


def test_details_of_an_error_are_told(start: Any) -> None:
    run = start().client.fine_tuning.alpha.graders.run
    unknown = run(grader={**SCORE, "model": "gpt-4o"}, item={"question": "?"}, model_sample="x").metadata.errors
    assert "The model 'gpt-4o' does not exist here" in unknown.model_grader_server_error_details
    source = "def grade(s, i):\n    return s['none']"
    raised = run(grader={**PYTHON, "source": source}, model_sample="x").metadata.errors
    assert raised.python_grader_runtime_error_details.endswith("KeyError: 'none'\n")
    audio = [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}]}]
    deaf = run(grader={**SCORE, "input": audio}, model_sample="x").metadata.errors
    assert "only parts of type 'text' are supported" in deaf.model_grader_server_error_details


def test_a_parameter_that_the_model_cannot_take_is_left_out(start: Any) -> None:
    platform = start(words('{"result": 1}'))
    grader = {**SCORE, "sampling_params": {"reasoning_effort": "low", "temperature": 0.5, "max_completions_tokens": 9}}
    assert (
        platform.client.fine_tuning.alpha.graders.run(grader=grader, item={"question": "?"}, model_sample="x").reward
        == 1
    )
    (generation,) = platform.engine.asked
    assert (generation.temperature, generation.longest) == (0.5, 9)


def test_a_schema_is_asked_for_as_long_as_it_can_be(start: Any) -> None:
    def answer(generation: Any) -> Any:
        return [InvalidGeneration("no schema")] if generation.response_format is not None else words("Result: 4")

    platform = start(answer)
    assert (
        platform.client.fine_tuning.alpha.graders.run(grader=SCORE, item={"question": "?"}, model_sample="x").reward
        == 4
    )
    steps = [
        generation.response_format["json_schema"]["schema"]["properties"]["steps"]["items"]["properties"]["conclusion"]
        for generation in platform.engine.asked[:-1]
    ]
    assert steps == [{"type": "string", "maxLength": 120}, {"type": "string"}], "first with limits on its texts"
    assert platform.engine.asked[-1].response_format is None


@pytest.mark.parametrize("grader", [CHECK, SIMILAR, SCORE, LABEL, PYTHON, MULTI], ids=lambda grader: grader["type"])
def test_a_grader_that_can_be_run_comes_back_as_it_was_sent(grader: Any, start: Any) -> None:
    answer = start().http.post(
        "/v1/fine_tuning/alpha/graders/validate", json={"grader": grader}, headers={"authorization": "Bearer a-key"}
    )
    assert (answer.status_code, answer.json()) == (200, {"grader": grader})


@pytest.mark.parametrize(
    ("grader", "param", "message"),
    [
        ({**CHECK, "operation": "is"}, "grader.operation", "expected 'eq', 'ne', 'like' or 'ilike', and found 'is'"),
        ({"type": "regex"}, "grader", "expected an object whose type is one of string_check"),
        ({**CHECK, "input": "{{output}}"}, "grader.input", "'{{output}}' is no variable"),
        ({**CHECK, "case": 1}, "grader.case", "there is no such field"),
        ({**CHECK, "name": None}, "grader.name", "expected a text, and found null"),
        ({**SCORE, "input": [{"role": "user", "content": 1}]}, "grader.input[0].content", "expected a text"),
        ({**PYTHON, "source": "def grade(s, i) return 1"}, "grader.source", "SyntaxError: expected ':'"),
        ({**MULTI, "graders": {"same": {**PYTHON, "source": "("}}}, "grader", "there is no grader 'alike'"),
        (
            {**MULTI, "graders": {"same": {**PYTHON, "source": "("}}, "calculate_output": "same"},
            "grader.graders.same.source",
            "SyntaxError: '(' was never closed",
        ),
    ],
)
def test_a_grader_that_cannot_be_run_is_refused(grader: Any, param: str, message: str, start: Any) -> None:
    graders = start().client.fine_tuning.alpha.graders
    with pytest.raises(openai.BadRequestError) as error:
        graders.validate(grader=grader)
    assert (error.value.param, error.value.code) == (param, "invalid_value")
    assert message in error.value.message
    if grader.get("type") not in ("python", "multi"):
        with pytest.raises(openai.BadRequestError) as again:
            graders.run(grader=grader, model_sample="x")
        assert again.value.param == param


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "grader", "missing_required_parameter"),
        ({"grader": CHECK}, "model_sample", "missing_required_parameter"),
        ({"grader": "same", "model_sample": "x"}, "grader", "invalid_type"),
        ({"grader": CHECK, "model_sample": 5}, "model_sample", "invalid_type"),
        ({"grader": CHECK, "model_sample": "x", "item": []}, "item", "invalid_type"),
        ({"grader": CHECK, "model_sample": "x", "items": {}}, "items", "unknown_parameter"),
        ({"grader": {"type": "string_check"}, "model_sample": "x"}, "grader.name", "missing_required_parameter"),
    ],
)
def test_a_request_that_cannot_be_is_refused_in_openais_shape(body: Any, param: str, code: str, start: Any) -> None:
    answer = start().http.post(
        "/v1/fine_tuning/alpha/graders/run", json=body, headers={"authorization": "Bearer a-key"}
    )
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error")


def test_many_problems_are_told_at_once(start: Any) -> None:
    grader = {"type": "label_model", "name": 1, "model": 2, "input": 3, "labels": 4, "passing_labels": 5, "x": 6}
    with pytest.raises(openai.BadRequestError) as error:
        start().client.fine_tuning.alpha.graders.validate(grader=grader)
    assert error.value.message.count("grader.") == 5
    assert "; and 1 more" in error.value.message


def test_sources_that_wait_hold_up_nobody_else_and_end_with_the_server(start: Any) -> None:
    platform = start()
    run = platform.client.fine_tuning.alpha.graders.run
    endless = {**PYTHON, "source": "while True: pass"}
    done: list[Any] = []

    def ask() -> None:
        try:
            done.append(run(grader=endless, model_sample="x"))
        except openai.APIError as error:
            done.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert run(grader=CHECK, item={"answer": "x"}, model_sample="x").reward == 1
    assert run(grader={**PYTHON, "source": "def grade(s, i): return 1"}, model_sample="x").reward == 1
    platform.stop()
    thread.join(timeout=60)
    assert done, "whoever waits is told"


def test_responses_conform_to_openais_schemas(start: Any) -> None:
    platform = start(words('{"steps": [], "result": 7.5}'))

    def post(path: str, body: Any) -> Any:
        headers = {"authorization": "Bearer a-key"}
        return platform.http.post(f"/v1/fine_tuning/alpha/graders/{path}", json=body, headers=headers).json()

    for grader in (CHECK, SCORE, PYTHON, MULTI, {**SCORE, "model": "gpt-4o"}):
        item = {"question": "?", "answer": "x", "most": 5}
        assert violations("RunGraderResponse", post("run", {"grader": grader, "item": item, "model_sample": "x"})) == []
    for grader in (CHECK, SIMILAR, SCORE, PYTHON, {**MULTI, "graders": SIMILAR, "calculate_output": "alike"}):
        assert violations("ValidateGraderResponse", post("validate", {"grader": grader})) == []
