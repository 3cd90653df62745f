"""Testing criteria: the answer passes every grader object that its case names under `graders`.

Score: 1 when every object passes (each by its own `pass_threshold`, or the middle of its range), else 0, as OpenAI's
evals counted an item. Unscored: the case names none, or an object gave an error and no other one failed.
"""

from __future__ import annotations

import asyncio

from distill.grading import Attempt, Grade
from distill.openai_graders import GraderInvalid, parse
from graders.openai_object import details_of, result_of


async def grade(attempt: Attempt) -> Grade:
    """Whether the answer passes all of the case's own grader objects."""
    if not attempt.case.graders:
        return Grade.unscored("the case names no grader objects")
    try:
        graders = [parse(one, path=f"graders[{place}]") for place, one in enumerate(attempt.case.graders)]
    except GraderInvalid as error:
        return Grade.unscored(str(error).splitlines()[0])
    results = await asyncio.gather(*(result_of(grader, attempt) for grader in graders))
    details = {"criteria": [{"name": result.name, "passed": result.passed, **details_of(result)} for result in results]}
    failed = [f"{result.name} ({result.score:g})" for result in results if not result.passed and not result.errors.any]
    if failed:
        return Grade.of(0, f"does not pass {', '.join(failed)}", **details)
    problems = [f"{result.name}: {'; '.join(result.problems)}" for result in results if result.errors.any]
    if problems:
        return Grade.unscored(" · ".join(problems), **details)
    return Grade.of(1, f"passes {', '.join(result.name for result in results)}", **details)
