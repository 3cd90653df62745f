"""Whatever a file says, the import ends with cases or with a sentence, and what it writes can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.cases import load_cases
from distill.migration.folder import write_import
from distill.migration.imported import ImportFailed
from distill.migration.reading import read_import
from distill.sources import SourceError

WORDS = st.sampled_from(
    [
        "",
        "x",
        "{{x}}",
        "{{item.x}}",
        "{{ x | y }}",
        "{%",
        "file://x",
        "openai:chat:x",
        "ü",
        "\x00\ud800",
        "- role: user",
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def mostly(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Nine times of ten what it should be."""
    return st.integers(0, 9).flatmap(lambda chance: right if chance else VALUES)


def objects(
    needed: dict[str, st.SearchStrategy[Any]], known: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[Any]:
    """Objects with the needed keys and some of the known ones, with values mostly as they should be."""
    return st.fixed_dictionaries(
        {key: mostly(value) for key, value in needed.items()},
        optional={key: mostly(value) for key, value in known.items()},
    )


KINDS = ["equals", "not-contains", "regex", "is-json", "python", "llm-rubric", "factuality", "bleu", "assert-set"]
TEXTS = st.sampled_from(["x", "{{x}}", "output == 'x'", "[a-", "def", "file://../x.py"])
ASSERTIONS = objects(
    {"type": st.sampled_from(KINDS), "value": TEXTS},
    {
        "threshold": st.floats(-1, 2),
        "weight": st.integers(-1, 3),
        "assert": st.lists(st.fixed_dictionaries({"type": st.just("equals"), "value": WORDS}), max_size=2),
        "provider": WORDS,
        "options": VALUES,
        "config": VALUES,
        "metric": WORDS,
    },
)
TESTS = objects(
    {"assert": st.lists(ASSERTIONS, min_size=1, max_size=3)},
    {
        "vars": st.dictionaries(st.sampled_from(["x", "y", "a b"]), VALUES, max_size=2),
        "threshold": st.floats(0, 1),
        "options": objects({}, {"provider": WORDS, "disableVarExpansion": st.booleans()}),
    },
)
CONFIGS = objects(
    {
        "prompts": st.lists(st.just("Say {{x}}") | WORDS, min_size=1, max_size=2),
        "tests": st.lists(TESTS, min_size=1, max_size=3),
    },
    {
        "defaultTest": TESTS,
        "providers": st.lists(objects({"id": WORDS}, {"config": VALUES})),
        "description": WORDS,
        "evaluateOptions": VALUES,
        "assertionTemplates": VALUES,
        "env": VALUES,
    },
)
CHECK = {
    "type": "string_check",
    "name": "x",
    "input": "{{sample.output_text}}",
    "reference": "{{item.x}}",
    "operation": "eq",
}
CRITERIA = st.just(CHECK) | objects(
    {"type": st.sampled_from(["string_check", "text_similarity", "python", "label_model", "multi"]), "name": WORDS},
    {"input": WORDS, "reference": WORDS, "operation": st.just("eq"), "source": WORDS},
)
MESSAGE = objects({"role": st.sampled_from(["user", "developer", "assistant"]), "content": WORDS}, {"name": VALUES})
MESSAGES = st.lists(MESSAGE, min_size=1, max_size=2)
ITEMS = objects(
    {"id": st.integers(0, 9).map(str), "datasource_item": st.dictionaries(WORDS, VALUES, max_size=2)},
    {"datasource_item_id": st.integers(0, 3), "created_at": VALUES},
).map(lambda item: {"object": "eval.run.output_item", "run_id": "r", **item})
ITEMS = st.tuples(ITEMS, objects({"input": MESSAGES}, {"output": VALUES})).map(
    lambda both: {**both[0], "sample": both[1]}
)
RUNS = objects(
    {
        "data_source": objects(
            {
                "input_messages": objects(
                    {"type": st.just("template"), "template": MESSAGES}, {"item_reference": WORDS}
                ),
                "source": objects({"type": st.just("file_content"), "content": st.lists(VALUES, max_size=2)}, {}),
            },
            {"sampling_params": objects({}, {"temperature": st.floats(), "response_format": VALUES})},
        )
    },
    {"created_at": VALUES, "model": VALUES, "output_items": st.lists(ITEMS, max_size=2)},
).map(lambda run: {"object": "eval.run", "id": "r", **run})
EVALS = objects(
    {"testing_criteria": st.lists(CRITERIA, min_size=1, max_size=3)},
    {"id": WORDS, "name": WORDS, "runs": st.lists(RUNS, max_size=2), "output_items": st.lists(ITEMS, max_size=3)},
).map(lambda definition: {"object": "eval", **definition})


def import_of(document: Any, folder: Path) -> None:
    path = folder / "file.json"
    path.write_text(json.dumps(document))
    output = folder / "out"
    try:
        write_import(read_import(path), output, source="file.json")
    except (ImportFailed, SourceError) as error:
        assert str(error)
        assert not output.exists()
    else:
        assert load_cases([output / "cases"])
        assert (output / "IMPORT.md").is_file()


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(CONFIGS)
def test_any_config(tmp_path_factory: pytest.TempPathFactory, document: Any) -> None:
    import_of(document, tmp_path_factory.mktemp("config"))


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(EVALS)
def test_any_eval(tmp_path_factory: pytest.TempPathFactory, document: Any) -> None:
    import_of(document, tmp_path_factory.mktemp("eval"))
