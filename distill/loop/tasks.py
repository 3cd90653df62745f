"""What there is to learn from: the training cases, and the verified variants of them.

In: `fixtures/training/` and a file of `distill variants`. Out: the tasks in a fixed order, each a whole case (so that
an answer to it can be executed) with the wording that it was asked in, and one hash over them all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distill.cases import Case, Recipe, load_cases, load_recipes
from distill.config import Config
from distill.training.twins import FILE, keep_twins, read_twins
from distill.training.variants import read_variants


@dataclass(frozen=True, slots=True)
class Task:
    """One training request with everything that grading an answer to it takes."""

    case: Case
    source: str
    """The id of the training case that it was made from; its own where it was written by hand."""
    wording: str = ""
    """The phrasing pattern that its request was made with; empty where the words are a person's own."""

    @property
    def id(self) -> str:
        return self.case.id


def every_recipe(settings: Config) -> dict[str, Recipe]:
    """The experiment's recipes and the twins that were made of them, by name. Raises `SourceError`, `OSError` and
    `ValueError`."""
    return {**read_twins(_twins_file(settings)), **load_recipes(settings.repositories)}


def keep_recipes(settings: Config, twins: Iterable[Recipe]) -> None:
    """Keep twins where `every_recipe` finds them; before the requests are written that cannot be run without them.
    Raises `OSError` and `ValueError`."""
    keep_twins(_twins_file(settings), twins)


def _twins_file(settings: Config) -> Path:
    return settings.store.parent / FILE


def load_tasks(folder: Path, recipes: Mapping[str, Recipe], variants: Path | None = None) -> tuple[Task, ...]:
    """The training cases of `folder`, then the variants. Raises `SourceError`, `OSError`, and `ValueError` with file
    and line for a bad line of variants."""
    tasks = [Task(case, case.id) for case in load_cases([folder], recipes)]
    if variants is not None:
        tasks += [Task(variant.case, variant.source, variant.wording) for variant in read_variants(variants)]
    return tuple(tasks)


def tasks_hash(tasks: Sequence[Task]) -> str:
    """SHA-256 over ids, requests and repositories, whatever the order: the same hash means that the same was asked."""
    content = sorted([task.id, task.case.request, task.case.repository] for task in tasks)
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
