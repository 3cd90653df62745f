"""Cases: what is asked, from which repository, and which commands fulfil it.

In: `evals/cases/*.yaml` and `fixtures/repositories/*.yaml`. Out: validated, frozen `Case` and `Recipe`
objects, the JSON Schema that editors use, and a hash that names a set of cases. A mistake in a file raises
`SourceError` with file, line and case id, before anything is run. Only data lives here: no case is graded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, field_validator, model_validator

from distill.sources import Document, SourceError, read_yaml, validate

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)]
Text = Annotated[str, Field(min_length=1)]
Command = Annotated[str, Field(min_length=1, max_length=8000)]
Freedom = Literal["commit-message", "tag-message", "stash-message", "note-message"]
Extra = Literal["dates", "committer", "packs", "reflog"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OutputFacts(_Strict):
    """What the printed answer to a question must hold. Looked for in standard output only."""

    must: tuple[Text, ...] = Field(min_length=1, description="Texts that have to be printed, as whole words.")
    must_not: tuple[Text, ...] = Field(default=(), description="Texts that must not be printed, as whole words.")
    ordered: StrictBool = Field(default=False, description="Whether `must` has to appear in the order given.")
    max_lines: StrictInt | None = Field(default=None, ge=1, description="The most non-empty lines; stops a dump.")


class Rules(_Strict):
    """Criteria that hold for the parsed command itself, checked without running it and without a judge."""

    uses: tuple[str, ...] = Field(default=(), description="Git subcommands, one of which has to be used.")
    mentions: tuple[str, ...] = Field(default=(), description="Arguments, each of which has to appear.")
    avoids: tuple[str, ...] = Field(default=(), description="Subcommands or options that must not appear.")


class Case(_Strict):
    """One request, and the reference commands that are its specification."""

    id: Identifier = Field(description="Unique among all cases, and never changed once published.")
    request: str = Field(min_length=3, max_length=2000, description="What a person asks, in plain language.")
    repository: Identifier = Field(description="The recipe it starts from, in fixtures/repositories/.")
    accept: tuple[Command, ...] = Field(min_length=1, description="Each reaches an end state that fulfils the request.")
    reject: tuple[Command, ...] = Field(
        default=(), description="Near misses, each of which has to fail: they prove that the case can tell."
    )
    free: tuple[Freedom, ...] = Field(default=(), description="What the request leaves open.")
    compare: tuple[Extra, ...] = Field(
        default=(), description="State that is compared for this case and ignored otherwise."
    )
    criteria: str = Field(min_length=10, description="One sentence that a judge can answer with yes or no.")
    rules: Rules | None = Field(default=None, description="By default derived from `accept`.")
    output: OutputFacts | None = Field(default=None, description="Makes the case a question.")
    tags: tuple[Identifier, ...] = ()
    category: Identifier = Field(default="uncategorized", description="Filled in from the file.")

    @property
    def question(self) -> bool:
        """Whether the answer is judged by what it prints (and by leaving the expected state)."""
        return self.output is not None

    @property
    def scenario(self) -> str:
        """Equal for cases that ask for the same thing in other words: they are not independent of each other."""
        return hashlib.sha256("\0".join((self.repository, *sorted(self.accept))).encode()).hexdigest()[:12]

    @field_validator("request", "criteria")
    @classmethod
    def _no_edges(cls, value: str) -> str:
        if value != value.strip():
            raise ValueError("has white space at an end")
        return value

    @model_validator(mode="after")
    def _no_contradiction(self) -> Case:
        both = set(self.accept) & set(self.reject)
        if both:
            raise ValueError(f"{sorted(both)[0]!r} stands under both accept and reject")
        for name in ("accept", "reject"):
            commands = getattr(self, name)
            if len(set(commands)) != len(commands):
                raise ValueError(f"{name} holds the same command twice")
        return self


class CaseFile(_Strict):
    """The cases of one category: one file under evals/cases/."""

    category: Identifier
    cases: tuple[Case, ...] = Field(min_length=1)


class Recipe(_Strict):
    """How a starting repository is made: shell steps, run once under fixed dates, identity and locale."""

    name: Identifier = Field(description="The same as the file's name.")
    description: str = Field(min_length=10, description="What a reader needs to know to write a case on it.")
    bait: tuple[str, ...] = Field(
        min_length=1, description="What lies there to be destroyed by a careless command, in words."
    )
    init: bool = Field(default=True, description="Whether `repo/` is a repository before the first step.")
    steps: tuple[str, ...] = Field(min_length=1, description="Run with bash in `repo/`, one hour of commit time apart.")


def load_cases(paths: Iterable[Path], recipes: Mapping[str, Recipe] | None = None) -> tuple[Case, ...]:
    """Read case files, or folders of them, in a stable order.

    With `recipes`, a case on an unknown recipe is an error. Raises `SourceError` naming every problem of the
    first bad file; duplicate ids are found across all files.
    """
    files = _files(paths, "case")
    cases: list[Case] = []
    origin: dict[str, str] = {}
    problems: list[str] = []
    for file in files:
        document = read_yaml(file)
        parsed = validate(CaseFile, document, name_of="cases")
        for index, case in enumerate(parsed.cases):
            location = ("cases", index, "id")
            if case.id in origin:
                problems.append(
                    document.problem(location, f"case {case.id!r}: this id is already used in {origin[case.id]}")
                )
            origin.setdefault(case.id, f"{file}:{document.line(location)}")
            if recipes is not None and case.repository not in recipes:
                problems.append(_unknown_recipe(document, index, case, recipes))
            cases.append(case.model_copy(update={"category": parsed.category}))
    if problems:
        raise SourceError(problems)
    return tuple(cases)


def load_recipes(folder: Path) -> dict[str, Recipe]:
    """Read every recipe of a folder, by name. Raises `SourceError`."""
    recipes: dict[str, Recipe] = {}
    for file in _files([folder], "recipe"):
        document = read_yaml(file)
        recipe = validate(Recipe, document)
        if recipe.name != file.stem:
            raise SourceError(
                [document.problem(("name",), f"recipe {recipe.name!r} has to be called {file.stem!r}, as its file")]
            )
        if recipe.name in recipes:
            raise SourceError([document.problem(("name",), f"there is a second file for the recipe {recipe.name!r}")])
        recipes[recipe.name] = recipe
    return recipes


def case_set_hash(cases: Sequence[Case], recipes: Mapping[str, Recipe]) -> str:
    """SHA-256 over the cases and the recipes they use: two runs with equal hashes asked the same things."""
    used = sorted({case.repository for case in cases})
    content = {
        "cases": [case.model_dump(mode="json") for case in sorted(cases, key=lambda case: case.id)],
        "recipes": [recipes[name].model_dump(mode="json") for name in used if name in recipes],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def schema(kind: Literal["cases", "recipe"]) -> dict[str, Any]:
    """The JSON Schema of a case file or a recipe file, for editors and for `distill schema`."""
    model = CaseFile if kind == "cases" else Recipe
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}


def _files(paths: Iterable[Path], what: str) -> list[Path]:
    files: dict[Path, Path] = {}
    for path in paths:
        found = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
        if not found:
            raise SourceError([f"{path}:1: this folder holds no {what} file (*.yaml)"])
        for file in found:
            files.setdefault(file.resolve(), file)
    return list(files.values())


def _unknown_recipe(document: Document, index: int, case: Case, recipes: Mapping[str, Recipe]) -> str:
    close = get_close_matches(case.repository, recipes, n=3, cutoff=0)
    return document.problem(
        ("cases", index, "repository"),
        f"case {case.id!r}: there is no recipe {case.repository!r}; known ones include {', '.join(close)}",
    )
