"""Every shipped case can tell: its accepted commands pass, its near misses fail, and so does doing nothing.

Each command runs in the sandbox, twice and in fresh copies, and has to get the same verdict both times.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from distill.cases import Case, load_cases, load_recipes
from distill.sandbox.examiner import Examiner
from distill.sandbox.pool import open_pool
from distill.sandbox.recipes import Recipes

PROJECT = Path(__file__).parents[1]
RECIPES = load_recipes(PROJECT / "fixtures" / "repositories")
CASES = load_cases([PROJECT / "evals" / "cases"], RECIPES)
NOTHING = ":"


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with open_pool("auto") as pool:
        yield Examiner(pool, Recipes(RECIPES).image)


@pytest.fixture(scope="module")
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_accepted_commands_pass_and_everything_else_fails(
    case: Case, examiner: Examiner, threads: ThreadPoolExecutor
) -> None:
    status = () if "git status" in case.accept else ("git status",)
    commands = [*case.accept, *case.reject, NOTHING, *status]

    def judge(command: str, fresh: bool = True) -> tuple[bool, str]:
        examination = examiner.examine(case, command, fresh=fresh)
        assert examination.verdict is not None, f"{command!r} {examination.execution.detail}"
        return examination.verdict.passed, examination.verdict.reason

    # The first run of an accepted command is also the state that everything else is compared with.
    first = dict(zip(commands, threads.map(partial(judge, fresh=False), commands), strict=True))
    second = dict(zip(commands, threads.map(judge, commands), strict=True))

    refused = [f"{command!r}: {first[command][1]}" for command in case.accept if not first[command][0]]
    let_through = [f"{command!r}: {why}" for command, (passed, why) in first.items() if passed]
    assert not refused, "accepted commands that fail"
    assert let_through == [f"{command!r}: {first[command][1]}" for command in case.accept], "commands that should fail"
    assert second == first, "the same command got another verdict the second time"


def test_there_are_enough_cases_of_every_kind() -> None:
    questions = sum(case.question for case in CASES)

    assert len(CASES) >= 60
    assert len({case.category for case in CASES}) >= 20
    assert len({case.repository for case in CASES}) >= 10
    assert len(CASES) / 3 <= questions <= len(CASES) / 2


def test_every_case_has_three_near_misses() -> None:
    assert not [case.id for case in CASES if len(case.reject) < 3]


def test_every_recipe_is_asked_about() -> None:
    assert not RECIPES.keys() - {case.repository for case in CASES}


def test_no_request_is_asked_twice_of_the_same_repository() -> None:
    asked = [(case.repository, case.request.casefold().rstrip(".?! ")) for case in CASES]

    assert len(set(asked)) == len(asked)
