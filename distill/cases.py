"""Cases: what is asked, from which repository, and which commands fulfil it; or which grader objects score the answer.

In: `evals/cases/*.yaml` and `fixtures/repositories/*.yaml`. Out: validated, frozen `Case` and `Recipe`
objects, the JSON Schema that editors use, and a hash that names a set of cases. A mistake in a file raises
`SourceError` with file, line and case id, before anything is run. Only data lives here: no case is graded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError

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


class ChatMessage(_Strict):
    """One message of a conversation, sent as it is."""

    role: Literal["system", "user", "assistant"]
    content: str


def _or_graders(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """A field that every case has to have, but one that is scored by its `graders` alone."""
    if value not in (None, "", ()):
        return handler(value)
    if info.field_name == "repository":
        needed = "graders" in info.data and not info.data["graders"]
    else:
        needed = info.data.get("repository") != ""
    if needed:
        raise PydanticKnownError("missing")
    return () if info.field_name == "accept" else ""


def _absent() -> None:
    """Stands where a file says nothing; the JSON Schema then shows no default."""


def _two_forms(schema: dict[str, Any]) -> None:
    """In the JSON Schema: a case on a repository, or one that its grader objects score."""
    schema["anyOf"] = [
        {"required": ["repository", "accept", "criteria"]},
        {"required": ["graders"], "properties": {"graders": {"minItems": 1}, **dict.fromkeys(_ON_A_REPOSITORY, False)}},
    ]


class Case(_Strict):
    """One request, and the reference commands that are its specification, or the grader objects in their place."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_two_forms)

    id: Identifier = Field(description="Unique among all cases, and never changed once published.")
    request: str = Field(min_length=3, max_length=2000, description="What a person asks, in plain language.")
    messages: tuple[ChatMessage, ...] = Field(
        default=(), description="What is sent, word for word, in place of the system prompt and the request."
    )
    item: dict[str, Any] = Field(default={}, description="What `{{item.NAME}}` stands for in a grader object.")
    graders: tuple[Text | dict[str, Any], ...] = Field(
        default=(), description="Grader objects in OpenAI's shape, or JSON files with one, counted from this file."
    )
    repository: Annotated[Identifier, WrapValidator(_or_graders)] = Field(
        default_factory=_absent,
        validate_default=True,
        description="The recipe it starts from, in fixtures/repositories/.",
    )
    accept: Annotated[tuple[Command, ...], Field(min_length=1), WrapValidator(_or_graders)] = Field(
        default_factory=_absent,
        validate_default=True,
        description="Each reaches an end state that fulfils the request.",
    )
    reject: tuple[Command, ...] = Field(
        default=(), description="Near misses, each of which has to fail: they prove that the case can tell."
    )
    free: tuple[Freedom, ...] = Field(default=(), description="What the request leaves open.")
    compare: tuple[Extra, ...] = Field(
        default=(), description="State that is compared for this case and ignored otherwise."
    )
    criteria: Annotated[str, Field(min_length=10), WrapValidator(_or_graders)] = Field(
        default_factory=_absent,
        validate_default=True,
        description="One sentence that a judge can answer with yes or no.",
    )
    rules: Rules | None = Field(default=None, description="By default derived from `accept`.")
    output: OutputFacts | None = Field(default=None, description="Makes the case a question.")
    tags: tuple[Identifier, ...] = ()
    category: Identifier = Field(default="uncategorized", description="Filled in from the file.")

    @property
    def question(self) -> bool:
        """Whether the answer is judged by what it prints (and by leaving the expected state)."""
        return self.output is not None

    @property
    def executed(self) -> bool:
        """Whether an answer is run: there is a repository to run it in."""
        return bool(self.repository)

    @property
    def scenario(self) -> str:
        """Equal for cases that ask for the same thing in other words: they are not independent of each other."""
        same = (self.repository, *sorted(self.accept)) if self.executed else (json.dumps(self.item or self.request),)
        return hashlib.sha256("\0".join(same).encode()).hexdigest()[:12]

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
        out_of_place = [name for name in _ON_A_REPOSITORY if getattr(self, name)]
        if out_of_place and not self.executed:
            raise ValueError(f"{out_of_place[0]} needs a repository; this case has none, and is scored by its graders")
        return self


_ON_A_REPOSITORY = ("repository", "accept", "reject", "free", "compare", "criteria", "rules", "output")


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
            if recipes is not None and case.executed and case.repository not in recipes:
                problems.append(_unknown_recipe(document, index, case, recipes))
            graders = _grader_objects(document, index, case, problems)
            cases.append(case.model_copy(update={"category": parsed.category, "graders": graders}))
    if problems:
        raise SourceError(problems)
    return tuple(cases)


def load_recipes(folder: Path) -> dict[str, Recipe]:
    """Read every recipe of a folder, by name; none where there is no such folder, since cases that are not executed
    need none. Raises `SourceError`."""
    recipes: dict[str, Recipe] = {}
    if not folder.exists():
        return recipes
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
        "cases": [_content(case) for case in sorted(cases, key=lambda case: case.id)],
        "recipes": [recipes[name].model_dump(mode="json") for name in used if name in recipes],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def schema(kind: Literal["cases", "recipe"]) -> dict[str, Any]:
    """The JSON Schema of a case file or a recipe file, for editors and for `distill schema`."""
    model = CaseFile if kind == "cases" else Recipe
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}


def _content(case: Case) -> dict[str, Any]:
    """A case's fields; those that came later than the first hashes only where they say something."""
    without = {name for name in ("messages", "item", "graders") if not getattr(case, name)}
    return case.model_dump(mode="json", exclude=without)


def _grader_objects(document: Document, index: int, case: Case, problems: list[str]) -> tuple[dict[str, Any], ...]:
    """A case's graders, read from their files where they have one. What is wrong is added to `problems`."""
    objects: list[dict[str, Any]] = []
    for place, grader in enumerate(case.graders):
        location: tuple[str | int, ...] = ("cases", index, "graders", place)
        if isinstance(grader, dict):
            for step, problem in grader_problems(grader):
                problems.append(document.problem((*location, *step), f"case {case.id!r}: {problem}"))
            objects.append(grader)
            continue
        try:
            objects.append(read_grader_object(document.path.parent / grader))
        except SourceError as error:
            told = "; ".join(error.problems)
            problems.append(
                document.problem(location, f"case {case.id!r}: the grader {grader!r} cannot be used: {told}")
            )
    return tuple(objects)


def read_grader_object(path: Path) -> dict[str, Any]:
    """The grader object in a JSON file. Raises `SourceError` with the line of each problem, also for an object that is
    no grader."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise SourceError([f"{path}:1: cannot be read: {error.strerror}"]) from None
    except json.JSONDecodeError as error:
        raise SourceError([f"{path}:{error.lineno}: not valid JSON: {error.msg}"]) from None
    except (ValueError, RecursionError) as error:
        raise SourceError([f"{path}:1: not valid JSON: {error}"]) from None
    problems = list(grader_problems(found))
    if problems:
        raise SourceError([_in_json(path, location, problem) for location, problem in problems])
    grader: dict[str, Any] = found
    return grader


def grader_problems(grader: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What keeps a grader object from being used: where in it, and a sentence that begins with the place."""
    # Most case files hold no grader, and reading one takes libraries that the others need not wait for.
    from distill.openai_graders import GraderInvalid, parse

    try:
        parse(grader)
    except GraderInvalid as error:
        for problem in error.problems:
            yield problem.location, f"{problem.path}: {problem.message}"


def _in_json(path: Path, location: tuple[str | int, ...], problem: str) -> str:
    """The problem with its line: JSON is YAML but for a few odd files, and those have no line to name."""
    try:
        return read_yaml(path).problem(location, problem)
    except SourceError:
        return f"{path}:1: {problem}"


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
    known = f"known ones include {', '.join(close)}" if close else "the experiment's folder of `repositories` has none"
    return document.problem(
        ("cases", index, "repository"), f"case {case.id!r}: there is no recipe {case.repository!r}; {known}"
    )
