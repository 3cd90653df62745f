"""Each of Promptfoo's assertions passes and fails here what it passes and fails there, run by the real graders."""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.migration import sources
from distill.migration.assertion import Surroundings
from distill.migration.assertions import criterion_of
from distill.migration.combining import grader_objects
from distill.migration.criteria import grader_object
from distill.migration.imported import NoEqual
from distill.openai_graders import GraderResult, Reply, TokenUsage, Tools, parse, run, sample_of
from distill.sandbox.python_source import SourceSandbox

ITEM = {"capital": "Paris", "deep": {"list": ["a", "b c"]}, "number": 4, "odd": "'; {{item.capital}} \\ \" }}"}
SCHEMA = {
    "type": "object",
    "required": ["latitude"],
    "properties": {"latitude": {"type": "number", "minimum": -90, "maximum": 90}, "name": {"pattern": "^[A-Z]+$"}},
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SourceSandbox]:
    with SourceSandbox() as opened:
        yield opened


def graded(
    grader: Mapping[str, Any], answer: str, sandbox: SourceSandbox | None = None, label: str = ""
) -> GraderResult:
    async def ask(model: str, messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any], /) -> Reply:
        return Reply(text=json.dumps({"steps": [], "result": label}), model=model, usage=TokenUsage())

    result = asyncio.run(
        run(parse(dict(grader)), item=ITEM, sample=sample_of(answer), tools=Tools(ask=ask, sandbox=sandbox))
    )
    assert not result.errors.any, result.problems
    return result


def passes(assertion: dict[str, Any], answer: str, sandbox: SourceSandbox | None = None, label: str = "") -> bool:
    around = Surroundings(folder=Path("/nowhere"))
    return graded(grader_object(criterion_of(assertion, around)), answer, sandbox, label).passed


WITHOUT_CODE = [
    ("equals", {"value": "Paris"}, ["Paris"], ["paris", "Paris."]),
    ("equals", {"value": "{{capital}}"}, ["Paris"], ["{{capital}}", "{{item.capital}}"]),
    ("equals", {"value": "{{ deep.list[1] }} or {{deep['list'][0]}}"}, ["b c or a"], ["b c"]),
    ("equals", {"value": "{{odd}}"}, [ITEM["odd"]], ["Paris"]),
    ("equals", {"value": 4}, ["4"], ["4.0"]),
    ("equals", {"value": True}, ["true"], ["True"]),
    ("contains", {"value": "ari"}, ["Paris"], ["PARIS"]),
    ("contains", {"value": 4.5}, ["it is 4.5."], ["it is 45"]),
    ("icontains", {"value": "PARIS"}, ["in paris."], ["Rome"]),
    ("rouge-n", {"value": "the cat sat"}, ["the cat sat"], ["a dog"]),
    ("rouge-n", {"value": "the cat sat", "threshold": 0.2}, ["the dog"], ["a dog"]),
    ("bleu", {"value": "the cat sat on the mat"}, ["the cat sat on the mat"], ["dogs"]),
    ("bleu", {"value": ["the cat sat on the mat", "a dog lay on a rug"]}, ["a dog lay on a rug"], ["birds"]),
    ("gleu", {"value": "the cat sat on the mat"}, ["the cat sat on the mat"], ["dogs"]),
    ("meteor", {"value": "the cat sat on the mat"}, ["the cat sat on the mat"], ["dogs"]),
]
WITH_CODE = [
    ("equals", {"value": {"a": [1, True], "b": None}}, ['{"b": null, "a": [1.0, true]}'], ['{"a": [1, 1]}', "no"]),
    ("contains-all", {"value": ["{{capital}}", "rome"]}, ["rome, Paris"], ["Rome, Paris", "rome"]),
    ("contains-any", {"value": ["Paris", "Rome"]}, ["in Rome"], ["rome"]),
    ("icontains-all", {"value": ["PARIS", "rome"]}, ["Rome Paris"], ["Rome"]),
    ("icontains-any", {"value": ["PARIS", "{{odd}}"]}, ["paris", f"-{ITEM['odd']}-"], ["Rome"]),
    ("starts-with", {"value": "The "}, ["The end"], ["the end", " The"]),
    ("regex", {"value": r"^\d{2}-(?<word>\w+)-\k<word>$"}, ["12-ab-ab"], ["12-ab-ac", "12-ab-ab\n", "12-é-é"]),
    ("regex", {"value": "^{{capital}}$"}, ["Paris"], ["Parisx", "{{capital}}"]),
    ("regex", {"value": r"cost: \$[$5]"}, ["cost: $$", "cost: $5"], ["cost: 5"]),
    ("is-json", {}, ["{}", " [1] ", "null"], ["{", "a {}", ""]),
    ("is-json", {"value": SCHEMA}, ['{"latitude": 9}'], ['{"latitude": 99}', '{"latitude": true}', "[]", "{}", "x"]),
    ("is-json", {"value": SCHEMA}, ['{"latitude": 9, "name": "AB"}'], ['{"latitude": 9, "name": "ab"}']),
    ("is-json", {"value": json.dumps({"type": "array", "minItems": 2})}, ["[1, 2]"], ["[1]", '"ab"']),
    ("contains-json", {}, ["so: {} ."], ["so: {", "so"]),
    ("contains-json", {"value": SCHEMA}, ['so [1] {"latitude": 1}'], ["so {}", "so [1]"]),
    ("levenshtein", {"value": "kitten", "threshold": 3}, ["sitting", "kitten"], ["stinging"]),
    ("levenshtein", {"value": "{{capital}}"}, ["Pa", ""], ["Constantinople"]),
    ("word-count", {"value": {"min": 2, "max": 3}}, ["a b", "a  b\nc"], ["a", "a b c d"]),
    ("word-count", {"value": 2}, ["a b"], ["a"]),
    ("python", {"value": "output[1:3] == 'ar'"}, ["Paris"], ["Rome"]),
    ("python", {"value": "math.log10(len(output))"}, ["ab"], ["a"]),
    ("python", {"value": "len(output) / 10", "threshold": 0.5}, ["abcde"], ["abcd"]),
    ("python", {"value": "context['vars']['capital'] in output"}, ["Paris!"], ["{{item.capital}}"]),
    ("python", {"value": "if len(output) > 3:\n  return {'pass': True, 'score': 0}\nreturn False"}, ["abcd"], ["abc"]),
    ("python", {"value": "{'pass': True, 'score': len(output) / 4}", "threshold": 0.5}, ["ab"], ["a"]),
    ("python", {"value": "len(output) > context['config']['least']", "config": {"least": 2}}, ["abc"], ["ab"]),
]


@pytest.mark.parametrize(("kind", "fields", "right", "wrong"), WITHOUT_CODE)
def test_an_assertion_decides_as_there(kind: str, fields: dict[str, Any], right: list[str], wrong: list[str]) -> None:
    assert [answer for answer in right if not passes({"type": kind, **fields}, answer)] == []
    assert [answer for answer in wrong if passes({"type": kind, **fields}, answer)] == []
    assert [answer for answer in right if passes({"type": f"not-{kind}", **fields}, answer)] == []
    assert [answer for answer in wrong if not passes({"type": f"not-{kind}", **fields}, answer)] == []


@pytest.mark.parametrize(("kind", "fields", "right", "wrong"), WITH_CODE)
def test_an_assertion_that_becomes_code_decides_as_there(
    kind: str, fields: dict[str, Any], right: list[str], wrong: list[str], sandbox: SourceSandbox
) -> None:
    assert [answer for answer in right if not passes({"type": kind, **fields}, answer, sandbox)] == []
    assert [answer for answer in wrong if passes({"type": kind, **fields}, answer, sandbox)] == []


@pytest.mark.parametrize(
    ("assertion", "right", "wrong"),
    [
        ({"type": "not-regex", "value": "ab+c"}, "ac", "abbc"),
        ({"type": "not-python", "value": "len(output)"}, "", "a"),
        ({"type": "not-python", "value": "len(output) / 10", "threshold": 0.5}, "abcd", "abcde"),
    ],
)
def test_the_opposite_of_code_is_a_formula_over_it(
    assertion: dict[str, Any], right: str, wrong: str, sandbox: SourceSandbox
) -> None:
    assert passes(assertion, right, sandbox)
    assert not passes(assertion, wrong, sandbox)


def test_a_score_right_at_the_threshold_passes_and_its_opposite_does_not() -> None:
    half = {"type": "rouge-n", "value": "a b", "threshold": 0.5}

    assert passes(half, "a c")
    assert not passes({**half, "type": "not-rouge-n"}, "a c")


@pytest.mark.parametrize(
    ("assertion", "passing", "failing"),
    [
        ({"type": "llm-rubric", "value": "Names {{capital}}"}, "pass", "fail"),
        ({"type": "model-graded-closedqa", "value": "It is short"}, "Y", "N"),
        ({"type": "factuality", "value": "{{capital}} is the capital"}, "B", "D"),
        ({"type": "model-graded-factuality", "value": "x", "options": {"factuality": {"superset": 0}}}, "A", "B"),
        ({"type": "llm-rubric", "value": "Funny", "threshold": 0.8}, "0.8", "0.7"),
        ({"type": "g-eval", "value": "Coherent"}, "0.7", "0.6"),
        ({"type": "not-llm-rubric", "value": "Rude"}, "fail", "pass"),
    ],
)
def test_a_model_graded_assertion_asks_a_judge(assertion: dict[str, Any], passing: str, failing: str) -> None:
    around = Surroundings(folder=Path("/nowhere"), judge="gpt-5-nano")
    grader = grader_object(criterion_of(assertion, around))

    assert graded(grader, "Paris", label=passing).passed
    assert not graded(grader, "Paris", label=failing).passed
    assert "gpt-5-nano" in json.dumps(grader)
    assert around.remarks.changed


def test_similar_compares_by_embeddings() -> None:
    around = Surroundings(folder=Path("/nowhere"))
    grader = grader_object(criterion_of({"type": "similar", "value": "{{capital}}", "threshold": 0.9}, around))

    assert grader == {
        "type": "text_similarity",
        "name": "similar {{capital}}",
        "input": "{{sample.output_text}}",
        "reference": "{{item.capital}}",
        "evaluation_metric": "cosine",
        "pass_threshold": 0.9,
    }
    assert around.named == {"capital"}


@pytest.mark.parametrize(
    ("assertion", "reason"),
    [
        ({"type": "javascript", "value": "output.length"}, "code in another language"),
        ({"type": "not-webhook", "value": "https://example.com"}, "send the answer to another machine"),
        ({"type": "cost", "threshold": 0.1}, "thresholds: {student: {latency: 2, cost: 1}}"),
        ({"type": "select-best", "value": "x"}, "distill compare"),
        ({"type": "is-valid-openai-tools-call"}, "calls of tools"),
        ({"type": "trajectory:tool-used"}, "no grader of OpenAI's types says 'trajectory:tool-used'"),
        ({"type": "similar:dot", "value": "x"}, "no grader of OpenAI's types says 'similar:dot'"),
        ({"value": "x"}, "it has no type"),
        ({"type": "equals", "value": "x", "weight": 0}, "it is measured, and decides nothing"),
        ({"type": "equals", "value": "x", "transform": "output.trim()"}, "its `transform` is code"),
        ({"type": "equals"}, "its value has to be a text, and is missing"),
        ({"type": "equals", "value": "{{ x | upper }}"}, "more than a variable"),
        ({"type": "equals", "value": "{% if x %}a{% endif %}"}, "only variables such as {{name}} are taken over"),
        ({"type": "equals", "value": "{{env.OPENAI_API_KEY}}"}, "environment and history are not read"),
        ({"type": "equals", "value": "{{range(9)}}"}, "more than a variable"),
        ({"type": "equals", "value": "{{ x"}, "never closed"),
        ({"type": "equals", "value": {"a": "{{x}}"}}, "a template inside of an object"),
        ({"type": "equals", "value": "file:///etc/passwd"}, "outside of the config's folder"),
        ({"type": "equals", "value": "file://../../etc/passwd"}, "outside of the config's folder"),
        ({"type": "equals", "value": "file://a\0b.txt"}, "is no name of a file"),
        ({"type": "equals", "value": f"file://{'a' * 5000}.txt"}, "is no name of a file"),
        ({"type": "regex", "value": r"\p{L}"}, "means nothing to Python's regular expressions"),
        ({"type": "regex", "value": "("}, "means nothing to Python's regular expressions"),
        ({"type": "is-json", "value": {"format": "email"}}, "the rule 'format', which is not checked here"),
        ({"type": "is-json", "value": {"$ref": "https://example.com/schema"}}, "the rule '$ref'"),
        ({"type": "is-json", "value": {"minimum": "3"}}, "a 'minimum' that is none: '3'"),
        ({"type": "python", "value": "import numpy"}, "its code is not Python"),
        ({"type": "python", "value": "import numpy\nreturn 1"}, "imports 'numpy'"),
        ({"type": "python", "value": "'{{capital}}' in output"}, "variables are never put into code"),
        ({"type": "python", "value": "file://../x.py"}, "outside of the config's folder"),
        ({"type": "python", "value": "file://x.py:a b"}, "names no function"),
        ({"type": "llm-rubric", "value": "x", "rubricPrompt": "y"}, "write it as a `score_model` grader"),
        ({"type": "levenshtein", "value": "x", "threshold": "many"}, "expected a number, and found 'many'"),
    ],
)
def test_what_has_no_equal_says_why(assertion: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(NoEqual) as caught:
        grader_object(criterion_of(assertion, Surroundings(folder=tmp_path)))

    assert reason in str(caught.value)


def test_a_python_file_beside_the_config_becomes_code_and_is_not_run(tmp_path: Path, sandbox: SourceSandbox) -> None:
    marker = tmp_path / "was-run"
    (tmp_path / "checks.py").write_text(
        f"import pathlib\ntry:\n    pathlib.Path({str(marker)!r}).write_text('x')\nexcept OSError:\n    pass\n\n\n"
        "def get_assert(output, context):\n    return {'pass': len(output) > 3, 'score': 1, 'reason': 'long'}\n\n\n"
        "def short(output, context):\n    return len(output) < 3\n"
    )
    around = Surroundings(folder=tmp_path)
    long = grader_object(criterion_of({"type": "python", "value": "file://checks.py"}, around))
    short = grader_object(criterion_of({"type": "python", "value": "file://checks.py:short"}, around))

    assert not marker.exists()
    assert [graded(long, answer, sandbox).passed for answer in ("abcd", "ab")] == [True, False]
    assert [graded(short, answer, sandbox).passed for answer in ("abcd", "ab")] == [False, True]
    assert not marker.exists()


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "link.txt").symlink_to(tmp_path / "secret.txt")

    with pytest.raises(NoEqual, match="outside of the config's folder"):
        criterion_of({"type": "equals", "value": "file://link.txt"}, Surroundings(folder=tmp_path / "config"))


EQUAL = {"type": "equals", "value": "Paris"}
SHORT = {"type": "word-count", "value": 1}
MENTION = {"type": "icontains", "value": "paris", "weight": 3}
OTHER = {"type": "javascript", "value": "true"}


def all_pass(assertions: list[Any], answer: str, sandbox: SourceSandbox, threshold: float | None = None) -> bool:
    around = Surroundings(folder=Path("/nowhere"))
    templates = {"mention": MENTION}
    graders = grader_objects(assertions, threshold, around, templates)
    return all(graded(grader, answer, sandbox).passed for grader in graders)


@pytest.mark.parametrize(
    ("assertions", "threshold", "answer", "passed"),
    [
        ([EQUAL, MENTION], None, "Paris", True),
        ([EQUAL, MENTION], None, "paris", False),
        ([EQUAL, MENTION], 0.75, "paris", True),
        ([EQUAL, MENTION], 0.76, "paris", False),
        ([EQUAL, {"$ref": "#/assertionTemplates/mention"}], 0.75, "paris", True),
        ([EQUAL, {"type": "not-icontains", "value": "paris", "weight": 3}], 0.75, "Rome", True),
        ([EQUAL, SHORT, MENTION], 0.8, "paris", True),
        ([{"type": "assert-set", "assert": [EQUAL, SHORT]}], None, "Paris", True),
        ([{"type": "assert-set", "assert": [EQUAL, SHORT]}], None, "paris", False),
        ([{"type": "assert-set", "threshold": 0.5, "assert": [EQUAL, SHORT]}], None, "paris", True),
        ([{"type": "assert-set", "threshold": 0.5, "assert": [EQUAL, SHORT]}], None, "in paris", False),
        ([{"type": "assert-set", "threshold": 0.5, "assert": [EQUAL, SHORT]}, EQUAL], None, "paris", False),
        ([EQUAL, OTHER], None, "Paris", True),
        ([EQUAL, OTHER], 1, "Paris", True),
    ],
)
def test_assertions_are_combined_as_there(
    assertions: list[Any], threshold: float | None, answer: str, passed: bool, sandbox: SourceSandbox
) -> None:
    assert all_pass(assertions, answer, sandbox, threshold) is passed


@pytest.mark.parametrize("assertions", [[], [OTHER], [{"type": "assert-set", "assert": [OTHER]}], ["equals:x"], [None]])
def test_a_test_of_which_nothing_is_left_is_refused(assertions: list[Any]) -> None:
    with pytest.raises(NoEqual, match="nothing would grade its answers"):
        grader_objects(assertions, None, Surroundings(folder=Path("/nowhere")), {})


def test_sets_that_refer_to_each_other_end() -> None:
    circle = {"type": "assert-set", "assert": [{"$ref": "#/assertionTemplates/circle"}]}

    with pytest.raises(NoEqual, match="in a circle"):
        grader_objects([circle], None, Surroundings(folder=Path("/nowhere")), {"circle": circle})


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_text_in_a_source_is_a_literal_whatever_it_holds(texts: list[str]) -> None:
    texts = [text.replace("{", "(") for text in texts]
    tree = ast.parse(sources.contains(texts, all_of=True, ignoring_case=False))

    (literal,) = [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
    ]
    assert [ast.literal_eval(element) for element in literal.elts] == texts


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=6,
    )
)
def test_a_value_in_a_source_is_a_literal_whatever_it_holds(value: Any) -> None:
    tree = ast.parse(sources.equals_value(value))

    names = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert ast.literal_eval(names["SCHEMA"]) == {"const": value}
