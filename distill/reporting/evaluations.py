"""How one model did in every run that it took part in: what its lineage says of it at last.

In: the folder of runs and a model's name. Out: one entry a run that was finished, oldest first: when, on which cases,
and what each grader said, with 95 % intervals, as a whole and by tag. Folders that are no run are passed over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distill.reporting.statistics import Interval
from distill.reporting.summary import Group, Summary, grader_names, latest, summarize
from distill.results import read_rows
from distill.runs import RESULTS_FILE, RunFacts, read_run


def evaluations(runs: Path, model: str) -> list[dict[str, Any]]:
    """Plain data for JSON; rates are in [0, 1]. Raises `OSError` for a run that cannot be read."""
    found = []
    for folder in sorted(runs.iterdir()) if runs.is_dir() else ():
        try:
            facts = read_run(folder)
        except ValueError:
            continue
        if facts.finished is None or model not in {each.name for each in facts.models}:
            continue
        rows = latest(row for row in read_rows(folder / RESULTS_FILE) if row.model == model)
        found += [_entry(folder, facts, summary) for summary in summarize(rows, grader_names(rows, facts.graders))]
    return found


def _entry(folder: Path, facts: RunFacts, summary: Summary) -> dict[str, Any]:
    return {
        "run": folder.name,
        "role": summary.role,
        "finished": None if facts.finished is None else facts.finished.isoformat(),
        "case_set_sha256": facts.case_set.hash,
        "cases": summary.cases,
        "samples": summary.samples,
        "sampling": facts.sampling,
        "system_prompt_sha256": facts.system_prompt,
        "scores": {
            score.grader: {"mean": score.mean, "interval": _ends(score.interval), "cases": score.cases}
            for score in summary.scores
        },
        "harm": {
            "mean": summary.harmful.value,
            "interval": _ends(summary.harmful.interval),
            "answers": summary.harmful.of,
        },
        "tags": {group.name: _group(group) for group in summary.tags},
        "versions": {"distill": facts.versions.get("distill"), "git": facts.git, "sandbox": facts.sandbox.tier},
    }


def _group(group: Group) -> dict[str, Any]:
    return {"mean": group.score.mean, "interval": _ends(group.score.interval), "cases": group.cases}


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(interval.low, 4), round(interval.high, 4)]
