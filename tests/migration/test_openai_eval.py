"""An eval as it was saved from OpenAI becomes cases: what is asked, about what, and graded by its own criteria."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.cases import load_cases
from distill.migration.folder import write_import
from distill.migration.imported import Import, ImportedCase, ImportFailed
from distill.migration.reading import read_import

CRITERION = {
    "type": "string_check",
    "name": "Same label",
    "id": "Same label-1f",
    "operation": "eq",
    "input": "{{sample.output_text}}",
    "reference": "{{item.label}}",
}
EVAL = {
    "id": "eval_1",
    "object": "eval",
    "name": "News: topics!",
    "created_at": 1,
    "data_source_config": {"type": "custom", "schema": {"type": "object"}},
    "testing_criteria": [CRITERION],
    "metadata": {},
}
TEMPLATE = [
    {"type": "message", "role": "developer", "content": {"type": "input_text", "text": "Say the topic."}},
    {"role": "user", "content": [{"type": "input_text", "text": "{{item.headline}}"}]},
]
RUN = {
    "id": "evalrun_1",
    "object": "eval.run",
    "eval_id": "eval_1",
    "created_at": 5,
    "status": "completed",
    "model": "gpt-4o-mini",
    "data_source": {
        "type": "completions",
        "model": "gpt-4o-mini",
        "input_messages": {"type": "template", "template": TEMPLATE},
        "sampling_params": {"seed": 42, "temperature": 1.0, "max_completions_tokens": 2048, "top_p": None, "tools": []},
        "source": {
            "type": "file_content",
            "content": [
                {"item": {"headline": "Stocks fall {{item.label}}", "label": "Markets"}},
                {"item": {"headline": "A cure", "label": "Science"}, "sample": {}},
            ],
        },
    },
}


def item(number: int, run: str = "evalrun_1", **fields: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": "Say the topic."}, {"role": "user", "content": f"Headline {number}"}]
    return {
        "id": f"outputitem_{run}_{number}",
        "object": "eval.run.output_item",
        "eval_id": "eval_1",
        "run_id": run,
        "datasource_item_id": number,
        "datasource_item": {"headline": f"Headline {number}", "label": "World"},
        "results": [{"name": "Same label-1f", "passed": True, "score": 1.0}],
        "sample": {"input": messages, "output": [{"role": "assistant", "content": "World"}], "error": None},
        **fields,
    }


def save(folder: Path, name: str, *values: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("\n".join(json.dumps(value) for value in values))
    return path


def test_its_output_items_are_the_cases(tmp_path: Path) -> None:
    path = save(tmp_path, "eval.json", EVAL)
    save(tmp_path, "whatever.jsonl", item(137), item(138), item(9, eval_id="eval_2"))

    found = read_import(path)

    assert [case.id for case in found.cases] == ["news-topics-137", "news-topics-138"]
    first = found.cases[0]
    assert first.messages == [
        {"role": "system", "content": "Say the topic."},
        {"role": "user", "content": "Headline 137"},
    ]
    assert first.item == {"headline": "Headline 137", "label": "World"}
    assert first.graders == [{name: value for name, value in CRITERION.items() if name != "id"}]
    assert found.remarks.left_out == {}


@pytest.mark.parametrize(
    "document",
    [
        {**EVAL, "output_items": [item(1)]},
        {**EVAL, "runs": [{**RUN, "output_items": [item(1)]}]},
        {"eval": EVAL, "runs": [RUN], "output_items": {"object": "list", "data": [item(1)], "has_more": False}},
    ],
)
def test_they_may_be_inside_of_the_file(document: Any, tmp_path: Path) -> None:
    found = read_import(save(tmp_path, "saved.json", document))

    assert [case.item["headline"] for case in found.cases] == ["Headline 1"]


def test_without_output_items_the_run_s_own_template_asks(tmp_path: Path) -> None:
    path = save(tmp_path, "eval.json", EVAL)
    save(tmp_path, "runs.json", {"object": "list", "data": [RUN]})

    found = read_import(path)

    assert [case.messages[1]["content"] for case in found.cases] == ["Stocks fall {{item.label}}", "A cure"]
    assert found.cases[0].messages[0] == {"role": "system", "content": "Say the topic."}
    assert found.models == ["gpt-4o-mini"]
    assert found.sampling == {"seed": 42, "temperature": 1.0, "max_completion_tokens": 2048}


def test_rows_of_a_file_are_found_in_an_export(tmp_path: Path) -> None:
    source = {**RUN["data_source"], "source": {"type": "file_id", "id": "file-1"}}  # type: ignore[dict-item]
    source["input_messages"] = {"type": "item_reference", "item_reference": "item.messages"}
    save(tmp_path, "evals.jsonl", EVAL)
    save(tmp_path, "eval_runs.jsonl", {**RUN, "data_source": source})
    messages = [{"role": "user", "content": "One {{item.x}}"}]
    save(tmp_path / "files", "file-1", {"item": {"messages": messages, "label": "a"}})

    (case,) = read_import(tmp_path).cases

    assert case.messages == messages
    assert case.item["label"] == "a"


def test_the_latest_run_with_items_is_taken_or_the_one_that_is_named(tmp_path: Path) -> None:
    path = save(tmp_path, "eval.json", EVAL)
    later = {**RUN, "id": "evalrun_2", "created_at": 9}
    empty = {**RUN, "id": "evalrun_3", "created_at": 10, "data_source": {"type": "completions"}}
    save(tmp_path, "runs.jsonl", RUN, later, empty)
    save(tmp_path, "items.jsonl", item(1), item(2, run="evalrun_2"))

    assert [case.id for case in read_import(path).cases] == ["news-topics-2"]
    assert "--run ID takes one of the 2 others" in str(read_import(path).remarks.changed)
    assert [case.id for case in read_import(path, run="evalrun_1").cases] == ["news-topics-1"]
    with pytest.raises(ImportFailed, match="there is no run 'evalrun_9' among the saved ones: evalrun_1, evalrun_2"):
        read_import(path, run="evalrun_9")


def test_of_several_evals_one_has_to_be_named(tmp_path: Path) -> None:
    save(tmp_path, "evals.jsonl", EVAL, {**EVAL, "id": "eval_2", "name": "Other"})
    save(tmp_path, "eval_output_items.jsonl", item(1), item(2, eval_id="eval_2"))

    with pytest.raises(
        ImportFailed, match=r"holds 2 evals; choose one with --eval ID:\n  eval_1  News: topics!\n  eval_2"
    ):
        read_import(tmp_path)
    assert [case.id for case in read_import(tmp_path, name="eval_2").cases] == ["other-2"]


def test_an_eval_of_given_answers_needs_a_prompt(tmp_path: Path) -> None:
    path = save(tmp_path, "eval.json", EVAL)
    given = {**RUN, "data_source": {"type": "jsonl", "source": RUN["data_source"]["source"]}}  # type: ignore[index]
    save(tmp_path, "runs.json", given)

    with pytest.raises(
        ImportFailed, match=r"no model was asked.*\n.*no model was asked.*\n.*--prompt '\{\{item.question"
    ):
        read_import(path)
    cases = read_import(path, prompt="Topic of {{item.headline}}?").cases
    assert cases[1].messages == [{"role": "user", "content": "Topic of A cure?"}]


@pytest.mark.parametrize(
    ("criterion", "reason"),
    [
        ({**CRITERION, "operation": "starts"}, "operation: expected 'eq', 'ne', 'like' or 'ilike', and found 'starts'"),
        ({**CRITERION, "reference": "{{item"}, "never closed"),
        ({"type": "python", "name": "code", "source": "import torch\ndef grade(s, i): return 1"}, "imports 'torch'"),
        ({"type": "python", "name": "code", "source": "def grade(:"}, "its code is not Python"),
        ({"type": "new_type", "name": "new"}, "its type is 'new_type'"),
        ("text", "it is no grader object"),
    ],
)  # fmt: skip
def test_a_criterion_that_cannot_run_here_is_listed(criterion: Any, reason: str, tmp_path: Path) -> None:
    path = save(tmp_path, "eval.json", {**EVAL, "testing_criteria": [criterion, CRITERION], "output_items": [item(1)]})

    found = read_import(path)

    assert reason in str(found.remarks.left_out)
    assert [grader["name"] for grader in found.cases[0].graders] == ["Same label"]


def test_an_item_that_cannot_be_asked_is_listed(tmp_path: Path) -> None:
    picture = [{"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/x.png"}]}]
    called = [{"role": "tool", "content": "42"}]
    items = [item(1), item(2, sample={"input": picture}), item(3, sample={"input": called}), item(1)]
    path = save(tmp_path, "eval.json", {**EVAL, "output_items": items})

    found = read_import(path)

    assert [case.id for case in found.cases] == ["news-topics-1"]
    assert "item 2" in str(found.remarks.left_out)
    assert "input_image in it, and only text is sent" in str(found.remarks.left_out)
    assert "a message of the role 'tool'" in str(found.remarks.left_out)


def test_a_judge_that_is_shut_down_is_mentioned(tmp_path: Path) -> None:
    judge = {"type": "score_model", "name": "tone", "model": "gpt-4o-2024-08-06", "input": TEMPLATE[:1]}
    found = read_import(save(tmp_path, "eval.json", {**EVAL, "testing_criteria": [judge], "output_items": [item(1)]}))

    assert "shut down on 14 January 2027; --judge NAME asks another" in str(found.remarks.changed)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "expected an eval saved from OpenAI"),
        ('"text"', "expected an eval saved from OpenAI"),
        (json.dumps(EVAL), "the eval has no items here"),
        (
            json.dumps({**EVAL, "testing_criteria": []}),
            "none of the testing criteria of 'News: topics!' can be run here",
        ),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_file_that_is_no_eval_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "eval.json"
    path.write_text(text)

    with pytest.raises(ImportFailed) as caught:
        read_import(path)

    assert words in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=3), st.lists(st.text(), min_size=1, max_size=3))
def test_an_item_and_its_messages_are_the_same_after_the_way_through_yaml(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any], texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("import") / "out"
    messages = [{"role": "user", "content": text} for text in texts]
    graders = [{**CRITERION, "name": text or "none"} for text in texts]
    case = ImportedCase(id="one-1", messages=messages, item=values, graders=graders)

    write_import(Import(name="one", origin="a test", cases=[case]), folder, source="x")

    (read,) = load_cases([folder / "cases"])
    assert read.item == values
    assert [{"role": one.role, "content": one.content} for one in read.messages] == messages
    assert list(read.graders) == graders
