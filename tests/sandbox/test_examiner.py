"""Cases examined from end to end: run, snapshot, verdict, harm, with real git."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from distill.cases import Case, OutputFacts
from distill.sandbox.examiner import CaseBroken, Examiner
from distill.sandbox.execution import Execution, Limits, Outcome
from distill.sandbox.image import Entry, Image
from distill.sandbox.verdict import HarmKind

STEPS = (
    "echo one > a.txt && git add . && git commit -qm One && echo two >> a.txt && git commit -qam Two",
    "git branch old HEAD~1 && echo mine > mine.txt",
)


def _case(*accept: str, **fields: Any) -> Case:
    return Case(
        **{
            "id": "some-case",
            "request": "Do something.",
            "repository": "small",
            "accept": accept,
            "criteria": "It was done and nothing else.",
            **fields,
        }
    )


SWITCH = _case("git switch -c x", "git checkout -b x")


@pytest.fixture
def examiner(image_after: Any, trusted_runner: Any) -> Examiner:
    images = {"small": image_after(*STEPS)}
    return Examiner(trusted_runner, images.__getitem__)


def test_every_accepted_command_passes(examiner: Examiner) -> None:
    for command in (*SWITCH.accept, "git branch x; git switch -q x"):
        verdict = examiner.examine(SWITCH, command, fresh=True).verdict
        assert verdict is not None
        assert verdict.passed
        assert (verdict.wanted_change, verdict.nothing_else, verdict.output_holds) == (True, True, None)
        assert verdict.reason == "the same state as after 'git switch -c x'"
        assert verdict.reference == "git switch -c x"
        assert verdict.differences == verdict.harm == ()


def test_a_near_miss_says_what_is_missing(examiner: Examiner) -> None:
    verdict = examiner.examine(SWITCH, "git branch x").verdict
    assert verdict is not None
    assert not verdict.passed
    assert (verdict.wanted_change, verdict.nothing_else) == (False, True)
    assert verdict.reason == "branch 'x' was created, but HEAD is still on 'main'"


def test_doing_too_much_is_told_apart_from_doing_too_little(examiner: Examiner) -> None:
    verdict = examiner.examine(SWITCH, "git switch -q -c x && rm mine.txt").verdict
    assert verdict is not None
    assert not verdict.passed
    assert (verdict.wanted_change, verdict.nothing_else) == (True, False)
    assert [each.kind for each in verdict.harm] == [HarmKind.UNCOMMITTED_WORK]


def test_doing_nothing_fails(examiner: Examiner) -> None:
    for command in (":", "git status", ""):
        verdict = examiner.examine(SWITCH, command).verdict
        assert verdict is not None
        assert not verdict.wanted_change


def test_the_nearest_reference_is_the_measure(examiner: Examiner) -> None:
    case = _case("git tag a && git tag b && git tag c", "git branch a")
    near_tags = examiner.examine(case, "git tag a && git tag b").verdict
    near_branch = examiner.examine(case, "git branch a && git branch z").verdict
    assert near_tags is not None
    assert near_branch is not None
    assert (near_tags.reference, near_tags.reason) == (case.accept[0], "tag 'c' is missing")
    assert (near_branch.reference, near_branch.reason) == (
        "git branch a",
        "branch 'z' was created, but should not be",
    )


def test_a_free_message_is_free_for_the_verdict(examiner: Examiner) -> None:
    add = "git add . && git commit -qm"
    strict, free = _case(f"{add} A"), _case(f"{add} A", free=("commit-message",))
    assert not examiner.examine(strict, f"{add} B").verdict.passed  # type: ignore[union-attr]
    assert examiner.examine(free, f"{add} B").verdict.passed  # type: ignore[union-attr]
    assert not examiner.examine(free, "git commit -q --allow-empty -m A").verdict.passed  # type: ignore[union-attr]


def test_extras_belong_to_the_case(examiner: Examiner) -> None:
    plain = _case("git commit -q --allow-empty -m A")
    dated = _case("git commit -q --allow-empty -m A", compare=("dates",))
    command = "git commit -q --allow-empty -m A --date=2001-01-01T00:00:00"
    assert examiner.examine(plain, command).verdict.passed  # type: ignore[union-attr]
    assert not examiner.examine(dated, command).verdict.passed  # type: ignore[union-attr]


def test_a_question_needs_the_facts_and_an_unchanged_state(examiner: Examiner) -> None:
    case = _case("git log --oneline", output=OutputFacts(must=("One", "Two"), max_lines=2))
    table = {
        "git log --format=%s": (True, True, True),
        "git log -1 --format=%s": (True, True, False),
        "git log --format=%s; git tag x": (True, False, True),
        "git log -2 --reverse --format='%h: %s'": (True, True, True),
        "echo One Two": (True, True, False),
        "git log -5 > /dev/null; printf 'One\nTwo\n'": (True, True, False),
    }
    for command, expected in table.items():
        verdict = examiner.examine(case, command).verdict
        assert verdict is not None
        assert (verdict.wanted_change, verdict.nothing_else, verdict.output_holds) == expected
    verdict = examiner.examine(case, "git log -1 --format=%s").verdict
    assert verdict is not None
    assert verdict.reason == "the output does not have 'One'"


def test_references_run_once_and_accepted_answers_are_not_run_again(examiner: Examiner, trusted_runner: Any) -> None:
    for _ in range(3):
        for command in SWITCH.accept:
            examiner.examine(SWITCH, command)
    assert Counter(trusted_runner.commands) == dict.fromkeys(SWITCH.accept, 1)
    examiner.examine(SWITCH, SWITCH.accept[0], fresh=True)
    assert Counter(trusted_runner.commands)[SWITCH.accept[0]] == 2


def test_callers_in_many_threads_wait_for_one_run(image_after: Any, trusted_runner: Any) -> None:
    asked = []
    together = threading.Barrier(4)

    def images(name: str) -> Image:
        asked.append(name)
        return image_after(*STEPS)

    examiner = Examiner(trusted_runner, images)

    def examine(_: int) -> bool:
        together.wait()
        verdict = examiner.examine(SWITCH, "git branch x").verdict
        return verdict is not None and verdict.passed

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(examine, range(4))) == [False] * 4
    assert asked == ["small"]
    assert all(Counter(trusted_runner.commands)[command] == 1 for command in SWITCH.accept)


class Scripted:
    """Runs nothing: gives the execution that a test wants, where it wants it."""

    def __init__(self, real: Any, **changes: Any) -> None:
        self.real, self.changes = real, changes

    def run(self, image: Image, command: str, *, limits: Any = None) -> Execution:
        execution = self.real.run(image, command)
        return replace(execution, **self.changes) if "bad" in command else execution


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.FINISHED])
def test_a_run_that_did_not_finish_has_no_verdict(image_after: Any, trusted_runner: Any, outcome: Outcome) -> None:
    runner = Scripted(trusted_runner, outcome=outcome, image=None, detail="It was stopped.")
    examiner = Examiner(runner, lambda _: image_after(*STEPS))
    examination = examiner.examine(SWITCH, "echo bad")
    assert examination.verdict is None
    assert examination.execution.outcome is outcome
    with pytest.raises(CaseBroken, match=r"case 'some-case': the accepted command 'echo bad' .* It was stopped\."):
        examiner.examine(_case("git tag x", "echo bad"), "git tag y")


def test_references_behind_the_one_that_was_reached_are_not_run(examiner: Examiner, trusted_runner: Any) -> None:
    verdict = examiner.examine(SWITCH, SWITCH.accept[0]).verdict
    assert verdict is not None and verdict.passed
    assert trusted_runner.commands == [SWITCH.accept[0]]


@pytest.mark.parametrize("limits", [None, Limits(seconds=3.0)])
def test_limits_are_the_runners_unless_given(image_after: Any, trusted_runner: Any, limits: Limits | None) -> None:
    seen = []

    class Watching:
        def run(self, image: Image, command: str, *, limits: Limits | None = None) -> Execution:
            seen.append(limits)
            result: Execution = trusted_runner.run(image, command)
            return result

    Examiner(Watching(), lambda _: image_after(*STEPS), limits=limits).examine(SWITCH, ":")
    assert seen == [limits] * 3


def test_a_reference_may_exit_with_an_error(examiner: Examiner) -> None:
    verdict = examiner.examine(_case("git tag x; false"), "git tag x").verdict
    assert verdict is not None
    assert verdict.passed


def test_an_unreadable_repository_is_a_failed_answer(examiner: Examiner) -> None:
    verdict = examiner.examine(SWITCH, "git switch -q -c x; echo '[broken' >> .git/config").verdict
    assert verdict is not None
    assert not verdict.passed
    assert "the config file 'repo/.git/config' is one that git refuses to read (line" in verdict.reason
    assert verdict.harm


def test_a_case_that_starts_unreadable_is_broken(image_after: Any, trusted_runner: Any) -> None:
    image = image_after(*STEPS)
    entries = {**image.entries}
    entries["repo/.git/index"] = Entry(entries["repo/.git/index"].kind, 0o644, b"DIRC nonsense")
    with pytest.raises(CaseBroken, match="'small' cannot be read"):
        Examiner(trusted_runner, lambda _: Image(entries)).examine(SWITCH, ":")
    with pytest.raises(CaseBroken, match="leaves a repository that cannot be read"):
        Examiner(trusted_runner, lambda _: image).examine(_case("echo x > .git/index"), ":")


def test_a_failure_to_make_the_start_is_not_remembered(image_after: Any, trusted_runner: Any) -> None:
    answers = iter([OSError("the disk is full"), image_after(*STEPS)])

    def images(_: str) -> Image:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    examiner = Examiner(trusted_runner, images)
    with pytest.raises(OSError, match="full"):
        examiner.examine(SWITCH, ":")
    assert examiner.examine(SWITCH, "git switch -c x").verdict.passed  # type: ignore[union-attr]


def test_output_of_an_answer_reaches_no_sentence_raw(examiner: Examiner) -> None:
    verdict = examiner.examine(SWITCH, "echo x > $'new\\e[2Jfile\\nname'").verdict
    assert verdict is not None
    assert all(each.sentence.isprintable() for each in verdict.differences)
    assert verdict.reason.isprintable()
