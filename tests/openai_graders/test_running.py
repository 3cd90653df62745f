"""Each type from its object to its result, and every way in which there can be none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from distill.openai_graders import GraderErrors, ModelFailed, Reply, TokenUsage, Tools, sample_of
from distill.openai_graders.tools import SourceOutcome


def flags(result: Any) -> set[str]:
    return {name for name, value in result.errors.object().items() if value is True}


@pytest.mark.parametrize(
    ("operation", "text", "reference", "score"),
    [
        ("eq", "Paris", "Paris", 1),
        ("eq", "paris", "Paris", 0),
        ("eq", "Paris ", "Paris", 0),
        ("ne", "paris", "Paris", 1),
        ("ne", "Paris", "Paris", 0),
        ("like", "It is Paris.", "Paris", 1),
        ("like", "It is paris.", "Paris", 0),
        ("like", "Paris", "It is Paris.", 0),
        ("ilike", "it is PARIS.", "Paris", 1),
        ("ilike", "STRASSE", "straße", 1),
        ("ilike", "Rome", "Paris", 0),
        ("like", "100%", "%", 1),
        ("like", "abc", "a%c", 0),
        ("like", "anything", "", 1),
    ],
)
def test_string_check(
    operation: str, text: str, reference: str, score: int, grader_object: Any, run_grader: Any
) -> None:
    result = run_grader(grader_object("string_check", operation=operation), text, {"answer": reference})
    assert (result.score, result.passed, result.errors.any) == (score, score == 1, False)
    assert (result.name, result.type) == ("same", "string_check")


def test_text_similarity_passes_from_its_threshold_on(grader_object: Any, run_grader: Any) -> None:
    data = grader_object("text_similarity", evaluation_metric="rouge_1", pass_threshold=0.5)
    assert run_grader(data, "a b", {"answer": "a b"}).passed
    half = run_grader(data, "a b", {"answer": "a c"})
    assert (half.score, half.passed) == (0.5, True)
    below = run_grader(data, "a b c", {"answer": "a d e"})
    assert not below.passed and not below.errors.any


def test_cosine_is_computed_from_the_embeddings_that_there_are(grader_object: Any, run_grader: Any) -> None:
    async def embed(texts: Any) -> list[list[float]]:
        return [[1.0, 0.0] if text == "a" else [1.0, 1.0] for text in texts]

    async def broken(_texts: Any) -> list[list[float]]:
        raise ModelFailed("the model is gone")

    async def nonsense(_texts: Any) -> list[list[float]]:
        return [[1.0], [1.0, 2.0]]

    data = grader_object("text_similarity", evaluation_metric="cosine", pass_threshold=0.7)
    result = run_grader(data, "a", {"answer": "b"}, Tools(embed=embed))
    assert result.score == pytest.approx(0.7071, abs=1e-4) and result.passed
    for tools, words in (
        (Tools(), "there is no model for those here"),
        (Tools(embed=broken), "the model is gone"),
        (Tools(embed=nonsense), "of one length"),
    ):
        failed = run_grader(data, "a", {"answer": "b"}, tools)
        assert (failed.score, failed.passed, flags(failed)) == (0, False, {"other_error"})
        assert words in failed.problems[0]


def test_texts_that_are_too_long_to_compare(grader_object: Any, run_grader: Any) -> None:
    for metric in ("rouge_l", "cosine"):
        result = run_grader(grader_object("text_similarity", evaluation_metric=metric), "a" * 60_000, {"answer": "b"})
        assert (result.score, flags(result)) == (0, {"truncated_observation_error"})


@pytest.mark.parametrize("kind", ["string_check", "text_similarity", "label_model", "score_model"])
def test_a_variable_that_is_not_there(kind: str, grader_object: Any, run_grader: Any, scripted_model: Any) -> None:
    text = "{{item.missing}} {{sample.output_text}}"
    field = {"input": [{"role": "user", "content": text}] if kind.endswith("model") else text}
    model = scripted_model("1")
    result = run_grader(grader_object(kind, **field), "x", {"answer": "x"}, Tools(ask=model))
    assert (result.score, result.passed, flags(result)) == (0, False, {"invalid_variable_error"})
    assert result.problems == ("{{item.missing}} has no value: there is no 'missing' in an object with 'answer'",)
    assert model.asked == []


def test_an_answer_that_had_to_be_json(grader_object: Any, run_grader: Any) -> None:
    data = grader_object("string_check", input="{{sample.output_json.city}}", reference="Paris")
    assert run_grader(data, '{"city": "Paris"}').score == 1
    assert flags(run_grader(data, "Paris")) == {"sample_parse_error"}
    assert flags(run_grader(data, '{"town": "Paris"}')) == {"invalid_variable_error"}


@pytest.mark.parametrize(
    ("reply", "fields", "score", "passed"),
    [
        ('{"result": 0.75}', {}, 0.75, True),
        ('{"result": 0.4}', {}, 0.4, False),
        ('{"result": 0.4}', {"pass_threshold": 0.4}, 0.4, True),
        ('{"result": 7}', {}, 1, True),
        ('{"result": -7}', {}, 0, False),
        ('{"result": 7}', {"range": [1, 10]}, 7, True),
        ('{"result": 0}', {"range": [1, 10]}, 1, False),
        ('{"result": 11}', {"range": [1, 10]}, 10, True),
        ("I would say\n0.9", {}, 0.9, True),
    ],
)
def test_score_model(
    reply: str,
    fields: dict[str, Any],
    score: float,
    passed: bool,
    grader_object: Any,
    run_grader: Any,
    scripted_model: Any,
) -> None:
    model = scripted_model(reply)
    result = run_grader(grader_object("score_model", **fields), "hello", tools=Tools(ask=model))
    assert (result.score, result.passed, result.errors) == (score, passed, GraderErrors())
    assert (result.model, result.reply) == ("judge-2026", reply)
    assert result.usage == {"judge-2026": TokenUsage(prompt_tokens=7, completion_tokens=3)}
    ((name, messages, _),) = model.asked
    assert name == "judge"
    assert messages[1] == {"role": "user", "content": "Answer: hello"}


def test_label_model(grader_object: Any, run_grader: Any, scripted_model: Any) -> None:
    data = grader_object("label_model")
    for label, passes in (("polite", True), ("neutral", True), ("rude", False)):
        result = run_grader(data, "hello", tools=Tools(ask=scripted_model(f'{{"steps": [], "result": "{label}"}}')))
        assert (result.label, result.score, result.passed) == (label, float(passes), passes)
        assert not result.errors.any


@pytest.mark.parametrize("kind", ["label_model", "score_model"])
def test_a_model_that_gives_no_grade(kind: str, grader_object: Any, run_grader: Any, scripted_model: Any) -> None:
    data = grader_object(kind)
    unread = run_grader(data, "x", tools=Tools(ask=scripted_model("I would rather not say.")))
    assert flags(unread) == {"model_grader_parse_error"}
    assert unread.usage, "what it cost is counted"
    refusal = Reply(text="", model="judge", usage=TokenUsage(), refusal="I can't do that.")
    refused = run_grader(data, "x", tools=Tools(ask=scripted_model(refusal)))
    assert flags(refused) == {"model_grader_refusal_error"}
    down = run_grader(data, "x", tools=Tools(ask=scripted_model(ModelFailed("the server is down"))))
    assert flags(down) == {"model_grader_server_error"}
    assert down.errors.model_grader_server_error_details == "the server is down"
    nobody = run_grader(data, "x")
    assert flags(nobody) == {"model_grader_server_error"}
    for result in (unread, refused, down, nobody):
        assert (result.score, result.passed, len(result.problems)) == (0, False, 1)


class Box:
    """A source runner that keeps what it was given."""

    def __init__(self, outcome: SourceOutcome) -> None:
        self.outcome = outcome
        self.ran: list[Any] = []

    async def __call__(self, source: str, sample: Mapping[str, Any], item: Mapping[str, Any], /) -> SourceOutcome:
        self.ran.append((source, sample, item))
        return self.outcome


def test_a_python_source_gets_sample_and_item_as_they_are(grader_object: Any, run_grader: Any) -> None:
    box = Box(SourceOutcome(score=0.7))
    data = grader_object("python", source="def grade(sample, item): return '{{item.answer}}'")
    result = run_grader(data, '{"a": 1}', {"answer": [1]}, Tools(sandbox=box))
    assert (result.score, result.passed, result.errors.any) == (0.7, True, False)
    assert box.ran == [(data["source"], {"output_text": '{"a": 1}', "output_json": {"a": 1}}, {"answer": [1]})]


def test_a_python_source_without_a_score(grader_object: Any, run_grader: Any) -> None:
    data = grader_object("python")
    raised = run_grader(
        data, "x", tools=Tools(sandbox=Box(SourceOutcome(score=None, problem="Traceback:\nKeyError: 1")))
    )
    assert flags(raised) == {"python_grader_runtime_error"}
    assert raised.errors.python_grader_runtime_error_details == "Traceback:\nKeyError: 1"
    assert raised.problems == ("grade() gave no score: KeyError: 1",)
    for tools in (Tools(), Tools(sandbox=Box(SourceOutcome(score=None, unavailable="there is no sandbox")))):
        result = run_grader(data, "x", tools=tools)
        assert flags(result) == {"python_grader_server_error"}
        assert result.errors.python_grader_server_error_type == "sandbox_unavailable"
        assert (result.score, result.passed) == (0, False)


def test_multi_computes_its_formula_from_its_parts(grader_object: Any, run_grader: Any, scripted_model: Any) -> None:
    result = run_grader(grader_object("multi"), "a b", {"answer": "a c"})
    assert result.sub_scores == {"exact": 0, "close": 0.5}
    assert (result.score, result.passed, result.errors.any) == (0.375, False, False)
    parts = {"first": grader_object("score_model"), "second": grader_object("label_model", model="other")}
    data = grader_object("multi", graders=parts, calculate_output="10 * first + second")
    model = scripted_model('{"result": 0.5}', '{"result": "polite"}', '{"result": "polite"}')
    asked = run_grader(data, "x", tools=Tools(ask=model))
    assert asked.score == 6, "a multi grader's score has no range"
    assert set(asked.usage) == {"judge-2026", "other-2026"}


def test_a_part_with_an_error_leaves_no_score(grader_object: Any, run_grader: Any, scripted_model: Any) -> None:
    parts = {"good": grader_object("string_check"), "bad": grader_object("score_model")}
    data = grader_object("multi", graders=parts, calculate_output="good - bad")
    result = run_grader(data, "x", {"answer": "x"}, Tools(ask=scripted_model("no idea")))
    assert (result.score, result.passed, flags(result)) == (0, False, {"model_grader_parse_error"})
    assert result.sub_scores == {"good": 1, "bad": 0}
    assert result.problems == ("bad: the model's reply holds no number",)


def test_a_formula_without_a_value(grader_object: Any, run_grader: Any) -> None:
    result = run_grader(grader_object("multi", calculate_output="1 / exact"), "a", {"answer": "b"})
    assert (result.score, flags(result)) == (0, {"formula_parse_error"})
    assert result.problems == ("'1 / exact' divides by zero",)


def test_a_response_is_shaped_as_openais(grader_object: Any, run_grader: Any, scripted_model: Any) -> None:
    result = run_grader(grader_object("score_model"), "x", tools=Tools(ask=scripted_model('{"result": 0.5}')))
    response = result.response()
    assert response["reward"] == 0.5
    assert response["metadata"]["token_usage"] == 10
    assert response["metadata"]["sampled_model_name"] == "judge-2026"
    assert response["metadata"]["errors"]["model_grader_parse_error"] is False
    assert response["metadata"]["execution_time"] > 0
    assert response["model_grader_token_usage_per_model"] == {
        "judge-2026": {"prompt_tokens": 7, "completion_tokens": 3, "cached_tokens": 0, "total_tokens": 10}
    }
    assert run_grader(grader_object("multi"), "x", {"answer": "x"}).response()["sub_rewards"] == {
        "exact": 1,
        "close": 1,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [('{"a": [1]}', {"a": [1]}), ("5", 5), ('"x"', "x"), ("null", None), (' {"a": 1}\n', {"a": 1}), ("[[]]", [[]])],
)
def test_an_answer_that_is_json_is_there_as_such(text: str, value: Any) -> None:
    assert sample_of(text) == {"output_text": text, "output_json": value}


@pytest.mark.parametrize(
    "text", ["", "hello", "{'a': 1}", '{"a": NaN}', "Infinity", "[" * 100_000, "[" * 101 + "]" * 101, "9" * 10_000]
)
def test_any_other_answer_is_text_alone(text: str) -> None:
    assert sample_of(text) == {"output_text": text}


def test_a_completion_gives_the_sample_its_choices_and_tool_calls() -> None:
    calls = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    message = {"role": "assistant", "content": None, "tool_calls": calls, "audio": {"data": "UklG", "transcript": "hi"}}
    completion = {"model": "small", "choices": [{"index": 0, "message": message}]}
    assert sample_of("", completion) == {
        "output_text": "",
        "choices": completion["choices"],
        "model": "small",
        "output_tools": calls,
        "output_audio": {"data": "UklG", "transcript": "hi"},
    }
    assert sample_of("x", {"choices": []}) == {"output_text": "x", "choices": [], "model": None, "output_tools": []}
