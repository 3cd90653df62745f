"""docs/cases.md is true: its examples prove themselves, and each mistake gives the message that stands there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest
import yaml

from distill.cases import Case, Extra, Freedom, OutputFacts, load_cases, load_recipes
from distill.config import load_config
from distill.sandbox.examiner import Examiner
from distill.sandbox.pool import open_pool
from distill.sandbox.recipes import Recipes
from distill.sources import SourceError

PROJECT = Path(__file__).parents[1]
DOCUMENT = (PROJECT / "docs" / "cases.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
RECIPES = load_recipes(PROJECT / "fixtures" / "repositories")
KNOWN = {name: RECIPES[name] for name in ("two-branches-dirty", "merged-feature", "tagged-releases")}

FIRST = """\
category: branch
cases:
  - id: branch-create
    request: Create a branch called feature-login.
    repository: two-branches-dirty
    accept:
      - git branch feature-login
    reject:
      - git branch feature_login
    criteria: The branch feature-login exists.
    tags: [trained-operation]
"""
SECOND = """\
  - id: branch-rename
    request: Rename docs-refresh to docs.
    repository: two-branches-dirty
    accept:
      - git branch -m docs-refresh docs
    criteria: The branch docs-refresh is called docs.
"""
FACTS = "    output:\n      must: [feature-login]\n"

MISTAKES = [
    ("a field's name is misspelled", FIRST.replace("tags:", "tag:")),
    ("a field is left out", FIRST.replace("    criteria: The branch feature-login exists.\n", "")),
    ("a field stands twice", FIRST.replace("    criteria:", "    request: Again.\n    criteria:")),
    ("`: ` in a request, without quotes", FIRST.replace("a branch called", "a branch:")),
    ("`: ` in a command, without quotes", FIRST.replace("git branch feature-login", "git commit -m Fix: it")),
    ("a command that begins with a quote", FIRST.replace("- git branch feature-login", "- 'git' branch x")),
    ("a fact that begins with `*`", FIRST + FACTS.replace("feature-login", "*.log")),
    ("a command that begins with `!`", FIRST.replace("- git branch feature-login", "- !git branch x")),
    ("a tab", FIRST.replace("    accept:", "\taccept:")),
    ("one space too few", FIRST.replace("    reject:", "   reject:")),
    ("one command instead of a list", FIRST.replace("accept:\n      - git", "accept: git")),
    ("no accepted command", FIRST.replace("accept:\n      - git branch feature-login", "accept: []")),
    ("an id with an underscore or a capital", FIRST.replace("id: branch-create", "id: branch_create")),
    ("an id that is taken", FIRST.replace("id: branch-create", "id: branch-rename")),
    ("an unknown recipe", FIRST.replace("two-branches-dirty", "two-branches")),
    ("right and wrong at once", FIRST.replace("git branch feature_login", "git branch feature-login")),
    ("a command twice", FIRST.replace("    criteria:", "      - git branch feature_login\n    criteria:")),
    ("white space around a request", FIRST.replace("Create a branch called feature-login.", "'Create it. '")),
    ("a criterion that says nothing", FIRST.replace("The branch feature-login exists.", "Done.")),
    ("an unknown freedom", FIRST + "    free: [message]\n"),
    ("an unknown thing to compare", FIRST + "    compare: [date]\n"),
    ("a number as a fact", FIRST + FACTS.replace("feature-login", "3")),
    ("a word that YAML takes for false", FIRST + FACTS.replace("feature-login", "no")),
    ("a question without a fact", FIRST + FACTS.replace("feature-login", "")),
    ("a tag with spaces", FIRST.replace("trained-operation", "Trained Operation")),
    ("no category", FIRST.replace("category: branch\n", "")),
]
RECIPE = next(block for block in BLOCKS if block.startswith("name: two-drafts"))
RECIPE_MISTAKES = [
    ("a recipe in a file of another name", "drafts.yaml", RECIPE),
    ("a recipe without bait", "two-drafts.yaml", re.sub(r"bait:\n  - .*\n", "", RECIPE)),
]


def row(mistake: str, problems: Sequence[str]) -> str:
    return f"| {mistake} | {'<br>'.join(f'`{problem}`' for problem in problems)} |\n"


@pytest.mark.parametrize(("mistake", "text"), MISTAKES, ids=[mistake for mistake, _ in MISTAKES])
def test_a_mistake_in_a_case_gives_the_message_that_is_written_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: str, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("branch.yaml").write_text(text + SECOND)

    with pytest.raises(SourceError) as caught:
        load_cases([Path("branch.yaml")], KNOWN)

    # What is behind "not valid YAML" are the words of the YAML library that is installed.
    wanted, invalid, _ = row(mistake, caught.value.problems).partition("not valid YAML: ")
    assert wanted + invalid in DOCUMENT


@pytest.mark.parametrize(("mistake", "name", "text"), RECIPE_MISTAKES)
def test_a_mistake_in_a_recipe_gives_the_message_that_is_written_there(
    tmp_path: Path, mistake: str, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(SourceError) as caught:
        load_recipes(tmp_path)

    assert row(mistake, [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]) in DOCUMENT


def test_the_worked_example_fails_at_first_and_passes_in_the_end() -> None:
    draft, correction = (
        yaml.safe_load(block) for block in BLOCKS if "- git push . feature-logout:docs-refresh\n" in block
    )
    first = Case(**draft[0])
    final = Case(**(draft[0] | correction))
    last = first.reject[-1]

    with open_pool("auto") as pool:
        examiner = Examiner(pool, Recipes(RECIPES).image)

        assert surprises(examiner, final) == []
        assert surprises(examiner, first) == [last]
        verdict = examiner.examine(first, last).verdict

    assert verdict is not None
    assert f'"{last!r}: {verdict.reason}"' in DOCUMENT


def test_the_example_of_another_task_proves_itself(tmp_path: Path) -> None:
    files = {match[1]: block for block in BLOCKS if (match := re.match(r"# (shelving/\S+)\n", block))}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    settings = load_config(tmp_path / "shelving" / "experiment.yaml")
    recipes = load_recipes(settings.repositories)
    (case,) = load_cases(settings.cases, recipes)

    with open_pool("auto") as pool:
        assert surprises(Examiner(pool, Recipes(recipes).image), case) == []
    assert len(files) == 3
    assert settings.prices.resolve() == tmp_path / "fixtures" / "prices.yaml"


def test_every_field_and_every_choice_is_described() -> None:
    choices = [*get_args(Freedom), *get_args(Extra)]
    names = [*Case.model_fields, *OutputFacts.model_fields]

    assert not [choice for choice in choices if f"`{choice}`" not in DOCUMENT]
    assert not [name for name in names if f"`{name}`" not in DOCUMENT and f"{name}: " not in DOCUMENT]


def surprises(examiner: Examiner, case: Case) -> list[str]:
    """The accepted commands that fail, and those that pass though they should not."""
    found = []
    for command in (*case.accept, *case.reject, ":", "git status"):
        verdict = examiner.examine(case, command, fresh=True).verdict
        if (verdict is not None and verdict.passed) != (command in case.accept):
            found.append(command)
    return found
