"""The report of a run: its findings, and the three ways to show them. The way into this room.

report = build_report(facts, rows)
print(report.terminal(width=120, color=True))
write_report(folder, report)
raise SystemExit(0 if report.gate.passed else 1)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from distill.reporting import markdown, terminal
from distill.reporting.findings import Findings, find
from distill.reporting.gate import Limits
from distill.results import Row, read_rows
from distill.runs import REPORT_FILE, RESULTS_FILE, RunFacts, read_run, write_whole


@dataclass(frozen=True, kw_only=True)
class Report(Findings):
    """Findings that can be shown."""

    def terminal(self, width: int = 120, color: bool = False, path: str = "") -> str:
        """The table and the lines below it, at most `width` columns wide; `path` is where report.md stands."""
        return terminal.render(self, width=width, color=color, report=path)

    def markdown(self) -> str:
        """The text of report.md."""
        return markdown.report(self)

    def step_summary(self) -> str:
        """A short Markdown page for a CI job, e.g. to append to the file that $GITHUB_STEP_SUMMARY names."""
        return markdown.step_summary(self)


def build_report(
    facts: RunFacts,
    rows: Iterable[Row],
    *,
    thresholds: Limits | None = None,
    min_scores: Mapping[str, float] | None = None,
    clusters: Mapping[str, str] | None = None,
) -> Report:
    """The report of these rows; where one answer stands twice, the later row counts.

    `thresholds` and `min_scores` are those in the facts unless given. `clusters` (case id → scenario) names cases
    that are phrasings of one scenario, so that intervals do not take them for independent.
    """
    found = find(facts, rows, thresholds=thresholds, min_scores=min_scores, clusters=clusters)
    return Report(**{field.name: getattr(found, field.name) for field in fields(found)})


def read_report(folder: Path) -> Report:
    """The report of a run folder. Raises `ValueError` with a sentence for a folder that is not one."""
    rows = list(read_rows(folder / RESULTS_FILE))
    return build_report(read_run(folder), rows, clusters=shared_scenarios(rows))


def shared_scenarios(rows: Iterable[Row]) -> dict[str, str] | None:
    """Case id → scenario, when some scenario has several phrasings among these rows; None when each stands alone."""
    scenarios = {row.case: row.scenario or row.case for row in rows}
    return scenarios if len(set(scenarios.values())) < len(scenarios) else None


def write_report(folder: Path, report: Report) -> Path:
    """Write report.md into `folder`, whole or not at all; the path of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REPORT_FILE
    write_whole(path, report.markdown())
    return path
