"""Damage behind a right answer: it says truly whether it broke something, and the verdict sees it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from distill.sandbox.examiner import Examination, Examiner
from distill.sandbox.pool import Pool
from distill.sandbox.recipes import Recipes
from distill.validity.damage import NOT_APPLICABLE, damages

from .conftest import orchard

STATE = orchard("git config color.ui never")
QUESTION = orchard("git branch --show-current", output={"must": ["main"]})


@pytest.fixture(scope="module")
def damaged(pool: Pool, images: Recipes) -> dict[tuple[bool, str], Examination]:
    """Every kind of damage behind a right answer to a request and to a question."""
    examiner = Examiner(pool, images.image)
    pairs = [(case, damage) for case in (STATE, QUESTION) for damage in damages()]
    with ThreadPoolExecutor(pool.size) as threads:
        found = threads.map(lambda pair: examiner.examine(pair[0], pair[1].after(pair[0].accept[0])), pairs)
        return {(case.question, damage.kind): each for (case, damage), each in zip(pairs, found, strict=True)}


@pytest.mark.parametrize("question", [False, True])
@pytest.mark.parametrize("kind", [damage.kind for damage in damages()])
def test_each_kind_is_done_and_seen(damaged: dict[tuple[bool, str], Examination], kind: str, question: bool) -> None:
    examination = damaged[question, kind]
    assert examination.execution.exit_code == 0, examination.execution.stderr.decode()
    assert examination.verdict is not None
    assert not examination.verdict.passed
    assert examination.verdict.differences
    assert examination.verdict.output_holds in (None, True), "damage prints nothing, so the output is still right"


def test_where_there_is_nothing_to_break_it_says_so(pool: Pool, images: Recipes) -> None:
    case = orchard("rm -rf .git * .gitignore")
    examiner = Examiner(pool, images.image)
    for damage in damages():
        examination = examiner.examine(case, damage.after(case.accept[0]))
        verdict = examination.verdict
        assert verdict is not None
        assert verdict.passed == (examination.execution.exit_code == NOT_APPLICABLE), damage.kind


def test_what_a_request_leaves_open_is_no_damage() -> None:
    left_out = {damage.kind for damage in damages()} - {damage.kind for damage in damages(("commit-message",))}
    assert left_out == {"reworded commit"}


def test_there_are_enough_kinds_and_each_has_its_own_name() -> None:
    kinds = [damage.kind for damage in damages()]
    assert len(set(kinds)) == len(kinds) >= 30
