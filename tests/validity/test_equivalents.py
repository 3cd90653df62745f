"""Near misses that are none: known families, and the list with reasons."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from distill.cases import load_cases, load_recipes
from distill.sandbox.examiner import Examiner
from distill.sandbox.pool import Pool
from distill.sandbox.recipes import Recipes
from distill.sandbox.snapshot import take_snapshot
from distill.sources import SourceError
from distill.validity.anatomy import names_of
from distill.validity.damage import damages
from distill.validity.equivalents import Reading, canonical, load_equivalents
from distill.validity.mutants import mutants_of

from .conftest import orchard

PROJECT = Path(__file__).parents[2]
LIST = PROJECT / "fixtures" / "equivalent-mutants.yaml"


def _form(images: Recipes, line: str, **fields: Any) -> str:
    return canonical(line, Reading.of(orchard("x", **fields), names_of(take_snapshot(images.image("orchard")))))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("git commit -m 'a b'", 'git commit --message="a b"'),
        ("git clean -fd", "git clean -d --force"),
        ("git reset HEAD~1", "git reset --mixed @^"),
        ("git reset --soft HEAD^^", "git reset --soft HEAD~2"),
        ("git add -A", "git add --all ."),
        ("git add trees/pear.txt", "git add -u ./trees/pear.txt"),
        ("git clean -f trees", "git clean -fd trees/"),
        ("git checkout -- trees/pear.txt", "git checkout trees/pear.txt"),
        ("git branch x", "git branch x HEAD"),
        ("git branch --contains v1", "git branch --list --contains v1"),
        ("git config --local a.b c", "git config a.b c"),
        ("git config --add a.b c", "git config a.b c"),
        ("git stash", "git stash push -q"),
        ("git stash pop", "git stash pop stash@{0}"),
        ("git stash drop 1", "git stash drop stash@{1}"),
        ("git push origin main", "git push"),
        ("git fetch --all", "git fetch origin"),
        ("git log v1..", "git log v1..HEAD"),
        ("git log attic...main", "git log attic..main"),
        ("git tag -m x y", "git tag -a -m x y"),
        ("git -c core.editor=true merge attic", "git merge attic"),
        ("git merge attic; git tag x", "git merge attic\ngit tag x\n"),
        ("git commit --amend --no-edit", "git commit --amend -C HEAD"),
        ("git stage basket.txt", "git add basket.txt"),
    ],
)
def test_two_lines_that_git_takes_for_one(images: Recipes, one: str, other: str) -> None:
    assert _form(images, one) == _form(images, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("git reset HEAD~1", "git reset --soft HEAD~1"),
        ("git add notes.txt", "git add -u notes.txt"),
        ("git add -A", "git add -u"),
        ("git clean -f", "git clean -fd"),
        ("git restore trees", "git restore ."),
        ("git branch x", "git branch x main~1"),
        ("git branch --list x", "git branch x"),
        ("git config --global a.b c", "git config a.b c"),
        ("git config --add user.name c", "git config user.name c"),
        ("git stash pop", "git stash pop stash@{1}"),
        ("git push origin cellar", "git push"),
        ("git log main...attic", "git log main..attic"),
        ("git tag y", "git tag -m x y"),
        ("git commit -m 'a b'", "git commit -m 'a c'"),
        ("git log --oneline", "git log"),
        ("git switch main", "git switch HEAD"),
        ("git merge a && git tag x", "git tag x && git merge a"),
        ("git log -3", "git log -4"),
    ],
)
def test_two_lines_that_differ(images: Recipes, one: str, other: str) -> None:
    assert _form(images, one) != _form(images, other)


def test_what_a_question_leaves_open(images: Recipes) -> None:
    question = {"output": {"must": ["x"]}}
    ordered = {"output": {"must": ["x"], "ordered": True}}
    assert _form(images, "git log --oneline", **question) == _form(images, "git log --format='%h %an'", **question)
    assert _form(images, "git log --reverse", **question) == _form(images, "git log", **question)
    assert _form(images, "git log --reverse", **ordered) != _form(images, "git log", **ordered)
    assert _form(images, "git log --reverse | head -n 1", **question) != _form(
        images, "git log | head -n 1", **question
    )


def test_texts_that_a_request_leaves_open(images: Recipes) -> None:
    free = {"free": ["commit-message"]}
    assert _form(images, "git commit -m a", **free) == _form(images, "git commit -s -m b", **free)
    assert _form(images, "git commit -m a", **free) != _form(images, "git commit", **free)
    assert _form(images, "git tag -m a x", **free) != _form(images, "git tag -m b x", **free)
    assert _form(images, "git revert -m 1 HEAD", **free) != _form(images, "git revert -m 2 HEAD", **free)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("equivalents:\n  - {case: a, commands: [x], reason: short}\n", ":2:"),
        ("equivalents:\n  - {case: a, reason: It does the very same thing.}\n", "neither commands nor damage"),
        (
            "equivalents:\n  - {case: a, commands: [x, x], reason: It does the very same thing.}\n",
            "'x' stands here twice",
        ),
        ("others: []\n", "unknown field"),
    ],
)
def test_a_mistake_in_the_list_is_named_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "list.yaml"
    file.write_text(text)
    with pytest.raises(SourceError, match=complaint):
        load_equivalents(file)


@pytest.mark.slow
def test_every_listed_equivalent_is_still_made_and_still_passes(pool: Pool) -> None:
    recipes = load_recipes(PROJECT / "fixtures" / "repositories")
    cases = {case.id: case for case in load_cases([PROJECT / "evals" / "cases"], recipes)}
    entries = list(load_equivalents(LIST))
    images = Recipes(recipes)
    commands = {
        (case, mutant.command)
        for case in {case for case, _ in entries if case in cases}
        for mutant in mutants_of(cases[case], images.image(cases[case].repository))
    }
    scripts = {
        (case.id, damage.kind): damage.after(case.accept[0]) for case in cases.values() for damage in damages(case.free)
    }
    assert not [entry for entry in entries if entry not in commands and entry not in scripts], (
        "made of no case any more"
    )
    examiner = Examiner(pool, images.image)

    def passes(entry: tuple[str, str]) -> bool:
        verdict = examiner.examine(cases[entry[0]], scripts.get(entry, entry[1])).verdict
        return verdict is not None and verdict.passed

    with ThreadPoolExecutor(pool.size) as threads:
        fails = [entry for entry, passed in zip(entries, threads.map(passes, entries), strict=True) if not passed]
    assert not fails, "listed as right, and the verdict is that they are wrong"
