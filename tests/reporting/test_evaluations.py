"""One model over all runs."""

from __future__ import annotations

from pathlib import Path

from distill.reporting.evaluations import evaluations
from distill.results import append_row
from distill.runs import RESULTS_FILE, ModelFacts, write_run

from .conftest import MakeFacts, MakeRow

SMALL = ModelFacts(role="student", name="small")
OTHER = ModelFacts(role="teacher", name="other")


def test_a_model_is_found_in_every_finished_run_it_took_part_in(tmp_path: Path, facts: MakeFacts, row: MakeRow) -> None:
    for name, models, finished in (("1", (SMALL, OTHER), True), ("2", (OTHER,), True), ("3", (SMALL,), False)):
        write_run(tmp_path / name, facts(models=models) if finished else facts(models=models, finished=None))
        append_row(tmp_path / name / RESULTS_FILE, row("a", tags=("hard",)))
        append_row(tmp_path / name / RESULTS_FILE, row("b", 0.0, harm=0.0))
        append_row(tmp_path / name / RESULTS_FILE, row("a", role="teacher", model="other"))
    (tmp_path / "no run").mkdir()

    (found,) = evaluations(tmp_path, "small")

    assert found["run"] == "1"
    assert found["cases"] == 2
    assert found["scores"]["execution"]["mean"] == 0.5
    assert found["harm"] == {"mean": 0.5, "interval": [0.0945, 0.9055], "answers": 2}
    assert found["tags"]["hard"]["mean"] == 1.0
    assert found["case_set_sha256"] == "c0ffee"


def test_where_there_are_no_runs_there_is_nothing(tmp_path: Path) -> None:
    assert evaluations(tmp_path / "none", "small") == []
