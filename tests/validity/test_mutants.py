"""Hard negatives: what is made of a command, and what must never be made of it."""

from __future__ import annotations

import random
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from distill.cases import Case, load_cases, load_recipes
from distill.sandbox.examiner import Examiner
from distill.sandbox.pool import Pool
from distill.sandbox.recipes import Recipes
from distill.sandbox.snapshot import take_snapshot
from distill.validity.anatomy import names_of
from distill.validity.equivalents import Reading, canonical, load_equivalents
from distill.validity.mutants import Kind, Mutant, mutants_of
from graders.commands import parse

from .conftest import orchard

PROJECT = Path(__file__).parents[2]
SAMPLE = 60


@pytest.fixture(scope="module")
def made(images: Recipes) -> object:
    def make(*accept: str, **fields: object) -> dict[str, Kind]:
        return {
            mutant.command: mutant.kind for mutant in mutants_of(orchard(*accept, **fields), images.image("orchard"))
        }

    return make


@pytest.mark.parametrize(
    ("accepted", "kind", "mutant"),
    [
        ("git branch -d cellar", Kind.OPTION_SWAP, "git branch -m cellar"),
        ("git reset --soft HEAD~1", Kind.OPTION_SWAP, "git reset --hard HEAD~1"),
        ("git reset --soft HEAD~1", Kind.DROPPED_OPTION, "git reset HEAD~1"),
        ("git clean -fd", Kind.OPTION_SWAP, "git clean -fdx"),
        ("git clean -fd", Kind.DROPPED_OPTION, "git clean -f"),
        ("git checkout --ours a && git add a", Kind.OPTION_SWAP, "git checkout --theirs a && git add a"),
        ("git merge --no-ff cellar", Kind.OPTION_SWAP, "git merge --squash cellar"),
        ("git commit -am 'x y'", Kind.DROPPED_OPTION, "git commit -m 'x y'"),
        ("git config --global user.name Ada", Kind.DROPPED_OPTION, "git config user.name Ada"),
        ("git restore --staged basket.txt", Kind.DROPPED_OPTION, "git restore basket.txt"),
        ("git commit -m 'x y'", Kind.ADDED_OPTION, "git commit --amend -m 'x y'"),
        ("git push", Kind.ADDED_OPTION, "git push --dry-run"),
        ("git show HEAD~1", Kind.NEIGHBOR_REVISION, "git show HEAD~2"),
        ("git show HEAD~2", Kind.NEIGHBOR_REVISION, "git show HEAD~1"),
        ("git show 'HEAD^'", Kind.NEIGHBOR_REVISION, "git show HEAD^^"),
        ("git stash drop stash@{1}", Kind.NEIGHBOR_REVISION, "git stash drop stash@{2}"),
        ("git log attic..main", Kind.SWAPPED_OPERANDS, "git log main..attic"),
        ("git switch cellar", Kind.OTHER_NAME, "git switch attic"),
        ("git tag x v1", Kind.OTHER_NAME, "git tag x loose"),
        ("git add trees/pear.txt", Kind.OTHER_NAME, "git add trees/apple.txt"),
        ("git add trees/pear.txt", Kind.OTHER_SCOPE, "git add ."),
        ("git add trees/pear.txt", Kind.OTHER_SCOPE, "git add trees"),
        ("git show HEAD:trees/pear.txt", Kind.OTHER_NAME, "git show HEAD:trees/apple.txt"),
        ("git switch -c 'new shed'", Kind.WRONG_NAME, "git switch -c 'new shfd'"),
        ("git log --author=Rosa", Kind.WRONG_NAME, "git log --author=Rota"),
        ("git branch -m attic loft", Kind.SWAPPED_OPERANDS, "git branch -m loft attic"),
        ("git mv a b", Kind.DROPPED_OPERAND, "git mv b"),
        ("git log -3", Kind.OTHER_NUMBER, "git log -4"),
        ("git log --max-count=3", Kind.OTHER_NUMBER, "git log --max-count=2"),
        ("git merge cellar", Kind.SIBLING_VERB, "git rebase cellar"),
        ("git revert --no-edit HEAD", Kind.SIBLING_VERB, "git reset --hard HEAD"),
        ("git stash pop", Kind.SIBLING_VERB, "git stash apply"),
        ("git pull", Kind.SIBLING_VERB, "git fetch"),
        ("git fetch && git merge x", Kind.DROPPED_COMMAND, "git merge x"),
        ("git fetch && git merge x", Kind.DROPPED_COMMAND, "git fetch"),
        ("git fetch\ngit merge x\n", Kind.OTHER_ORDER, "git merge x\ngit fetch\n"),
        ("git tag | sort | head -n 1", Kind.DROPPED_COMMAND, "git tag | head -n 1"),
        ("echo '*.tmp' >> .gitignore", Kind.OTHER_REDIRECTION, "echo '*.tmp' > .gitignore"),
        ("git -C ../b fetch", Kind.DROPPED_OPTION, "git fetch"),
        ('git show "$(git merge-base main attic)"', Kind.OTHER_NAME, 'git show "$(git merge-base attic attic)"'),
    ],
)
def test_one_thing_is_changed(made: object, accepted: str, kind: Kind, mutant: str) -> None:
    assert made(accepted).get(mutant) is kind  # type: ignore[operator]


@pytest.mark.parametrize(
    ("accepted", "same"),
    [
        (["git reset HEAD~1"], "git reset --mixed HEAD~1"),
        (["git log -3", "git log --oneline -n 4"], "git log -4"),
        (["git tag x"], "git tag x HEAD"),
        (["git merge --no-edit attic"], "git merge attic"),
        (["git commit -m 'any words'"], "git commit -m 'anz words'"),
        (["git stash pop stash@{1}"], "git stash pop 1"),
    ],
)
def test_what_git_takes_for_the_same_is_not_made(made: object, accepted: list[str], same: str) -> None:
    question = {"output": {"must": ["x"]}} if "log" in same else {"free": ["commit-message"]}
    assert same not in made(*accepted, **question)  # type: ignore[operator]


def test_the_rest_of_a_line_stays_as_it_is(made: object) -> None:
    line = 'FOO=1 git commit -m "it\'s  ü"   --  trees/pear.txt  2>&1 | cat  # why'
    found = made(line)  # type: ignore[operator]
    assert 'FOO=1 git commit -m "it\'s  ü"   --  trees/apple.txt  2>&1 | cat  # why' in found
    assert "FOO=1 git commit   --  trees/pear.txt  2>&1 | cat  # why" in found


_WORDS = [
    "HEAD~1",
    "main",
    "cellar",
    "v1",
    "trees/pear.txt",
    "-n",
    "--all",
    "--",
    "-m",
    "'a b'",
    "..",
    "x..y",
    "$x",
    "ü",
    "-fd",
]
_VERBS = ["log", "reset", "stash", "commit", "push", "rebase", "worktree", "config", "tag", "clean", "add", "checkout"]
_COMMANDS = st.builds(
    lambda verb, words: " ".join(["git", verb, *words]),
    st.sampled_from(_VERBS),
    st.lists(st.sampled_from(_WORDS), max_size=5),
)
_LINES = st.builds(
    lambda parts, joint: joint.join(parts),
    st.lists(_COMMANDS, min_size=1, max_size=3),
    st.sampled_from([" && ", "\n", "; ", " | "]),
)


@settings(max_examples=40, deadline=None)
@given(accepted=st.lists(_LINES, min_size=1, max_size=2, unique=True), question=st.booleans())
def test_every_mutant_parses_and_is_no_accepted_command_and_always_the_same(
    images: Recipes, accepted: list[str], question: bool
) -> None:
    case = orchard(*accepted, **({"output": {"must": ["x"]}} if question else {}))
    image = images.image("orchard")
    mutants = mutants_of(case, image)
    reading = Reading.of(case, names_of(take_snapshot(image)))
    forms = [canonical(mutant.command, reading) for mutant in mutants]
    assert mutants == mutants_of(case, image)
    assert all(parse(mutant.command).statements for mutant in mutants)
    assert not set(forms) & {canonical(command, reading) for command in accepted}
    assert len(set(forms)) == len(forms)
    assert all(mutant.origin in accepted for mutant in mutants)


@settings(max_examples=40, deadline=None)
@given(line=_LINES)
def test_a_canonical_form_is_its_own(images: Recipes, line: str) -> None:
    assume(not re.search(r"-[mn]\s*(&&|[;|\n]|$)", line))  # an option that lacks its value takes the next word
    reading = Reading.of(orchard(line), names_of(take_snapshot(images.image("orchard"))))
    form = canonical(line, reading)
    assert canonical(form, reading) == form


@pytest.mark.slow
def test_near_misses_of_the_shipped_cases_fail(pool: Pool) -> None:
    """A sample; `make validate` runs all of them."""
    recipes = load_recipes(PROJECT / "fixtures" / "repositories")
    cases = load_cases([PROJECT / "evals" / "cases"], recipes)
    reasons = load_equivalents(PROJECT / "fixtures" / "equivalent-mutants.yaml")
    chance = random.Random(20_261_130)  # noqa: S311 - the same sample every time
    images = Recipes(recipes)
    chosen: list[tuple[Case, Mutant]] = []
    for case in chance.sample(cases, SAMPLE // 3):
        mutants = [m for m in mutants_of(case, images.image(case.repository)) if (case.id, m.command) not in reasons]
        chosen += [(case, mutant) for mutant in chance.sample(mutants, min(3, len(mutants)))]
    examiner = Examiner(pool, images.image)

    def survives(pair: tuple[Case, Mutant]) -> bool:
        verdict = examiner.examine(pair[0], pair[1].command).verdict
        return verdict is not None and verdict.passed

    with ThreadPoolExecutor(pool.size) as threads:
        survivors = [pair for pair, lives in zip(chosen, threads.map(survives, chosen), strict=True) if lives]
    assert len(chosen) >= SAMPLE // 2
    assert len(survivors) <= 1, [(case.id, mutant.command) for case, mutant in survivors]
