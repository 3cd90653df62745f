"""Criteria: the answer meets the case's criteria, decided without looking at what it did (criteria match).

Score: 1 or 0. Without a judge: the case's `rules` over the parsed command, or rules derived from its accepted commands
(`graders.rules`); an answer without a command meets none. With a judge: the case's `criteria` sentence, which the judge
answers step by step with Y or N; then the judge's verdict is the score and the rules' result stays in the details.
Unscored: the judge gave no answer, or no line with Y or N.
"""

from __future__ import annotations

from distill.grading import Attempt, Grade
from graders.asking import ask
from graders.rules import rules_of, violations

_DECORATION = " \t*_`'\"[]()."


async def grade(attempt: Attempt) -> Grade:
    """Whether the command meets the case's criteria: by rules, or by a judge if one is named."""
    rules = _by_rules(attempt)
    if attempt.judge is None:
        return Grade.of(rules.score or 0, rules.reason, by="rules", **rules.details)
    texts = {"Conversation": attempt.case.request, "Response": attempt.text, "Criteria": attempt.case.criteria}
    reply = await ask(attempt, "criteria", texts)
    if isinstance(reply, Grade):
        return Grade.unscored(reply.reason, by="judge", rules=rules.score)
    verdict = read_verdict(reply)
    if verdict is None:
        return Grade.unscored(
            "the judge's reply has no line with Y or N", by="judge", rules=rules.score, reply=reply[:500]
        )
    reason = "the judge finds the criteria met" if verdict else "the judge finds the criteria not met"
    return Grade.of(verdict, reason, by="judge", rules=rules.score, reply=reply[-2000:])


def read_verdict(reply: str) -> bool | None:
    """The last line that is Y or N, bare or in Markdown emphasis, quotes or brackets; None when there is none."""
    for line in reversed(reply.splitlines()):
        verdict = line.strip(_DECORATION)
        if verdict in ("Y", "N"):
            return verdict == "Y"
    return None


def _by_rules(attempt: Attempt) -> Grade:
    command = attempt.extraction.command
    if command is None:
        return Grade.of(0, f"there is no command to check: {attempt.extraction.problem}")
    broken = violations(rules_of(attempt.case), command)
    return Grade.of(not broken, "; ".join(broken) or "the command keeps every rule", broken=broken)
