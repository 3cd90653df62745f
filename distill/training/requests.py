"""The plain list of training requests, in the format of the workflow that this project follows.

In: `fixtures/training/*.yaml`. Out: `fixtures/requests.json`, `{"requests": [...]}`, by category and then by position.
Only the requests are in it; repositories and references stay with the cases.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from distill.cases import Case, load_cases


def training_cases(folder: Path) -> tuple[Case, ...]:
    """The training cases in the order in which their requests are listed. Raises `SourceError`."""
    return load_cases(sorted(folder.glob("*.yaml")))


def requests_json(cases: Sequence[Case]) -> str:
    """What the file holds: JSON with one request a line, non-ASCII letters as they are."""
    return json.dumps({"requests": [case.request for case in cases]}, indent=2, ensure_ascii=False) + "\n"


def write_requests(folder: Path, path: Path) -> int:
    """Write the requests of the cases in `folder` to `path`, and say how many there are. Raises `SourceError`."""
    cases = training_cases(folder)
    path.write_text(requests_json(cases), encoding="utf-8", newline="\n")
    return len(cases)
