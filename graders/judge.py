"""Judge: a model scores the answer by the rubric in `fixtures/prompts/judge.md` (LLM-as-judge).

Score: the judge's, from 0 to 1. It sees the request, the criteria and the answer as it came, and not what running the
answer did: only so can its grades be held against execution. Unscored: no judge was named, it gave no answer, or its
reply holds no score from 0 to 1; a reply is never repaired or clamped.
"""

from __future__ import annotations

import json
import re
from typing import Any

from distill.grading import Attempt, Grade
from graders.asking import ask

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"reasoning": {"type": "string"}, "score": {"type": "number"}},
    "required": ["reasoning", "score"],
    "additionalProperties": False,
}


class _Repeated(Exception):
    """A key stands twice in an object: one of the two may be a quotation of the answer."""


_FENCED = re.compile(r"```(?:json)?\s*\n(.*)\n\s*```", re.DOTALL)


async def grade(attempt: Attempt) -> Grade:
    """A judge model's score for the answer, by a rubric (needs --judge)."""
    texts = {"Request": attempt.case.request, "Criteria": attempt.case.criteria, "Answer": attempt.text}
    reply = await ask(attempt, "judge", texts, json_schema=SCHEMA)
    return reply if isinstance(reply, Grade) else read_score(reply)


def read_score(reply: str) -> Grade:
    """The grade in a judge's reply: a JSON object, alone or in a code fence (for servers without structured output)."""
    fenced = _FENCED.fullmatch(reply.strip())
    try:
        value = json.loads(fenced[1] if fenced else reply, object_pairs_hook=_without_repetition)
    except _Repeated:
        return Grade.unscored(
            "the judge's reply says something twice, so it is not clear what it says", reply=reply[:500]
        )
    except (ValueError, RecursionError):
        return Grade.unscored("the judge's reply is not a JSON object", reply=reply[:500])
    score = value.get("score") if isinstance(value, dict) else None
    if isinstance(score, bool) or not isinstance(score, int | float):
        return Grade.unscored('the judge\'s reply holds no number under "score"', reply=reply[:500])
    if not 0 <= score <= 1:
        return Grade.unscored(f"the judge's score is {str(score)[:20]}, not a number from 0 to 1", reply=reply[:500])
    reasoning = value.get("reasoning")
    return Grade.of(score, reasoning[:2000] if isinstance(reasoning, str) else "")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Repeated
    return value
