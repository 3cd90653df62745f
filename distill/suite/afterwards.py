"""What can be done with finished runs: compare several, and grade one again.

In: run folders. Out: a report. No model is asked again: a row keeps the raw answer, so recording and deciding are
apart. Only a judge, if the graders need one, is asked (or read from the store).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from distill.cases import load_cases, load_recipes
from distill.config import Config
from distill.models.completion import Completion, ModelError
from distill.reporting.report import Report, build_report, shared_scenarios
from distill.results import Row, append_row, read_rows
from distill.runs import RESULTS_FILE, RunFacts, read_run, write_run
from distill.suite.experiment import Contender, Experiment, Question
from distill.suite.run import SETUP_ERRORS, SetupFailed, write_reports
from distill.suite.session import Session


def compare_runs(folders: Sequence[Path]) -> Report:
    """One report over the models of several runs. Raises `ValueError` for a folder that is no run, and for runs that
    asked different things."""
    if len(folders) < 2:
        raise ValueError("expected two or more run folders to compare")
    facts = [read_run(folder) for folder in folders]
    first = facts[0]
    for folder, other in zip(folders[1:], facts[1:], strict=True):
        if other.case_set.hash != first.case_set.hash:
            raise ValueError(
                f"{folder} asked other cases than {folders[0]} ({other.case_set.cases} against {first.case_set.cases}, "
                "or the same ones in another version): run both on the same cases, then compare"
            )
    models = dict.fromkeys(model for each in facts for model in each.models)
    rows = [row for folder in folders for row in read_rows(folder / RESULTS_FILE)]
    both = first.model_copy(update={"models": tuple(models)})
    return build_report(both, rows, clusters=shared_scenarios(rows))


def regrade_run(folder: Path, settings: Config, graders: tuple[str, ...], stream: TextIO) -> Report:
    """Grade a run's answers again with today's cases, and with `graders` or else the run's own.

    Rows are appended, `run.json` and the reports are written anew. Raises `SetupFailed`, and `ValueError` for a folder
    that is no run or whose cases are all gone.
    """
    facts = read_run(folder)
    rows = {row.key: row for row in read_rows(folder / RESULTS_FILE)}
    settings = settings.model_copy(
        update={
            "graders": graders or facts.graders or settings.graders,
            "samples": facts.samples,
            "sampling": facts.sampling,
            "judge": settings.judge or facts.judge,
            "thresholds": facts.thresholds,
        }
    )
    contenders = tuple(Contender(model.role, model.name) for model in facts.models)
    experiment = Experiment(
        settings=settings, root=Path.cwd(), contenders=contenders, min_scores=facts.min_scores, report=folder
    )
    try:
        recipes = load_recipes(settings.repositories)
        cases = {case.id: case for case in load_cases(settings.cases, recipes)}
        asked = [
            Question(Contender(row.role, row.model), cases[row.case], row.sample)
            for row in rows.values()
            if row.case in cases
        ]
        if not asked:
            raise ValueError(f"none of the {len(rows)} answers in {folder} belongs to a case that still exists")
        given = {key: _answer(row) for key, row in rows.items()}
        session = Session(experiment, recipes, asked, command=facts.command, given=given)
        session.evaluate(
            lambda row: append_row(folder / RESULTS_FILE, row),
            lambda today: write_run(folder, _merged(facts, today)),
            stream,
        )
    except SETUP_ERRORS as error:
        raise SetupFailed(str(error)) from error
    return write_reports(folder)


def _answer(row: Row) -> Completion | ModelError:
    if row.text is None:
        return ModelError(row.error or "there was no answer")
    return Completion(
        text=row.text,
        model=row.model,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        latency=row.latency,
        stored=row.stored,
    )


def _merged(then: RunFacts, today: RunFacts) -> RunFacts:
    """Who was asked, when and how is history; what graded, and where, is as of today."""
    now = {
        name: getattr(today, name) for name in ("machine", "versions", "git", "sandbox", "case_set", "graders", "judge")
    }
    return then.model_copy(update=now)
