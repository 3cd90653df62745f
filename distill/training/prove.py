"""Whether a written request is one that can be graded: every step runs, and every step counts.

In: a `Written` and a repository. Out: a `Case` whose only accepted command is the written one, or `Dropped`. Kept
means: the whole ends with exit code 0, and leaving out any one of its steps either leaves another state or leaves out
something that the step printed. What a step prints that changes nothing becomes the facts that an answer has to print.
The lines with a step left out are the case's near misses.
"""

from __future__ import annotations

from distill.cases import Case, OutputFacts
from distill.sandbox.examiner import CaseBroken, Examiner
from distill.sandbox.execution import Outcome
from distill.sandbox.output import readable
from distill.training.verify_variants import NOTHING, Dropped
from distill.training.writing import Written

_LONGEST_FACT = 100
_NOTHING_DONE = (
    "already up to date",
    "everything up-to-date",
    "unstaged changes after reset",
    "already on",
    "we are not bisecting",
)
"""How git says that a command that changes things had nothing to change."""


def prove(written: Written, repository: str, examiner: Examiner, *, identity: str, category: str) -> Case:
    """The case. Raises `Dropped`."""
    whole = " && ".join(written.commands)
    shorter = [_without(written.commands, index) for index in range(len(written.commands))]
    if len({whole, *shorter}) != len(shorter) + 1:
        raise Dropped("two of its steps are one")
    case = Case(
        id=identity,
        request=written.request,
        repository=repository,
        accept=(whole,),
        reject=tuple(line for line in shorter if line != NOTHING),
        criteria=f"The command does all that is asked, in this order: {written.request}",
        category=category,
    )
    try:
        facts = _facts(case, whole, shorter, examiner)
    except CaseBroken:
        raise Dropped("its command does not run to its end") from None
    return case.model_copy(update={"output": OutputFacts(must=facts)}) if facts else case


def _without(commands: tuple[str, ...], index: int) -> str:
    return " && ".join(command for place, command in enumerate(commands) if place != index) or NOTHING


def _facts(case: Case, whole: str, shorter: list[str], examiner: Examiner) -> tuple[str, ...]:
    """What each step that changes nothing prints."""
    run = examiner.examine(case, whole).execution
    if run.outcome is not Outcome.FINISHED or run.exit_code != 0:
        raise Dropped("its command fails")
    printed = _lines(run.stdout)
    facts: list[str] = []
    for line in shorter:
        found = examiner.examine(case, line)
        if found.verdict is None:
            raise Dropped("a part of its command does not run to its end")
        if not found.verdict.passed:
            continue  # the step changes something
        others = _lines(found.execution.stdout)
        own = [each for each in printed if each not in others and not each.lower().startswith(_NOTHING_DONE)]
        if not own:
            raise Dropped("a step changes nothing and prints nothing of its own")
        facts += own[:1]
    return tuple(dict.fromkeys(facts))


def _lines(stdout: bytes) -> list[str]:
    lines = (line.strip() for line in readable(stdout).split("\n"))
    return [line for line in lines if line and len(line) <= _LONGEST_FACT]
