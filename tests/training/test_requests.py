"""The published list of training requests is what the training cases ask."""

from __future__ import annotations

import json
from pathlib import Path

from distill.cases import load_cases
from distill.training.requests import requests_json, training_cases, write_requests
from distill.training.split import check_split
from distill.training.wording import normalize

PROJECT = Path(__file__).parents[2]
TRAINING = PROJECT / "fixtures" / "training"
REQUESTS = PROJECT / "fixtures" / "requests.json"


def test_the_file_is_up_to_date() -> None:
    assert REQUESTS.read_text(encoding="utf-8") == requests_json(training_cases(TRAINING))


def test_there_are_386_different_requests() -> None:
    requests = json.loads(REQUESTS.read_text(encoding="utf-8"))["requests"]

    assert len(requests) == len({normalize(request) for request in requests}) == 386


def test_nothing_of_the_evaluation_is_in_training() -> None:
    report = check_split(load_cases([PROJECT / "evals" / "cases"]), training_cases(TRAINING))

    assert report.clean, report.text()


def test_requests_are_listed_by_category_and_then_by_position(tmp_path: Path) -> None:
    text = "category: {0}\ncases:\n" + "".join(
        f"  - {{{{id: {{0}}-{n}, request: say {{0}} {n} é, repository: r, accept: [git x], criteria: it says so}}}}\n"
        for n in (2, 1)
    )
    for name in ("beta", "alpha"):
        (tmp_path / f"{name}.yaml").write_text(text.format(name), encoding="utf-8")

    assert write_requests(tmp_path, tmp_path / "requests.json") == 4
    written = (tmp_path / "requests.json").read_text(encoding="utf-8")
    assert json.loads(written) == {"requests": ["say alpha 2 é", "say alpha 1 é", "say beta 2 é", "say beta 1 é"]}
    assert "é" in written and written.endswith("}\n")
