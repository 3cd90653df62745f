"""Graders by name: find them, load them, and apply them without letting one of them spoil a run.

In: names from the command line. A name is a file `NAME.py` in the folder, or one that comes with the project, or a
path to a Python file; a grader is any such file with a function `grade(attempt)`, plain or async. A `NAME.json` with
one of OpenAI's grader objects is a grader as well. Out: the functions by name, and grades. A grader that raises or
returns something else gives an unscored grade, never an exception. Files are listed by reading them; only those that
were named are ever imported.
"""

from __future__ import annotations

import ast
import asyncio
import difflib
import importlib
import importlib.util
import inspect
import json
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType

import graders as built_in
from distill.cases import read_grader_object
from distill.grading import Attempt, Grade
from distill.openai_graders import parse
from distill.sources import SourceError
from graders.openai_object import GraderObject

GradeFunction = Callable[[Attempt], Grade | Awaitable[Grade]]

BUILT_IN = Path(built_in.__file__).resolve().parent
"""The folder of the graders that come with the project."""


class GraderError(ValueError):
    """A grader that cannot be used. The message says which, why, and what to do."""


def load_graders(names: Iterable[str], folder: Path) -> dict[str, GradeFunction]:
    """The `grade` functions of the named graders, in the order of the names.

    A file in `folder` goes before one of the same name that comes with the project. Raises `GraderError` for a name
    that nobody knows (listing those that exist), a name given twice, a file that cannot be imported, and one without
    `grade`.
    """
    loaded: dict[str, GradeFunction] = {}
    for name in names:
        path = _path_of(name, folder)
        if path.stem in loaded:
            raise GraderError(
                f"the grader {path.stem!r} is named twice; its file's name is what its grades are stored under"
            )
        loaded[path.stem] = _grader_object(path) if path.suffix == ".json" else _grade_function(path)
    return loaded


def available_graders(folder: Path) -> dict[str, str]:
    """Every grader that can be named, sorted, with the first line of its module docstring. Nothing is imported."""
    found: dict[str, str] = {}
    for place in (BUILT_IN, folder):
        for path in sorted(place.glob("*.py")):
            description = _description(path)
            if description is not None:
                found[path.stem] = description
        for path in sorted(place.glob("*.json")):
            description = _object_description(path)
            if description is not None:
                found[path.stem] = description
    return dict(sorted(found.items()))


async def apply(graders: Mapping[str, GradeFunction], attempt: Attempt) -> dict[str, Grade]:
    """The grade of each grader, all of them asked at once. Never raises for anything that a grader does."""
    grades = await asyncio.gather(*(_apply_one(name, grade, attempt) for name, grade in graders.items()))
    return dict(zip(graders, grades, strict=True))


async def _apply_one(name: str, function: GradeFunction, attempt: Attempt) -> Grade:
    try:
        result = function(attempt)
        grade = await result if inspect.isawaitable(result) else result
    except Exception as error:
        return Grade.unscored(f"the grader {name!r} failed: {type(error).__name__}: {_sentence(error)}")
    if not isinstance(grade, Grade):
        return Grade.unscored(f"the grader {name!r} returned {_sentence(repr(grade))}, not a distill.grading.Grade")
    try:
        json.dumps([grade.score, grade.reason, dict(grade.details)], ensure_ascii=False).encode()
    except Exception as error:
        return Grade.unscored(f"the grader {name!r} returned a grade that JSON cannot hold: {_sentence(error)}")
    return grade


def _path_of(name: str, folder: Path) -> Path:
    if name.endswith((".py", ".json")) or "/" in name:
        path = Path(name).expanduser()
        if not path.is_file():
            raise GraderError(
                f"there is no grader file {name}; expected a Python file with a function `grade(attempt)`, or a JSON "
                "file with one of OpenAI's grader objects"
            )
        return path.resolve()
    for place in (folder, BUILT_IN):
        for suffix in (".py", ".json"):
            if (place / f"{name}{suffix}").is_file():
                return (place / f"{name}{suffix}").resolve()
    known = available_graders(folder)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    listing = "\n".join(f"  {known_name:<12} {description}" for known_name, description in known.items())
    raise GraderError(f"there is no grader {name!r} in {folder}{hint} Known graders:\n{listing}")


def _grade_function(path: Path) -> GradeFunction:
    grade = getattr(_import(path), "grade", None)
    if not callable(grade):
        raise GraderError(f"{path} has no function `grade`; a grader needs `def grade(attempt: Attempt) -> Grade`")
    function: GradeFunction = grade
    try:
        inspect.signature(function).bind(None)
    except (TypeError, ValueError):
        raise GraderError(
            f"{path}: `grade` has to take one argument, the attempt: `def grade(attempt: Attempt)`"
        ) from None
    return function


def _grader_object(path: Path) -> GradeFunction:
    try:
        return GraderObject(parse(read_grader_object(path)))
    except SourceError as error:
        raise GraderError(str(error)) from None


def _import(path: Path) -> ModuleType:
    name = f"_grader_{path.stem}"
    try:
        if path.parent == BUILT_IN:
            return importlib.import_module(f"{built_in.__name__}.{path.stem}")
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError("not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses and pickling look their module up here
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        place = f"{path}:{_line(error, path)}"
        raise GraderError(
            f"{place}: this grader cannot be imported: {type(error).__name__}: {_sentence(error)}"
        ) from error
    return module


def _line(error: BaseException, path: Path) -> int:
    """The line of the grader's file where its import stopped."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 1
    lines = [frame.lineno or 1 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else 1


def _description(path: Path) -> str | None:
    """The first docstring line of a file that defines `grade`; None for every other file."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    if not any(isinstance(node, functions) and node.name == "grade" for node in tree.body):
        return None
    lines = (ast.get_docstring(tree) or "").splitlines()
    return lines[0] if lines else ""


def _object_description(path: Path) -> str | None:
    """What a JSON file with a grader object is called; None for every other file."""
    try:
        grader = parse(read_grader_object(path))
    except SourceError:
        return None
    return f"{grader.name} ({grader.type}, a grader object)"


def _sentence(value: object) -> str:
    """The first line of a message, short, and of characters that every log and store can take."""
    try:
        text = str(value)
    except Exception:
        text = type(value).__name__
    lines = text.splitlines()
    return (lines[0] if lines else "")[:300].encode("utf-8", "backslashreplace").decode()
