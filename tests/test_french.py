"""The French cases ask what other cases ask, in another language, and are checked against the same references.

A case that asks in French stands in `evals/cases/french.yaml` under the id `fr-ID`; everything but its request is the
same as in the case ID. Whoever changes one of the two has to change the other.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from distill.cases import Case, load_cases

CASES = load_cases([Path(__file__).parents[1] / "evals" / "cases"])
FRENCH = [case for case in CASES if case.category == "french"]
ORIGINALS = {f"fr-{case.id}": case for case in CASES if case.category != "french"}
TRANSLATED = {"id", "category", "request", "tags"}
NAME = re.compile(r"[\w./~-]*\w[-_./~]\w[\w/~-]*")
"""A word with a mark inside: `feature-login`, `v1.1.0`, `HEAD~1`, `../origin.git`."""
QUOTED = re.compile(r"""["']([^"']+)["'](?=[\s.,]|$)""")


def test_forty_cases_are_asked_in_french() -> None:
    assert len(FRENCH) == 40
    assert [case.id for case in CASES if case.id.startswith("fr-") or "fr" in case.tags] == [
        case.id for case in FRENCH
    ], "the prefix fr- and the tag fr are for the cases of evals/cases/french.yaml, and for all of them"


@pytest.mark.parametrize("french", FRENCH, ids=lambda case: case.id)
def test_only_the_request_is_translated(french: Case) -> None:
    assert french.id in ORIGINALS, f"there is no case {french.id.removeprefix('fr-')!r} that {french.id!r} translates"
    original = ORIGINALS[french.id]

    assert french.request.casefold() != original.request.casefold()
    assert french.model_dump(exclude=TRANSLATED) == original.model_dump(exclude=TRANSLATED)
    assert french.tags == (*original.tags, "fr")


@pytest.mark.parametrize("french", FRENCH, ids=lambda case: case.id)
def test_a_translation_keeps_every_name_that_has_to_be_typed(french: Case) -> None:
    """What the request and the answer share, such as a branch, a path or a message, is in the French request too."""
    original = ORIGINALS[french.id]
    named = [*NAME.findall(original.request), *QUOTED.findall(original.request)]
    typed = [name for name in named if name in original.accept[0]]

    assert not [name for name in typed if name not in french.request]


def test_the_french_cases_are_spread_over_what_is_asked() -> None:
    questions = sum(case.question for case in FRENCH)
    multi_step = sum("multi-step" in case.tags for case in FRENCH)
    hard = sum("hard" in case.tags for case in FRENCH)

    assert len({ORIGINALS[case.id].category for case in FRENCH}) >= 25
    assert 10 <= questions <= 20
    assert multi_step >= 4
    assert hard >= 6


@pytest.mark.parametrize("kind", ["trained-operation", "unseen-operation"])
def test_trained_and_unseen_operations_are_asked_in_french(kind: str) -> None:
    assert sum(kind in case.tags for case in FRENCH) >= 8
