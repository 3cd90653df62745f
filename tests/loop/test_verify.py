"""Answers are executed; what works is kept once, and what does not says why."""

from __future__ import annotations

import pytest

from distill.loop.tasks import Task
from distill.loop.verify import Fate, Verification, verify
from distill.sandbox.examiner import Examiner

from .conftest import answer, case, task


@pytest.mark.parametrize(
    ("text", "fate"),
    [
        ("git branch topic-1", Fate.KEPT),
        ("```bash\ngit branch topic-1\n```", Fate.KEPT),
        ("git branch topic-2", Fate.WRONG_STATE),
        ("git branch topic-1 && git config user.name Eve", Fate.DAMAGE),
        ("You could look into the manual.", Fate.NO_COMMAND),
        ("git branch <name>", Fate.NO_COMMAND),
        (None, Fate.NO_ANSWER),
    ],
)
def test_an_answer_is_decided_by_running_it(text: str | None, fate: Fate, examiner: Examiner) -> None:
    found = verify([answer(1, text)], {"t-branch-1": task(1)}, [], examiner, threads=1)

    assert [row.fate for row in found.rows] == [fate]
    assert found.rows[0].reason


def test_what_is_learned_is_the_command_and_not_its_wrapping(examiner: Examiner) -> None:
    found = verify([answer(1, "Sure!\n```\ngit branch topic-1\n```")], {"t-branch-1": task(1)}, [], examiner, threads=1)

    assert found.kept[0].command == "git branch topic-1"


def test_a_question_needs_the_right_output(examiner: Examiner) -> None:
    asked = Task(case(1, "What did the last commit say?", "git log -1 --format=%s", question=True), "t-branch-1")
    request = asked.case.request

    found = verify(
        [answer(1, "git log -1 --format=%s", request=request), answer(1, "git status", request=request, sample=1)],
        {asked.id: asked},
        [],
        examiner,
        threads=2,
    )

    assert [row.fate for row in found.rows] == [Fate.KEPT, Fate.WRONG_OUTPUT]


def test_the_same_lesson_is_kept_once(examiner: Examiner) -> None:
    tasks = {
        "t-branch-1": task(1),
        "t-branch-2": Task(case(2, "make a branch topic-1, and stay here", "git branch topic-1"), "t-branch-2"),
        "t-branch-3": Task(case(3, "Create topic-1 for later.", "git branch topic-1"), "t-branch-3"),
    }
    answers = [
        answer(1, "git branch topic-1"),
        answer(1, "git branch topic-1", sample=1),
        answer(2, "git branch topic-1", request=tasks["t-branch-2"].case.request),
        answer(3, "git branch topic-1", request=tasks["t-branch-3"].case.request),
    ]

    found = verify(answers, tasks, [], examiner, threads=2)

    assert [row.fate for row in found.rows] == [Fate.KEPT, Fate.DUPLICATE, Fate.DUPLICATE, Fate.KEPT]


def test_nothing_is_learned_that_is_held_out(examiner: Examiner) -> None:
    held = case(9, "please make a branch 'topic-1' and stay here", "git branch topic-1")

    found = verify([answer(1, "git branch topic-1")], {"t-branch-1": task(1)}, [held], examiner, threads=1)

    assert found.rows[0].fate is Fate.LEAK
    assert "t-branch-9" in found.rows[0].reason


def test_an_answer_to_a_request_that_nobody_asked_is_not_run(examiner: Examiner) -> None:
    found = verify(
        [answer(1, "git branch topic-1", request="Something else")], {"t-branch-1": task(1)}, [], examiner, threads=1
    )

    assert found.rows[0].fate is Fate.UNKNOWN


@pytest.mark.parametrize(
    ("text", "objection"),
    [
        (lambda _: None, "gave no answer to 20 of 20"),
        (lambda _: "I am not sure what you mean.", "talks instead of answering"),
        (lambda _: "git status", "one and the same command"),
        (lambda number: f"git branch wrong-{number}", "only 0 of its 20 answers work"),
        (lambda number: f"git branch topic-{number}", ""),
    ],
)
def test_who_is_not_a_teacher_is_told_so(text, objection: str, tasks: dict[str, Task], examiner: Examiner) -> None:  # type: ignore[no-untyped-def]
    answers = [answer(number, text(number)) for number in range(1, 21)]

    found = verify(answers, tasks, [], examiner, threads=2)

    assert (objection in found.objection) if objection else found.objection == ""


def test_no_answers_are_no_teacher() -> None:
    assert Verification(rows=()).objection == "there are no answers"
