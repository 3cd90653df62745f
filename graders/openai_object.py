"""One of OpenAI's grader objects as a grader of ours.

In: an attempt. Its case is the `item` of the object's templates: `request`, `reference` (the first accepted command),
`references`, `criteria`, `category`, `id` and `tags`, and beside or above these whatever the case says under `item`.
The `sample` is the answer as it came, with `output_command`, the command that was found in it. Out: a `Grade`.

An object with a `pass_threshold` scores 1 when it passes and else 0, as OpenAI counted it; one without scores what it
says, a score_model's as the share of its range. An error, such as a reply that holds no score, is unscored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distill.cases import Case
from distill.grading import Attempt, Grade
from distill.openai_graders import Grader, GraderResult, ScoreModel, run, sample_of

_LONGEST_REPLY = 2000


@dataclass(frozen=True, slots=True)
class GraderObject:
    """A grade function."""

    grader: Grader

    async def __call__(self, attempt: Attempt) -> Grade:
        return grade_of(self.grader, await result_of(self.grader, attempt))


async def result_of(grader: Grader, attempt: Attempt) -> GraderResult:
    """What the object says about the attempt."""
    sample = {**sample_of(attempt.text), "output_command": attempt.extraction.command or ""}
    return await run(grader, item=item_of(attempt.case), sample=sample, tools=attempt.tools)


def item_of(case: Case) -> dict[str, Any]:
    """The case as an object's templates see it."""
    return {
        "id": case.id,
        "request": case.request,
        "reference": case.accept[0] if case.accept else "",
        "references": list(case.accept),
        "criteria": case.criteria,
        "category": case.category,
        "tags": list(case.tags),
        **case.item,
    }


def grade_of(grader: Grader, result: GraderResult) -> Grade:
    """A result as a grade, from 0 to 1 or unscored."""
    details = details_of(result)
    if result.errors.any:
        return Grade.unscored("; ".join(result.problems) or "the grader object gave an error", **details)
    threshold = getattr(grader, "pass_threshold", None)
    if threshold is not None:
        says = "reaches" if result.passed else "is below"
        return Grade.of(result.passed, f"{result.score:g} {says} the threshold, {threshold:g}", **details)
    score = result.score
    if isinstance(grader, ScoreModel):
        low, high = grader.bounds
        score = (score - low) / (high - low)
    if not 0 <= score <= 1:
        return Grade.unscored(
            f"{result.score:g} is no score from 0 to 1, and there is no pass_threshold to hold it against", **details
        )
    return Grade.of(score, f"{result.name}: {result.label or format(result.score, 'g')}", **details)


def details_of(result: GraderResult) -> dict[str, Any]:
    """What a reader of `results.jsonl` may want to know."""
    said: Mapping[str, Any] = {
        "label": result.label,
        "parts": dict(result.sub_scores),
        "model": result.model,
        "reply": result.reply[:_LONGEST_REPLY] if result.reply is not None else None,
    }
    return {"type": result.type, "value": result.score, **{name: value for name, value in said.items() if value}}
