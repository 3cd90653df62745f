"""YAML files that people write: read them, and say where a mistake is.

In: a path. Out: a `Document`, the data with the line of every node, or a `SourceError` whose message
starts with `FILE:LINE:` and says what was expected. Nothing in a file is ever executed or instantiated:
only YAML's plain scalars, sequences and mappings are built.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Location = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


class SourceError(ValueError):
    """A file that cannot be used as it is. The message holds one `FILE:LINE: what is wrong` a line."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed YAML file: its plain data, and the node tree that knows lines."""

    path: Path
    data: Any
    root: yaml.Node | None

    def line(self, location: Location) -> int:
        """The 1-based line of the deepest node on `location` that exists (a missing key: its parent)."""
        node = self.root
        line = 1
        for step in location:
            if node is None:
                break
            line = node.start_mark.line + 1
            node = _child(node, step)
        return node.start_mark.line + 1 if node is not None else line

    def problem(self, location: Location, message: str) -> str:
        """`message` with the file and the line in front, as every error of this project has them."""
        return f"{self.path}:{self.line(location)}: {message}"


def read_yaml(path: Path) -> Document:
    """Parse one YAML file. Raises `SourceError` for a file that is missing, not UTF-8, or not YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SourceError([f"{path}:1: there is no such file"]) from None
    except UnicodeDecodeError as error:
        raise SourceError([f"{path}:1: not UTF-8 text ({error.reason} at byte {error.start})"]) from None
    except OSError as error:
        raise SourceError([f"{path}:1: cannot be read: {error.strerror}"]) from None
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is not None:
            _refuse_duplicate_keys(path, root)
        data = loader.construct_document(root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise SourceError([f"{path}:{line}: not valid YAML: {error.problem or error.context}"]) from None
    except SourceError:
        raise
    except (yaml.YAMLError, ValueError) as error:
        raise SourceError([f"{path}:1: not valid YAML: {error}"]) from None
    finally:
        if loader is not None:
            loader.dispose()
    return Document(path, data, root)


def validate(model: type[Model], document: Document, *, name_of: str = "") -> Model:
    """Validate a document against a pydantic model, or raise `SourceError` with every problem in it.

    `name_of` is the key of a list whose items have an `id`; a problem inside such an item names it.
    """
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise SourceError([_sentence(document, problem, name_of) for problem in error.errors()]) from None


def _sentence(document: Document, problem: Any, name_of: str) -> str:
    location: Location = tuple(problem["loc"])
    owner = ""
    if name_of and len(location) > 1 and location[0] == name_of and isinstance(location[1], int):
        item = document.data[name_of][location[1]]
        identity = item.get("id") if isinstance(item, dict) else None
        owner = f"case {identity!r}: " if identity else f"case number {location[1] + 1}: "
        location_text = ".".join(str(step) for step in location[2:])
    else:
        location_text = ".".join(str(step) for step in location)
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "unknown field"
    elif problem["type"] == "missing":
        message = "this field is required"
    elif isinstance(problem.get("input"), (str, int, float, bool)):
        message = f"{message} (found {problem['input']!r})"
    field = f"{location_text}: " if location_text else ""
    return document.problem(location, f"{owner}{field}{message}")


def _child(node: yaml.Node, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step]  # type: ignore[no-any-return]  # PyYAML's stubs leave `value` untyped
    return None


def _refuse_duplicate_keys(path: Path, node: yaml.Node) -> None:
    """YAML lets the later of two equal keys win in silence; here that is a mistake."""
    pending = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in current.value:
                line = key.start_mark.line + 1
                if key.value in seen:
                    first = seen[key.value]
                    raise SourceError([f"{path}:{line}: key {key.value!r} stands twice (first on line {first})"])
                seen[key.value] = line
                pending.append(value)
        elif isinstance(current, yaml.SequenceNode):
            pending.extend(current.value)
