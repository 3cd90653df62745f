"""Grader objects are read as they are, or refused with the place and a sentence for each thing that is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.openai_graders import GraderInvalid, Multi, dump, parse, requirements
from distill.openai_graders.definitions import LARGEST_SOURCE, threshold_of

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "graders.md"
TYPES = ["string_check", "text_similarity", "label_model", "score_model", "python", "multi"]
METRICS = ["cosine", "fuzzy_match", "bleu", "gleu", "meteor", *(f"rouge_{kind}" for kind in "12345l")]


def refusal(data: Any) -> list[str]:
    with pytest.raises(GraderInvalid) as error:
        parse(data)
    assert len(error.value.problems) == len(str(error.value).splitlines())
    return str(error.value).splitlines()


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_comes_back_as_it_was_written(kind: str, grader_object: Any) -> None:
    data = grader_object(kind)
    assert parse(data).type == kind
    assert dump(parse(data)) == data
    saved = {**data, "id": "tone-9b87", **({"image_tag": None, "pass_threshold": None} if kind == "python" else {})}
    assert dump(parse(saved)) == saved, "as OpenAI's client saves it"


@pytest.mark.parametrize("kind", TYPES)
def test_no_required_field_may_be_missing_and_no_other_added(kind: str, grader_object: Any) -> None:
    whole = grader_object(kind)
    for name in whole:
        if name in ("type", "pass_threshold"):
            continue
        assert f"grader.{name}: this field is required" in refusal(grader_object(kind, **{name: None}))
    assert refusal({**whole, "treshold": 1}) == ["grader.treshold: there is no such field in a grader of this type"]


LISTED = ", ".join(TYPES)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, f"grader: expected an object whose type is one of {LISTED}, and found null"),
        (5, f"grader: expected an object whose type is one of {LISTED}, and found 5"),
        ([], f"grader: expected an object whose type is one of {LISTED}, and found a list"),
        ({}, f"grader: expected an object whose type is one of {LISTED}; it has no type"),
        ({"type": "regex"}, f"grader: expected an object whose type is one of {LISTED}; its type is 'regex'"),
        ({"type": ["python"]}, f"grader: expected an object whose type is one of {LISTED}; its type is a list"),
    ],
)
def test_what_is_no_grader_at_all(data: Any, message: str) -> None:
    assert refusal(data) == [message]


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("string_check", {"operation": "same"}, "operation: expected 'eq', 'ne', 'like' or 'ilike', and found 'same'"),
        ("string_check", {"operation": True}, "operation: expected 'eq', 'ne', 'like' or 'ilike', and found true"),
        ("string_check", {"input": 3}, "input: expected a text, and found 3"),
        ("string_check", {"name": ""}, "name: expected a text that is not empty, and found ''"),
        ("string_check", {"pass_threshold": 1}, "pass_threshold: there is no such field in a grader of this type"),
        (
            "string_check",
            {"input": "{{output}}"},
            "input: '{{output}}' is no variable: one begins with `item.` or `sample.`, as in {{item.answer}}",
        ),
        ("text_similarity", {"pass_threshold": "0.5"}, "pass_threshold: expected a number, and found '0.5'"),
        ("text_similarity", {"pass_threshold": True}, "pass_threshold: expected a number, and found true"),
        ("text_similarity", {"pass_threshold": float("nan")}, "pass_threshold: expected a finite number"),
        ("label_model", {"labels": []}, "labels: expected at least 1 of them"),
        ("label_model", {"input": []}, "input: expected at least 1 of them"),
        ("label_model", {"model": ""}, "model: expected a text that is not empty, and found ''"),
        ("score_model", {"range": [0]}, "range: expected at least 2 of them"),
        ("score_model", {"range": [0, 1, 2]}, "range: expected at most 2 of them"),
        ("score_model", {"sampling_params": {"temperature": "hot"}}, "sampling_params.temperature: expected a number"),
        ("score_model", {"sampling_params": {"n": 2}}, "sampling_params.n: there is no such field"),
        ("score_model", {"input": [{"role": "tool", "content": "x"}]}, "input[0].role: expected 'user', 'assistant'"),
        ("score_model", {"input": [{"role": "user", "content": 1}]}, "input[0].content: expected a text, an object"),
        ("score_model", {"input": [{"role": "user", "content": {"type": "text", "text": "x"}}]}, "its type is 'text'"),
        (
            "score_model",
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "{{x}}"}]}]},
            "input[0].content[0].text: '{{x}}' is no variable",
        ),
        ("python", {"source": ""}, "source: expected a text that is not empty, and found ''"),
        ("python", {"source": "x\0"}, "source: a Python source holds no NUL character"),
        ("python", {"source": "é" * LARGEST_SOURCE}, "source: a source has at most 262,144 bytes"),
    ],
)
def test_a_field_that_cannot_be_is_named(kind: str, fields: dict[str, Any], message: str, grader_object: Any) -> None:
    (line,) = refusal(grader_object(kind, **fields))
    assert line.startswith("grader.")
    assert message in line


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (
            "label_model",
            {"passing_labels": ["rude", "kind"]},
            "passing_labels holds 'kind', which is none of the labels",
        ),
        ("label_model", {"labels": ["polite", "neutral", "polite"]}, "labels holds the same label twice"),
        ("score_model", {"range": [1, 1]}, "range goes from 1 to 1; the first has to be the smaller"),
        (
            "multi",
            {"calculate_output": "exact + other"},
            "calculate_output: there is no grader 'other' here; the graders",
        ),
        ("multi", {"calculate_output": "__import__('os')"}, "calculate_output: there is no function '__import__'"),
    ],
)
def test_fields_that_do_not_fit_each_other(kind: str, fields: dict[str, Any], message: str, grader_object: Any) -> None:
    (line,) = refusal(grader_object(kind, **fields))
    assert line.startswith(f"grader: {message}")


def test_every_problem_is_told_at_once_under_the_name_that_was_asked_for(grader_object: Any) -> None:
    with pytest.raises(GraderInvalid) as error:
        parse(grader_object("string_check", operation="is", input=1, reference=None), path="testing_criteria[2]")
    assert [problem.path for problem in error.value.problems] == [
        "testing_criteria[2].input",
        "testing_criteria[2].reference",
        "testing_criteria[2].operation",
    ]
    assert [problem.location for problem in error.value.problems] == [("input",), ("reference",), ("operation",)]
    assert [problem.missing for problem in error.value.problems] == [False, True, False]


def test_graders_inside_of_a_multi_are_checked(grader_object: Any) -> None:
    parts = {"a": grader_object("python", source=None), "b": {"type": "multi"}, "c": {"type": "string_check"}}
    lines = refusal(grader_object("multi", graders=parts))
    assert "grader.graders.a.source: this field is required" in lines
    assert any(line.startswith("grader.graders.b: expected an object whose type is one of string_") for line in lines)
    assert "grader.graders.c.name: this field is required" in lines
    (line,) = refusal(grader_object("multi", graders={"a": grader_object("python")} | {"b": 1}))
    assert line.endswith(", and found 1")


@pytest.mark.parametrize("name", ["a-b", "1st", "", "a b", "min", "log", "if", "None", "é", "a.b", "type:x"])
def test_a_name_that_cannot_stand_in_a_formula(name: str, grader_object: Any) -> None:
    (line,) = refusal(grader_object("multi", graders={name: grader_object("python")}, calculate_output="1"))
    assert "cannot stand in a formula" in line


def test_a_list_of_graders_or_a_single_one_is_taken_as_in_openais_specification(grader_object: Any) -> None:
    several = [grader_object("string_check", name="Exact match!"), grader_object("text_similarity", name="2nd")]
    formula = "0.5 * text_similarity_score + 0.5 * string_check_score"
    multi = parse(grader_object("multi", graders=several, calculate_output=formula))
    assert isinstance(multi, Multi)
    assert list(multi.parts) == ["exact_match", "grader_2nd"]
    assert multi.variables == {
        "exact_match": "exact_match",
        "grader_2nd": "grader_2nd",
        "string_check_score": "exact_match",
        "text_similarity_score": "grader_2nd",
    }
    assert dump(multi)["graders"] == several
    single = parse(grader_object("multi", graders=several[0], calculate_output="exact_match"))
    assert dump(single)["graders"] == several[0]
    twice = [several[0], several[0]]
    (line,) = refusal(grader_object("multi", graders=twice, calculate_output="1"))
    assert "two of them are called 'exact_match'" in line


def test_what_a_grader_needs(grader_object: Any) -> None:
    parts = {
        "a": grader_object("score_model", model="one"),
        "b": grader_object("label_model", model="two"),
        "c": grader_object("python"),
        "d": grader_object("text_similarity", evaluation_metric="cosine"),
    }
    needs = requirements(parse(grader_object("multi", graders=parts, calculate_output="a+b+c+d")))
    assert (needs.models, needs.sandbox, needs.embeddings) == ({"one", "two"}, True, True)
    needs = requirements(parse(grader_object("string_check")))
    assert (needs.models, needs.sandbox, needs.embeddings) == (frozenset(), False, False)


@pytest.mark.parametrize(
    ("kind", "fields", "threshold"),
    [
        ("string_check", {}, 1),
        ("label_model", {}, 1),
        ("text_similarity", {}, 0.8),
        ("text_similarity", {"pass_threshold": None}, 0.5),
        ("score_model", {"range": [1, 5]}, 3),
        ("score_model", {"range": [1, 5], "pass_threshold": 4}, 4),
        ("python", {}, 0.5),
        ("python", {"pass_threshold": 0}, 0),
        ("multi", {}, 0.5),
    ],
)
def test_from_which_score_on_a_grader_passes(
    kind: str, fields: dict[str, Any], threshold: float, grader_object: Any
) -> None:
    assert threshold_of(parse(grader_object(kind, **fields))) == threshold


def test_the_guides_object_can_be_read() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    grader = parse(json.loads(example))
    assert grader.type == "multi"
    assert requirements(grader).sandbox


TEXTS = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=20)
TEMPLATES = st.lists(st.one_of(TEXTS, st.just("{{item.a}}"), st.just("{{ sample.output_text }}")), max_size=3).map(
    "".join
)
NAMES = st.text(min_size=1, max_size=20)
NUMBERS = st.floats(-1e6, 1e6)
CONTENT_PART = st.one_of(
    TEMPLATES,
    st.fixed_dictionaries({"type": st.sampled_from(["input_text", "output_text"]), "text": TEMPLATES}),
    st.fixed_dictionaries(
        {"type": st.just("input_image"), "image_url": TEMPLATES}, optional={"detail": st.sampled_from(["high", None])}
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("input_audio"),
            "input_audio": st.fixed_dictionaries({"data": TEMPLATES, "format": st.sampled_from(["mp3", "wav"])}),
        }
    ),
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant", "system", "developer"]),
            "content": st.one_of(CONTENT_PART, st.lists(CONTENT_PART, min_size=1, max_size=3)),
        },
        optional={"type": st.just("message")},
    ),
    min_size=1,
    max_size=3,
)
THRESHOLD = {"pass_threshold": st.one_of(st.none(), NUMBERS)}
SIMPLE = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("string_check"),
            "name": NAMES,
            "input": TEMPLATES,
            "reference": TEMPLATES,
            "operation": st.sampled_from(["eq", "ne", "like", "ilike"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("text_similarity"),
            "name": NAMES,
            "input": TEMPLATES,
            "reference": TEMPLATES,
            "evaluation_metric": st.sampled_from(METRICS),
        },
        optional=THRESHOLD,
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("label_model"),
            "name": NAMES,
            "model": NAMES,
            "input": MESSAGES,
            "labels": st.just(["a", "b"]),
            "passing_labels": st.sampled_from([[], ["a"], ["a", "b"]]),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("score_model"), "name": NAMES, "model": NAMES, "input": MESSAGES},
        optional={
            **THRESHOLD,
            "range": st.one_of(st.none(), st.just([0, 10]), st.just([-1.5, 1])),
            "sampling_params": st.fixed_dictionaries({}, optional={"seed": st.integers(), "temperature": st.just(1)}),
        },
    ),
    st.fixed_dictionaries(
        {"type": st.just("python"), "name": NAMES, "source": st.just("def grade(sample, item): return 1")},
        optional={**THRESHOLD, "image_tag": NAMES},
    ),
)
GRADERS = st.one_of(
    SIMPLE,
    st.fixed_dictionaries(
        {
            "type": st.just("multi"),
            "name": NAMES,
            "graders": st.fixed_dictionaries({"a": SIMPLE}, optional={"b": SIMPLE}),
            "calculate_output": st.sampled_from(["a", "2 * a", "min(a, 1) ^ 2"]),
        }
    ),
)


@given(GRADERS)
def test_what_is_dumped_is_read_as_the_same(data: dict[str, Any]) -> None:
    grader = parse(data)
    assert dump(grader) == data
    assert parse(dump(grader)) == grader
    assert parse(json.loads(json.dumps(dump(grader)))) == grader


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)


@given(st.sampled_from(TYPES), GRADERS, st.data())
def test_a_grader_with_any_value_in_any_place_is_read_or_refused(kind: str, data: dict[str, Any], draw: Any) -> None:
    field = draw.draw(st.sampled_from([*data, "extra"]))
    changed = {**data, field: draw.draw(st.one_of(JSON, st.just(kind)))}
    try:
        assert parse(dump(parse(changed))) == parse(changed)
    except GraderInvalid as error:
        assert all(problem.path.startswith("grader") and problem.message for problem in error.problems)
