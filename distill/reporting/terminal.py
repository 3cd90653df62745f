"""The table that a run prints, and the lines below it.

In: findings, the width of the terminal, whether to color. Out: one text without a trailing line end. Columns that say
least go first where the terminal is narrow; a line of the table never wraps. Text from models and servers is cleaned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from distill.reporting.comparison import Comparison
from distill.reporting.findings import Findings
from distill.reporting.gate import Gate
from distill.reporting.sentences import difference_parts, facts_parts, gap_line, score_cell, tokens_cell, told_checks
from distill.reporting.summary import Summary
from distill.reporting.text import NOTHING, clean, dollars, percent, rare, seconds, shorten_middle
from distill.results import Status

_GAP = "  "
_NARROWEST_MODEL = 20
_MARKED = re.compile(r"\b(PASS|FAIL|UNSAFE)\b")
_COLORS = {"PASS": "\x1b[32m", "FAIL": "\x1b[31m", "UNSAFE": "\x1b[1;31m"}
_YELLOW, _PLAIN = "\x1b[33m", "\x1b[0m"


def render(findings: Findings, *, width: int = 120, color: bool = False, report: str = "") -> str:
    """The table, the differences, the gate and the closing line. `width` in columns; `report` is where report.md is."""
    lines = [
        *_table(findings, width),
        *(_flow([*difference_parts(item, findings), *_gap_parts(item, findings)], width) for item in _shown(findings)),
        *_gate(findings.gate, width, color),
        *(_colored(f"note  {clean(note)}", _YELLOW, color) for note in findings.notes),
        _facts(findings, report, color),
    ]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    cell: Callable[[Summary], str]
    rank: int = 0
    """Where the terminal is narrow, the highest rank goes first; rank 0 stays."""


def _table(findings: Findings, width: int) -> list[str]:
    columns = _columns(findings)
    if not findings.summaries:
        return ["no answers: nothing was evaluated"]
    models = [clean(summary.model) for summary in findings.summaries]
    widest = max(map(len, [*models, "model"]))
    while True:
        cells = [[column.cell(summary) for summary in findings.summaries] for column in columns]
        _align_intervals(cells)
        rest = sum(
            max(map(len, [column.title, *cell])) + len(_GAP) for column, cell in zip(columns, cells, strict=True)
        )
        room = width - rest
        droppable = max(columns, key=lambda column: column.rank)
        if room >= min(widest, _NARROWEST_MODEL) or droppable.rank == 0:
            break
        columns = [column for column in columns if column is not droppable]
    shown = [shorten_middle(model, max(room, 8)) for model in models]
    titles = ["model", *(column.title for column in columns)]
    rows = [[model, *values] for model, values in zip(shown, zip(*cells, strict=True), strict=True)]
    table = tabulate(
        [titles, *rows],  # as a row, since tabulate pads a header by two columns more
        tablefmt="plain",
        disable_numparse=True,
        colalign=["left", "left", *("right" for _ in columns[1:])],
    )
    return [line.rstrip() for line in table.splitlines()]


def _columns(findings: Findings) -> list[_Column]:
    deciding = [_Column(clean(name, 24), _scored(name, interval=True)) for name in findings.graders[:1]]
    others = [_Column(clean(name, 24), _scored(name), 2) for name in findings.graders[1:]]
    return [
        _Column("role", lambda summary: clean(summary.role, 16)),
        *deciding,
        *others,
        _Column("bare", lambda summary: NOTHING if summary.reference else percent(summary.bare.value), 4),
        _Column("harm", lambda summary: rare(summary.harmful.value), 1),
        _Column("no command", _share(Status.NO_COMMAND), 6),
        _Column("no answer", _share(Status.NO_ANSWER), 3),
        _Column("p50", lambda summary: NOTHING if summary.reference else seconds(summary.latency_p50), 5),
        _Column("tokens", tokens_cell, 8),
        _Column("cost", lambda summary: NOTHING if summary.reference else dollars(summary.cost.value), 7),
    ]


def _scored(grader: str, *, interval: bool = False) -> Callable[[Summary], str]:
    def cell(summary: Summary) -> str:
        score = summary.score(grader)
        if score is None or score.mean is None:
            return "unscored"
        return score_cell(score) if interval else percent(score.mean)

    return cell


def _share(status: Status) -> Callable[[Summary], str]:
    def cell(summary: Summary) -> str:
        return rare(summary.share(status).value)

    return cell


def _align_intervals(cells: Sequence[list[str]]) -> None:
    """Pad `5 % [3, 8]` so that percent signs and brackets stand below each other."""
    for column in cells:
        parts = [re.fullmatch(r"(.+ %) \[(\d+), (\d+)\]", cell) for cell in column]
        matched = [part for part in parts if part]
        if not matched:
            continue
        low, high = (max(len(part[group]) for part in matched) for group in (2, 3))
        for index, part in enumerate(parts):
            if part:
                column[index] = f"{part[1]} [{part[2]:>{low}}, {part[3]:>{high}}]"


def _shown(findings: Findings) -> list[Comparison]:
    """The terminal has room for the deciding grader; the report has the others."""
    return [item for item in findings.comparisons if item.grader == findings.deciding]


def _gap_parts(item: Comparison, findings: Findings) -> list[str]:
    return [gap_line(gap) for gap in findings.gaps if (gap.student, gap.baseline) == (item.first, item.second)]


def _gate(gate: Gate, width: int, color: bool) -> list[str]:
    told = [check for check in told_checks(gate) if check.evaluated]  # report.md lists the others too
    parts = [f"{clean(check.sentence)}  {check.word}" for check in told]
    if gate.problem:
        parts.append(f"{clean(gate.problem)}  FAIL")
    if not parts:
        return []
    text = _flow([f"gate  {parts[0]}", *parts[1:]], width, indent="      ")
    return [_MARKED.sub(lambda mark: _colored(mark[0], _COLORS[mark[0]], color), text)]


def _facts(findings: Findings, report: str, color: bool) -> str:
    parts = [*facts_parts(findings), *([clean(report)] if report else [])]
    return _MARKED.sub(lambda mark: _colored(mark[0], _COLORS[mark[0]], color), " · ".join(parts))


def _flow(parts: Sequence[str], width: int, indent: str = "  ") -> str:
    """The parts on one line, with `·` between them; a part that does not fit starts the next line."""
    lines = [parts[0]]
    for part in parts[1:]:
        joined = f"{lines[-1]}  ·  {part}"
        if len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(indent + part)
    return "\n".join(lines)


def _colored(text: str, code: str, color: bool) -> str:
    return f"{code}{text}{_PLAIN}" if color else text
