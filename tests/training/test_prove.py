"""A composed request is kept only where every step runs and counts: these are run for real."""

from __future__ import annotations

import pytest

from distill.cases import Case, Recipe
from distill.sandbox.examiner import Examiner
from distill.sandbox.pool import Pool
from distill.sandbox.recipes import Recipes
from distill.training.prove import prove
from distill.training.verify_variants import Dropped
from distill.training.writing import Written


@pytest.fixture
def examiner(recipes: dict[str, Recipe], pool: Pool) -> Examiner:
    return Examiner(pool, Recipes(recipes).image)


def proven(examiner: Examiner, *commands: str) -> Case:
    written = Written(commands=commands, request="Do what these commands do.", wording="do it")
    return prove(written, "bakery", examiner, identity="some-c1", category="some")


def test_a_change_is_a_case_that_its_command_passes(examiner: Examiner) -> None:
    case = proven(examiner, "git switch -c summer")

    assert case.accept == ("git switch -c summer",)
    assert not case.question


def test_a_question_is_decided_by_what_its_command_prints(examiner: Examiner) -> None:
    case = proven(examiner, "git log -1 --format=%s")

    assert case.output is not None
    assert case.output.must == ("Open earlier",)


def test_the_lines_with_a_step_left_out_are_near_misses_that_fail(examiner: Examiner) -> None:
    case = proven(examiner, "git branch summer", "git tag -l", "git tag v0.2")

    assert case.output is not None
    assert case.output.must == ("v0.1",)
    assert case.reject[0] == "git tag -l && git tag v0.2"
    for line in case.reject:
        verdict = examiner.examine(case, line).verdict
        assert verdict is not None
        assert not verdict.passed


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        (("git switch no-such-branch",), "fails"),
        (("git merge harvest",), "changes nothing and prints nothing of its own"),
        (("git status --short", "git status --short"), "two of its steps are one"),
        (("git branch summer", "git restore --staged ."), "changes nothing"),
    ],
)
def test_what_does_not_run_or_does_not_count_is_dropped(
    examiner: Examiner, commands: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(Dropped, match=reason):
        proven(examiner, *commands)
