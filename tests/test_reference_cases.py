"""Every shipped case can tell: its accepted commands pass, its near misses fail, and so does doing nothing.

The quick tests take every fourth case, the slow ones all. With these, each command of an evaluation case runs a second
time, in another directory (and, where there are two, under another tier of the sandbox), and has to get the same
verdict; and the training cases are proved as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from distill.cases import Case, load_cases, load_recipes
from distill.sandbox.examiner import Examiner
from distill.sandbox.execution import SandboxUnavailable
from distill.sandbox.pool import Pool, open_pool
from distill.sandbox.recipes import Recipes

PROJECT = Path(__file__).parents[1]
RECIPES = load_recipes(PROJECT / "fixtures" / "repositories")
CASES = load_cases([PROJECT / "evals" / "cases"], RECIPES)
TRAINING = load_cases([PROJECT / "fixtures" / "training"], RECIPES)
IMAGES = Recipes(RECIPES)
NOTHING = ":"
Verdicts = dict[str, tuple[bool, str]]


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with open_pool("auto") as pool:
        yield Examiner(pool, IMAGES.image)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Examiner]:
    """Cases run in a directory of another name here: under bubblewrap it is always the same."""
    with _open_landlock_or_auto() as pool:
        yield Examiner(pool, IMAGES.image)


@pytest.fixture(scope="module")
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


@pytest.mark.parametrize(
    "case",
    [case if index % 4 == 0 else pytest.param(case, marks=pytest.mark.slow) for index, case in enumerate(CASES)],
    ids=lambda case: case.id,
)
def test_accepted_commands_pass_and_everything_else_fails(
    case: Case, examiner: Examiner, threads: ThreadPoolExecutor
) -> None:
    _check(case, _verdicts(examiner, case, threads))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_verdict_is_the_same_in_another_directory(
    case: Case, examiner: Examiner, elsewhere: Examiner, threads: ThreadPoolExecutor
) -> None:
    assert _verdicts(elsewhere, case, threads) == _verdicts(examiner, case, threads)


@pytest.mark.slow
@pytest.mark.parametrize("case", TRAINING, ids=lambda case: case.id)
def test_training_cases_can_tell_as_well(case: Case, examiner: Examiner, threads: ThreadPoolExecutor) -> None:
    _check(case, _verdicts(examiner, case, threads))


def _share(cases: Sequence[Case], tag: str) -> float:
    return sum(tag in case.tags for case in cases) / len(cases)


def test_there_are_enough_cases_of_every_kind() -> None:
    own = [case for case in CASES if "fr" not in case.tags]

    assert len(own) >= 320
    assert len({case.category for case in own}) >= 40
    assert sum(case.question for case in own) >= len(own) / 3
    assert _share(own, "multi-step") >= 0.2
    assert sum("hard" in case.tags for case in own) >= 60
    assert sum("unseen-operation" in case.tags for case in own) >= 40
    assert all(("unseen-operation" in case.tags) != ("trained-operation" in case.tags) for case in CASES)
    assert sum(len(case.accept) for case in own) / len(own) >= 2.5
    assert len(TRAINING) == 386


def test_no_identifier_is_used_by_both_sets() -> None:
    assert not {case.id for case in CASES} & {case.id for case in TRAINING}


def test_every_case_has_three_near_misses() -> None:
    assert not [case.id for case in (*CASES, *TRAINING) if len(case.reject) < 3]


def test_every_recipe_is_asked_about() -> None:
    assert not RECIPES.keys() - {case.repository for case in (*CASES, *TRAINING)}


def test_no_request_is_asked_twice_of_the_same_repository() -> None:
    asked = [(case.repository, case.request.casefold().rstrip(".?! ")) for case in CASES]

    assert len(set(asked)) == len(asked)


def _open_landlock_or_auto() -> Pool:
    try:
        return open_pool("landlock")
    except SandboxUnavailable:
        return open_pool("auto")


def _verdicts(examiner: Examiner, case: Case, threads: ThreadPoolExecutor) -> Verdicts:
    status = () if "git status" in case.accept else ("git status",)
    commands = [*case.accept, *case.reject, NOTHING, *status]

    def judge(command: str) -> tuple[bool, str]:
        examination = examiner.examine(case, command)
        assert examination.verdict is not None, f"{command!r} {examination.execution.detail}"
        return examination.verdict.passed, examination.verdict.reason

    return dict(zip(commands, threads.map(judge, commands), strict=True))


def _check(case: Case, verdicts: Verdicts) -> None:
    refused = [f"{command!r}: {verdicts[command][1]}" for command in case.accept if not verdicts[command][0]]
    let_through = [command for command, (passed, _) in verdicts.items() if passed]
    assert not refused, "accepted commands that fail"
    assert let_through == list(case.accept), "commands that should fail"
