"""Who is asked what: roles, identifiers, prompts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.cases import Case
from distill.config import Config
from distill.suite.experiment import Contender, Experiment, assign_roles, identifier, prompt_for, questions

SETTINGS = Config(baseline="smollm2-135m-instruct", teacher="gpt-4o")
TUNED = "ft:gpt-4o-mini-2024-07-18:personal:git:AF7QSF0m"


def _case(identity: str) -> Case:
    return Case(
        id=identity, request="Show the log.", repository="any", accept=("git log",), criteria="It shows the log."
    )


def _experiment(*contenders: Contender, samples: int = 1) -> Experiment:
    settings = SETTINGS.model_copy(update={"samples": samples})
    return Experiment(settings=settings, root=Path(), contenders=contenders)


@pytest.mark.parametrize(
    ("texts", "roles"),
    [
        ([TUNED], ["student"]),
        (["reference"], ["teacher"]),
        (["gpt-4o"], ["teacher"]),
        (["smollm2-135m-instruct"], ["baseline"]),
        (["smollm2-135m-instruct", "gpt-4o", TUNED], ["baseline", "teacher", "student"]),
        (["first=a", "second=b"], ["first", "second"]),
        (["student=reference"], ["student"]),
    ],
)
def test_a_model_without_a_role_gets_the_usual_one(texts: list[str], roles: list[str]) -> None:
    assert [contender.role for contender in assign_roles(texts, SETTINGS)] == roles


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["a", "b"], "already is the student"),
        (["student="], "expected NAME or ROLE=NAME"),
        (["=name"], "expected NAME or ROLE=NAME"),
        (["my role=name"], "expected NAME or ROLE=NAME"),
        (["a-b=name"], "expected NAME or ROLE=NAME"),
    ],
)
def test_roles_that_cannot_be_told_apart_are_refused(texts: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        assign_roles(texts, SETTINGS)


def test_identifiers_name_role_and_case_and_the_sample_only_when_there_are_several() -> None:
    case = _case("branch-create-switch")
    one = _experiment(Contender("student", TUNED))
    assert [identifier(one, question) for question in questions(one, [case])] == ["student-branch-create-switch"]
    two = _experiment(Contender("student", TUNED), Contender("teacher", "reference"), samples=2)
    assert [identifier(two, question) for question in questions(two, [case])] == [
        "student-branch-create-switch-s0",
        "student-branch-create-switch-s1",
        "teacher-branch-create-switch",
    ]


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))
def test_every_question_is_asked_once(models: int, cases: int, samples: int) -> None:
    contenders = [Contender(f"role{number}", f"model{number}") for number in range(models)]
    experiment = _experiment(*contenders, samples=samples)
    asked = questions(experiment, [_case(f"case-{number}") for number in range(cases)])
    assert len({question.key for question in asked}) == len(asked) == models * cases * samples
    assert len({identifier(experiment, question) for question in asked}) == len(asked)


def test_a_prompt_tells_nothing_about_the_case_but_its_request() -> None:
    experiment = _experiment(Contender("student", TUNED))
    question = questions(experiment, [_case("log-show")])[0]
    prompt = prompt_for(experiment, question, "Answer with the command only.")
    assert prompt.messages == (
        {"role": "system", "content": "Answer with the command only."},
        {"role": "user", "content": "Show the log."},
    )
    assert prompt.metadata == {"task": "git"}
