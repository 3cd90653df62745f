"""One evaluation: from selected questions to a run's folder, and from the folder to a report.

In: an experiment and the questions that pytest selected. Out: `run.json` and `results.jsonl`, appended to as answers
come in, then `report.md` and `summary.md`. Everything that can be wrong before the first question is asked (a case, a
name, a key, a sandbox) raises `SetupFailed` with a sentence, and nothing is asked.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from filelock import FileLock

from distill.cases import Case, Recipe, load_cases, load_recipes
from distill.models.completion import ModelError
from distill.models.store import StoreError
from distill.reporting.report import Report, read_report, write_report
from distill.results import Row, append_row, read_rows
from distill.runs import REPORT_FILE, RESULTS_FILE, RUN_FILE, write_run, write_whole
from distill.sandbox.examiner import CaseBroken
from distill.sandbox.execution import SandboxUnavailable
from distill.sandbox.recipes import RecipeError
from distill.sources import SourceError
from distill.suite.discovery import GraderError
from distill.suite.experiment import Experiment, Question, questions

SUMMARY_FILE = "summary.md"
_LOCK_FILE = ".lock"
SETUP_ERRORS = (ModelError, StoreError, SourceError, GraderError, SandboxUnavailable, RecipeError, CaseBroken)
"""What the rooms raise when an evaluation cannot take place; each message is a sentence for the user."""


class SetupFailed(Exception):
    """The evaluation cannot take place. The message says why and what to do."""


class Run:
    """One evaluation and its folder. Made once per pytest session; cheap until `perform`."""

    def __init__(self, experiment: Experiment, *, folder: str | None = None, command: Sequence[str] = ()) -> None:
        """`folder`: where another process keeps this run; otherwise a new one is chosen."""
        self.experiment = experiment
        self.report: Report | None = None
        self._command = ("pytest", *map(str, command))
        self._shared = folder is not None
        self._rows: dict[tuple[str, str, int], Row] = {}
        self.folder = Path(folder) if folder is not None else _new_folder(experiment)

    @property
    def deciding(self) -> str:
        """The grader that decides whether a test passes: the first one named."""
        return Path(self.experiment.settings.graders[0]).stem

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        return load_recipes(self.experiment.settings.repositories)

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        return load_cases(self.experiment.settings.cases, self.recipes)

    def questions(self) -> list[Question]:
        """Every question of the experiment. Raises `SourceError` for a mistake in a file."""
        return questions(self.experiment, self.cases)

    def row(self, question: Question) -> Row:
        """The row of a question that was performed."""
        return self._rows[question.key]

    def perform(self, asked: Sequence[Question]) -> None:
        """Ask and grade the selected questions, unless another process of this run did. Raises `SetupFailed`."""
        from distill.suite.session import Session  # brings the clients along, which listing tests does not need

        if not self._shared:
            self.claim_folder()
        try:
            with FileLock(self.folder / _LOCK_FILE), warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                self._read_rows()
                missing = [question for question in asked if question.key not in self._rows]
                if missing:
                    session = Session(self.experiment, self.recipes, missing, command=self._command)
                    session.evaluate(self._record, lambda facts: write_run(self.folder, facts), sys.stderr)
        except SETUP_ERRORS as error:
            raise SetupFailed(str(error)) from error
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            kept = "Every answer so far is in the completion store: the next run goes on from there."
            raise SetupFailed(f"the run's files cannot be written: {error.strerror}{where}. {kept}") from error

    def claim_folder(self) -> None:
        """Make the folder. A run that is already there is set aside under `previous-TIME/`, whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        old = [name for name in (RUN_FILE, RESULTS_FILE, REPORT_FILE, SUMMARY_FILE) if (self.folder / name).exists()]
        if old:
            aside = self.folder / f"previous-{_stamp(datetime.now(UTC))}"
            aside.mkdir()
            for name in old:
                (self.folder / name).rename(aside / name)

    def conclude(self) -> bool:
        """Read what the run recorded and write its report. False when nothing was recorded: no evaluation took
        place in this session."""
        if not (self.folder / RUN_FILE).exists():
            return False
        self.report = write_reports(self.folder)
        return True

    @property
    def passed(self) -> bool:
        """Whether the gate passed. False before `conclude`."""
        return self.report is not None and self.report.gate.passed

    def terminal(self, width: int, color: bool) -> str:
        """The table and the lines below it."""
        if self.report is None:
            return ""
        return self.report.terminal(width=width, color=color, path=_shown(self.folder / REPORT_FILE))

    def _record(self, row: Row) -> None:
        append_row(self.folder / RESULTS_FILE, row)
        self._rows[row.key] = row

    def _read_rows(self) -> None:
        self._rows.update((row.key, row) for row in read_rows(self.folder / RESULTS_FILE))


def write_reports(folder: Path) -> Report:
    """The report of a run's folder, written there as report.md and summary.md."""
    report = read_report(folder)
    write_report(folder, report)
    write_whole(folder / SUMMARY_FILE, report.step_summary())
    return report


def _new_folder(experiment: Experiment) -> Path:
    if experiment.report is not None:
        return experiment.report
    first = experiment.settings.runs / _stamp(datetime.now(UTC))
    candidates = (first, *(first.with_name(f"{first.name}-{number}") for number in range(2, 1000)))
    return next(folder for folder in candidates if not folder.exists())


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H-%M-%SZ")


def _shown(path: Path) -> str:
    """Relative to where the user is, when that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
