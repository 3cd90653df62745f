"""Findings in words and cells, the same in the terminal and in the report.

In: findings and parts of them. Out: one line of text each, cleaned of what a terminal would act on. No layout here.
"""

from __future__ import annotations

from collections.abc import Callable

from distill.reporting.comparison import Comparison, Contender, Gap
from distill.reporting.findings import Findings
from distill.reporting.gate import Check, Gate
from distill.reporting.summary import Score, Summary, Totals
from distill.reporting.text import (
    NOTHING,
    clean,
    count,
    p_value,
    percent,
    percent_interval,
    points,
    points_interval,
    shorten_middle,
)


def difference_parts(item: Comparison, findings: Findings) -> list[str]:
    """`student - baseline  +12.0 points [5.0, 19.1]  p = 0.002`, then remarks on it, each a part of its own."""
    name = f"{label(item.first, findings)} - {label(item.second, findings)}"
    if item.difference is None:
        return [f"{name}  no case has a score for both", *difference_remarks(item)]
    found = item.difference
    adjusted = f" (Holm, {item.family} comparisons)" if item.family > 1 else ""
    line = f"{name}  {points(found.mean)} points {points_interval(found.interval)}  {p_value(item.adjusted_p)}"
    return [line + adjusted, *difference_remarks(item)]


def difference_remarks(item: Comparison) -> list[str]:
    """What could have been seen where no difference was, and how many cases are missing from the comparison."""
    remarks = []
    if item.difference is not None and not item.different:
        detectable = points(item.difference.detectable).lstrip("+")
        cases = counted(item.difference.cases, "case", "cases")
        remarks.append(f"no difference shown: {cases} would show one of {detectable} points")
    if item.left_out:
        remarks.append(f"{counted(item.left_out, 'case', 'cases')} left out, without a score on both sides")
    return remarks


def gap_line(gap: Gap) -> str:
    """`62 % of the gap to the teacher closed [41, 83]`, or why there is no such share."""
    if gap.share is None:
        return f"share of the gap to the teacher: undefined, {gap.problem}"
    interval = percent_interval(gap.interval) or "(no interval: too little to resample)"
    return f"{gap.share * 100:.0f} % of the gap to the teacher closed {interval}"


def label(contender: Contender, findings: Findings) -> str:
    """The role; with the model where two models share it."""
    role, model = contender
    shared = sum(summary.role == role for summary in findings.summaries) > 1
    return clean(f"{role} ({shorten_middle(model, 24)})" if shared else role)


def facts_parts(findings: Findings) -> list[str]:
    """Cases, categories, sandbox and git, in the order of the closing line."""
    sandbox = findings.facts.sandbox
    if sandbox.unsafe or sandbox.tier == "none":
        contained = "sandbox none: UNSAFE, answers ran unconfined"
    else:
        held = sum(probe.held for probe in sandbox.probes)
        contained = f"sandbox {clean(sandbox.tier)} ({held}/{len(sandbox.probes)} probes held)"
    return [
        counted(findings.cases, "case", "cases"),
        counted(findings.categories, "category", "categories"),
        contained,
        f"git {clean(findings.facts.git)}",
    ]


def told_checks(gate: Gate) -> list[Check]:
    """Every check but the unscored ceilings that nobody set and nothing failed."""
    return [check for check in gate.checks if not (check.implied and check.passed)]


def score_cell(score: Score) -> str:
    """`62 % [57, 67]`"""
    return f"{percent(score.mean)} {percent_interval(score.interval)}".strip()


def tokens_cell(summary: Summary) -> str:
    """Prompt and completion tokens together; `>` where some answers came without a count."""
    if summary.reference:
        return NOTHING
    both = (summary.prompt_tokens, summary.completion_tokens)
    known = [totals.known for totals in both if totals.known is not None]
    return at_least(Totals(known=sum(known) if known else None, missing=max(totals.missing for totals in both)), count)


def at_least(totals: Totals, shown: Callable[[float | None], str]) -> str:
    """A sum, with `>` in front where the figure of some answers is missing from it."""
    return (">" if totals.missing and totals.known is not None else "") + shown(totals.known)


def counted(number: int, singular: str, plural: str) -> str:
    return f"{number} {singular if number == 1 else plural}"
