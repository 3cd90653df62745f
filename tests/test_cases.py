"""Case files and recipes: what is accepted, and that every mistake names the file, the line and the case."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from distill.cases import Case, Recipe, case_set_hash, load_cases, load_recipes, schema
from distill.sources import SourceError

PROJECT = Path(__file__).parents[1]
CASE_FILES = sorted((PROJECT / "evals" / "cases").glob("*.yaml"))
RECIPE_FILES = sorted((PROJECT / "fixtures" / "repositories").glob("*.yaml"))

GOOD = """\
category: branch
cases:
  - id: branch-create
    request: Create a branch called feature-login.
    repository: two-branches
    accept:
      - git branch feature-login
    reject:
      - git branch feature_login
    criteria: The branch feature-login exists.
"""
RECIPE = """\
name: two-branches
description: Two branches and a commit.
bait:
  - an untracked file
steps:
  - git commit --allow-empty -m One
"""


def write(folder: Path, text: str, name: str = "branch.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def case_with(lines: str) -> str:
    """The good file, with further fields for its case."""
    return GOOD + textwrap.indent(textwrap.dedent(lines), "    ")


def refusal(path: Path, recipes: dict[str, Recipe] | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        load_cases([path], recipes)
    return str(caught.value)


def a_case(**fields: Any) -> Case:
    values: dict[str, Any] = {
        "id": "one",
        "request": "Do it.",
        "repository": "somewhere",
        "accept": ["git status"],
        "criteria": "It was done.",
    }
    return Case(**values | fields)


def test_a_good_file_gives_cases_of_its_category(tmp_path: Path) -> None:
    (case,) = load_cases([write(tmp_path, GOOD)])

    assert (case.id, case.category, case.repository) == ("branch-create", "branch", "two-branches")
    assert case.accept == ("git branch feature-login",)
    assert not case.question


def test_a_case_with_facts_about_the_output_is_a_question(tmp_path: Path) -> None:
    (case,) = load_cases([write(tmp_path, case_with("output:\n  must: [feature-login]\n  max_lines: 3\n"))])

    assert case.question


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (GOOD.replace("category: branch", "category: [branch"), 2, "not valid YAML"),
        (GOOD.replace("    reject:", "   reject:"), 8, "not valid YAML"),
        (GOOD.replace("category: branch\n", ""), 1, "category: this field is required"),
        (GOOD.replace("category: branch", "category: Branch!"), 1, "found 'Branch!'"),
        ("category: branch\ncases: []\n", 2, "cases: "),
        ("category: branch\ncases:\n", 2, "cases: expected a list"),
        ("category: branch\ncases:\n  - just text\n", 3, "case number 1: expected a mapping of fields"),
        ("", 1, "expected a mapping of fields"),
        ("[1, 2]\n", 1, "expected a mapping of fields"),
        (GOOD + "version: 2\n", 11, "version: unknown field"),
        (case_with("acept: [git status]\n"), 11, "case 'branch-create': acept: unknown field"),
        (case_with("request: Once more.\n"), 11, "key 'request' stands twice (first on line 4)"),
        (
            GOOD.replace("    request: Create", "    # request: Create"),
            3,
            "case 'branch-create': request: this field is",
        ),
        (GOOD.replace("id: branch-create", "id: branch create"), 3, "case 'branch create': id: "),
        (GOOD.replace("id: branch-create", "id: 12"), 3, "case 12: id: expected a text (found 12)"),
        (GOOD.replace("- id: branch-create\n    request", "- request"), 3, "case number 1: id: this field is required"),
        (GOOD.replace("    accept:\n      - git branch feature-login\n", "    accept: []\n"), 6, "accept: "),
        (GOOD.replace("- git branch feature-login", "- ''"), 7, "accept.0: "),
        (GOOD.replace("- git branch feature-login", "- git log: all"), 7, "a text with ': ' in it has to be quoted"),
        (GOOD.replace("    accept:\n      - git branch feature-login\n", "    accept: git branch x\n"), 6, "a list"),
        (GOOD.replace("git branch feature_login", "git branch feature-login"), 3, "under both accept and reject"),
        (
            GOOD.replace("    reject:", "      - git branch feature-login\n    reject:"),
            3,
            "accept holds the same command twice",
        ),
        (
            GOOD.replace("request: Create a branch called feature-login.", "request: 'Create '"),
            4,
            "white space at an end",
        ),
        (case_with("free: [everything]\n"), 11, "free.0: "),
        (case_with("compare: [mood]\n"), 11, "compare.0: "),
        (case_with("tags: [Not A Tag]\n"), 11, "tags.0: "),
        (case_with("output:\n  must: []\n"), 12, "output.must: "),
        (case_with("output:\n  must: ['']\n"), 12, "output.must.0: "),
        (case_with("output:\n  must: [no]\n"), 12, "output.must.0: expected a text (found False)"),
        (case_with("output:\n  must: [x]\n  max_lines: '3'\n"), 13, "output.max_lines: "),
        (case_with("output:\n  must: [x]\n  max_lines: 0\n"), 13, "output.max_lines: "),
        (case_with("output:\n  must: [x]\n  ordered: 1\n"), 13, "output.ordered: "),
        (case_with("rules:\n  need: [git]\n"), 12, "rules.need: unknown field"),
    ],
)
def test_a_mistake_in_a_case_file_names_file_line_and_case(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = write(tmp_path, text)

    message = refusal(path)

    assert any(problem.startswith(f"{path}:{line}: ") and words in problem for problem in message.splitlines()), message


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(GOOD.replace("called", "called é").encode("latin-1"))

    assert refusal(path).startswith(f"{path}:4: not UTF-8 text")


def test_an_id_is_used_once_in_all_files(tmp_path: Path) -> None:
    first = write(tmp_path, GOOD, "a.yaml")
    second = write(tmp_path, GOOD.replace("cases:\n", "# one line more\ncases:\n"), "b.yaml")

    assert refusal(tmp_path) == f"{second}:4: case 'branch-create': this id is already used in {first}:3"


def test_an_id_is_used_once_in_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + GOOD.partition("cases:\n")[2])

    assert refusal(path) == f"{path}:11: case 'branch-create': this id is already used in {path}:3"


def test_a_file_named_twice_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path)

    assert len(load_cases([tmp_path, path, Path("branch.yaml")])) == 1


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("c", "a", "b"):
        write(tmp_path, GOOD.replace("branch-create", f"case-{name}"), f"{name}.yaml")

    assert [case.id for case in load_cases([tmp_path])] == ["case-a", "case-b", "case-c"]


def test_an_unknown_recipe_is_named_with_those_that_are_close(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("two-branches", "two-brances"))
    recipe = Recipe(name="any", description="For one test only.", bait=("none",), steps=("true",))
    recipes = dict.fromkeys(("two-branches", "one-branch", "empty", "merged"), recipe)

    message = refusal(path, recipes)

    assert message.startswith(f"{path}:5: case 'branch-create': there is no recipe 'two-brances'; known ones include")
    assert "include two-branches, " in message


def test_a_folder_without_files_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}:1: this folder holds no case file (*.yaml)"
    assert refusal(tmp_path / "none.yaml") == f"{tmp_path}/none.yaml:1: there is no such file"
    with pytest.raises(SourceError, match="holds no recipe file"):
        load_recipes(tmp_path)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            RECIPE.replace("name: two-branches", "name: three-branches"),
            1,
            "has to be called 'two-branches', as its file",
        ),
        (RECIPE.replace("bait:\n  - an untracked file\n", ""), 1, "bait: this field is required"),
        (RECIPE.replace("- an untracked file", "- a staged file: notes.txt"), 4, "has to be quoted"),
        (RECIPE.replace("steps:\n  - git commit --allow-empty -m One\n", "steps: []\n"), 5, "steps: "),
        (RECIPE.replace("Two branches and a commit.", "Short"), 2, "description: "),
        (RECIPE + "author: me\n", 7, "author: unknown field"),
        (RECIPE + "steps:\n  - true\n", 7, "key 'steps' stands twice (first on line 5)"),
        (RECIPE + "init: maybe\n", 7, "init: "),
    ],
)
def test_a_mistake_in_a_recipe_names_file_and_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = write(tmp_path, text, "two-branches.yaml")

    with pytest.raises(SourceError) as caught:
        load_recipes(tmp_path)

    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert words in str(caught.value)


def test_a_recipe_has_one_file(tmp_path: Path) -> None:
    write(tmp_path, RECIPE, "two-branches.yaml")
    write(tmp_path, RECIPE, "two-branches.yml")

    with pytest.raises(SourceError, match="there is a second file for the recipe 'two-branches'"):
        load_recipes(tmp_path)


def test_the_hash_names_what_is_asked_and_nothing_else() -> None:
    recipe = Recipe(name="somewhere", description="For one test only.", bait=("none",), steps=("true",))
    other = recipe.model_copy(update={"steps": ("false",)})
    one, two = a_case(id="one"), a_case(id="two")
    known = case_set_hash([one, two], {"somewhere": recipe})

    assert case_set_hash([two, one], {"somewhere": recipe, "unused": other}) == known
    assert case_set_hash([one, two], {"somewhere": other}) != known
    assert case_set_hash([one], {"somewhere": recipe}) != known
    assert case_set_hash([one, a_case(id="two", request="Do something else.")], {"somewhere": recipe}) != known


@given(st.text(max_size=30))
def test_a_request_is_kept_as_it_is_or_refused(request: str) -> None:
    try:
        case = a_case(request=request)
    except ValueError:
        assert len(request) < 3 or request != request.strip()
    else:
        assert case.request == request


@pytest.mark.parametrize("path", [*CASE_FILES, *RECIPE_FILES], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_json_schema_accepts_every_shipped_file(path: Path) -> None:
    kind: Literal["cases", "recipe"] = "cases" if path.parent.name == "cases" else "recipe"
    validator = jsonschema.Draft202012Validator(schema(kind))

    validator.check_schema(validator.schema)
    assert not [error.message for error in validator.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8")))]


@pytest.mark.parametrize(
    "lines",
    [
        "acept: [git status]\n",
        "free: [everything]\n",
        "output: {must: []}\n",
        "output: {must: [x], max_lines: '3'}\n",
        "output: {must: [x], ordered: 1}\n",
        "tags: [Not A Tag]\n",
    ],
)
def test_the_json_schema_refuses_what_the_loader_refuses(tmp_path: Path, lines: str) -> None:
    text = case_with(lines)
    refusal(write(tmp_path, text))

    assert list(jsonschema.Draft202012Validator(schema("cases")).iter_errors(yaml.safe_load(text)))


GRADED = """\
category: capitals
cases:
  - id: capital-of-france
    request: What is the capital of France?
    messages:
      - {role: user, content: "What is the capital of France? "}
    item: {capital: Paris}
    graders:
      - {type: string_check, name: capital, operation: eq, input: "{{sample.output_text}}", reference: Paris}
      - short.json
"""
SHORT = '{"type": "python", "name": "short", "source": "def grade(sample, item): return 1"}'


def test_a_case_without_a_repository_has_graders_instead(tmp_path: Path) -> None:
    write(tmp_path, SHORT, "short.json")

    (case,) = load_cases([write(tmp_path, GRADED)], {})

    assert not case.executed
    assert (case.repository, case.accept, case.criteria) == ("", (), "")
    assert case.item == {"capital": "Paris"}
    assert [grader["name"] for grader in case.graders if isinstance(grader, dict)] == ["capital", "short"]
    assert [(each.role, each.content) for each in case.messages] == [("user", "What is the capital of France? ")]
    assert Case(**case.model_dump()) == case
    jsonschema.Draft202012Validator(schema("cases")).validate(yaml.safe_load(GRADED))


def test_a_case_on_a_repository_may_have_graders_besides(tmp_path: Path) -> None:
    (case,) = load_cases([write(tmp_path, case_with(f"graders: [{SHORT}]\nitem: {{a: 1}}\n"))])

    assert case.executed
    assert case.graders == (json.loads(SHORT),)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (GRADED.replace("- short.json", "- none.json"), 10, "none.json:1: cannot be read: No such file or directory"),
        (
            GRADED.replace("- short.json", "- list.json"),
            10,
            "list.json:1: grader: expected an object whose type is one of",
        ),
        (GRADED.replace("- short.json", "- text.json"), 10, "text.json:1: not valid JSON: Expecting value"),
        (
            GRADED.replace("- short.json", "- like.json"),
            10,
            "like.json:3: grader.operation: expected 'eq', 'ne', 'like'",
        ),
        (
            GRADED.replace("operation: eq", "operation: same"),
            9,
            "grader.operation: expected 'eq', 'ne', 'like' or 'ilike'",
        ),
        (GRADED.replace(", reference: Paris", ""), 9, "grader.reference: this field is required"),
        (GRADED.replace("sample.output_text", "output_text"), 9, "grader.input: '{{output_text}}' is no variable"),
        (GRADED.replace("- short.json", "- 12"), 10, "graders.1"),
        (GRADED.replace("      - short.json\n", "    criteria: It says Paris.\n"), 3, "criteria needs a repository"),
        (GRADED.replace("      - short.json\n", "    accept: [git status]\n"), 3, "accept needs a repository"),
        (GRADED.replace("      - short.json\n", "    repository: two-branches\n"), 3, "accept: this field is required"),
        (GRADED[: GRADED.index("    graders")], 3, "repository: this field is required"),
        (GRADED[: GRADED.index("    graders")] + "    graders: []\n", 3, "repository: this field is required"),
    ],
)
def test_a_mistake_in_a_case_without_a_repository_is_named(tmp_path: Path, text: str, line: int, words: str) -> None:
    write(tmp_path, SHORT, "short.json")
    like = {"type": "string_check", "name": "a", "operation": "same", "input": "a", "reference": "a"}
    write(tmp_path, json.dumps(like, indent=1).replace('"name": "a",\n', '"name": "a",'), "like.json")
    write(tmp_path, "[]", "list.json")
    write(tmp_path, "text", "text.json")
    path = write(tmp_path, text)

    message = refusal(path)

    assert any(
        row.startswith(f"{path}:{line}: case 'capital-of-france': ") and words in row for row in message.split("\n")
    )


def test_a_change_in_a_grader_file_is_a_change_of_the_cases(tmp_path: Path) -> None:
    path = write(tmp_path, GRADED)
    write(tmp_path, SHORT, "short.json")
    first = load_cases([path])
    write(tmp_path, SHORT.replace("return 1", "return 0"), "short.json")
    second = load_cases([path])

    assert case_set_hash(first, {}) != case_set_hash(second, {})
    assert first[0].scenario == second[0].scenario


def test_a_folder_of_recipes_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert load_recipes(tmp_path / "none") == {}
    assert "the experiment's folder of `repositories` has none" in refusal(write(tmp_path, GOOD), {})


def test_shipped_files_are_called_as_their_category() -> None:
    assert len(CASE_FILES) >= 20
    for path in CASE_FILES:
        assert {case.category for case in load_cases([path])} == {path.stem}


def test_shipped_cases_load_with_their_recipes() -> None:
    recipes = load_recipes(PROJECT / "fixtures" / "repositories")

    assert len(load_cases([PROJECT / "evals" / "cases"], recipes)) >= 60
