"""report.md and the step summary: findings through templates, with a stranger's text made inert.

In: findings. Out: GitHub-flavored Markdown. Everything that a template prints is escaped unless it went through one
of the filters below, so that a forgotten filter shows odd characters instead of obeying a model. `escape` is for
prose and table cells, `code` for a command in running text (never in a table, where a pipe ends a code span).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from datetime import UTC
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from distill.reporting import sentences
from distill.reporting.findings import Findings
from distill.reporting.text import (
    NOTHING,
    clean,
    count,
    dollars,
    gibibytes,
    p_value,
    percent,
    percent_interval,
    points,
    points_interval,
    rare,
    seconds,
)
from distill.results import Status

TEXT_LIMIT = 400
"""Characters of a request, an answer or a reason that are shown; the whole stands in results.jsonl."""
MISSES_SHOWN = 60
"""Missed cases shown per model in the report; GitHub stops rendering a file of more than half a megabyte."""
TOP_MISSES = 8
"""Missed cases shown per model in the step summary."""
CASES_NAMED = 12
"""Cases named per reason for having no score."""

_ACTIVE = re.compile(r"[#$&*<>@\[\\\]_`{|}~]|:(?=\S)|(?<=\bwww)\.|^[=+-]", re.IGNORECASE)
"""What can mean something to Markdown, HTML or GitHub: signs of its syntax, the colon of a link or an emoji, and what
starts a list or underlines a heading."""
_LIST_NUMBER = re.compile(r"^(\d+)([.)])(?=\s|$)")


class Safe(str):
    """Markdown that this room wrote; printed as it is."""

    __slots__ = ()


def report(findings: Findings) -> str:
    """The whole report."""
    return _render("report.md.jinja", findings)


def step_summary(findings: Findings) -> str:
    """Headline, gate and the first misses, for a page that lists many steps."""
    return _render("summary.md.jinja", findings)


def escape(value: object, limit: int = TEXT_LIMIT) -> Safe:
    """Any text as one line of inert Markdown, cut at `limit` characters: it adds no cell, row, list, heading, link,
    mention, formula or HTML, wherever in a line it stands. Signs become character references, which by CommonMark's
    rules never have a structural meaning."""
    text = clean(str(value), limit)
    text = _ACTIVE.sub(_reference, text)
    return Safe(_LIST_NUMBER.sub(lambda number: number[1] + _reference(number[2]), text))


def code(value: object, limit: int = TEXT_LIMIT) -> Safe:
    """Any text as an inline code span, cut at `limit` characters, with more backticks around it than in it."""
    text = clean(str(value), limit)
    if not text:
        return Safe("(empty)")
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    edge = " " if text.startswith("`") or text.endswith("`") else ""
    fence = "`" * (longest + 1)
    return Safe(f"{fence}{edge}{text}{edge}{fence}")


def _reference(sign: re.Match[str] | str) -> str:
    return f"&#{ord(sign if isinstance(sign, str) else sign[0])};"


def _render(template: str, findings: Findings) -> str:
    text = (
        _environment()
        .get_template(template)
        .render(
            findings=findings,
            facts=findings.facts,
            Status=Status,
            misses_shown=MISSES_SHOWN,
            top_misses=TOP_MISSES,
            text_limit=TEXT_LIMIT,
            cases_named=CASES_NAMED,
            told_checks=sentences.told_checks(findings.gate),
        )
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("distill.reporting"),
        autoescape=False,  # noqa: S701 - that escapes for HTML; `finalize` escapes for Markdown
        finalize=lambda value: value if isinstance(value, Safe) else escape(value),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    numbers: dict[str, Callable[..., str]] = {
        "percent": percent,
        "percent_interval": percent_interval,
        "points": points,
        "points_interval": points_interval,
        "p_value": p_value,
        "p_number": lambda p: p_value(p).removeprefix("p ").removeprefix("= "),
        "rare": rare,
        "seconds": seconds,
        "count": count,
        "dollars": dollars,
        "gibibytes": gibibytes,
        "moment": lambda moment: f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        "two_digits": lambda value: f"{value:.2f}",
        "sign": lambda sign: {">=": "≥", "<=": "≤"}[sign],
        "tokens": lambda totals: sentences.at_least(totals, count),
        "cost": lambda totals: sentences.at_least(totals, dollars),
        "score": lambda score: sentences.score_cell(score) if score and score.cases else "unscored",
    }
    environment.filters.update({name: _own(function) for name, function in numbers.items()})
    environment.filters.update(
        {
            "code": code,
            "label": sentences.label,
            "gap": sentences.gap_line,
            "remarks": sentences.difference_remarks,
            "counted": sentences.counted,
            "facts": lambda findings: " · ".join(sentences.facts_parts(findings)),
            "shell": shlex.join,
            "passed_of": _passed_of,
            "measured": _measured,
        }
    )
    return environment


def _own(function: Callable[..., str]) -> Callable[..., Safe]:
    """What is made of numbers alone needs no escaping, but for `<1 %`."""
    return lambda *values: Safe(function(*values).replace("<", "&lt;").replace(">", "&gt;"))


def _passed_of(score: Any) -> str:
    """`15 of 20`; a total that is not whole is a sum of partial scores."""
    digits = 0 if score.total == round(score.total) else 1
    return f"{score.total:.{digits}f} of {score.cases}"


def _measured(value: Safe, reference: bool) -> Safe:
    """A figure that means nothing for the reference, of which nothing was asked."""
    return Safe(NOTHING) if reference else value
