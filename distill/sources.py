"""YAML files that people write: read them, and say where a mistake is.

In: a path. Out: a `Document`, the data with the line of every node, or a `SourceError` whose message
starts with `FILE:LINE:` and says what was expected. Nothing in a file is ever executed or instantiated:
only YAML's plain scalars, sequences and mappings are built.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = yaml.reader.Reader.NON_PRINTABLE
_DEEPEST = 100
_EXPECTED = {
    "too_short": "expected at least one item",
    "extra_forbidden": "unknown field",
    "missing": "this field is required",
    "string_type": "expected a text",
    "tuple_type": "expected a list",
    "int_type": "expected a whole number",
    "bool_type": "expected true or false",
    "model_type": "expected a mapping of fields",
    "model_attributes_type": "expected a mapping of fields",
}
"""What a person needs to read in place of pydantic's words, by the type of the problem."""
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
        """The 1-based line of the deepest key or list item on `location` that exists (a missing key: its parent)."""
        node = self.root
        line = node.start_mark.line + 1 if node is not None else 1
        for step in location:
            found = _child(node, step)
            if found is None:
                break
            node, line = found
        return line

    def problem(self, location: Location, message: str) -> str:
        """`message` with the file and the line in front, as every error of this project has them."""
        return f"{self.path}:{self.line(location)}: {message}"


def read_yaml(path: Path) -> Document:
    """Parse one YAML file. Raises `SourceError` for a file that is missing, not UTF-8, or not YAML."""
    text = _text(path)
    loader = None
    try:
        _refuse_depth_and_loops(path, text)
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is not None:
            _refuse_duplicate_keys(path, root)
        data = _construct(path, loader, root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise SourceError([f"{path}:{line}: not valid YAML: {what}"]) from None
    except yaml.YAMLError as error:
        unprintable = _UNPRINTABLE.search(text)
        line = text.count("\n", 0, unprintable.start()) + 1 if unprintable else 1
        what = f"the control character {unprintable.group()!r}" if unprintable else str(error)
        raise SourceError([f"{path}:{line}: not valid YAML: {what}"]) from None
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
        problems = error.errors()
        told = [problem for problem in problems if not _follows(problem, problems)]
        raise SourceError([_sentence(document, problem, name_of) for problem in told]) from None


def read_lines(model: type[Model], path: Path, *, what: str) -> tuple[Model, ...]:
    """One object of JSON a line. Raises `OSError`, and `ValueError` with file and line for one that is no `what`."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found.append(model.model_validate_json(line))
        except ValueError as error:
            raise ValueError(f"{path}:{number}: this line is no {what}: {error}") from None
    return tuple(found)


def _follows(problem: Any, problems: Sequence[Any]) -> bool:
    """Whether a list only counts as empty because every item of it is a problem of its own."""
    place = problem["loc"]
    return problem["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in problems
    )


def _sentence(document: Document, problem: Any, name_of: str) -> str:
    location: Location = tuple(problem["loc"])
    owner = ""
    items = document.data.get(name_of) if isinstance(document.data, dict) else None
    if len(location) > 1 and location[0] == name_of and isinstance(items, list) and isinstance(location[1], int):
        item = items[location[1]]
        identity = item.get("id") if isinstance(item, dict) else None
        owner = f"case {identity!r}: " if identity else f"case number {location[1] + 1}: "
        location_text = ".".join(str(step) for step in location[2:])
    else:
        location_text = ".".join(str(step) for step in location)
    message = _EXPECTED.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
    found = problem.get("input")
    if problem["type"] == "string_type" and isinstance(found, dict):
        message += "; a text with ': ' in it has to be quoted"
    elif isinstance(found, (str, int, float, bool)) and problem["type"] != "extra_forbidden":
        message += f" (found {found!r})"
    field = f"{location_text}: " if location_text else ""
    return document.problem(location, f"{owner}{field}{message}")


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, int] | None:
    """What stands at `step`, and the line on which it starts: a value starts with its key."""
    if isinstance(node, yaml.MappingNode):
        return next(((value, key.start_mark.line + 1) for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark.line + 1
    return None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise SourceError([f"{path}:1: there is no such file"]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SourceError([f"{path}:{line}: not UTF-8 text ({error.reason} at byte {error.start})"]) from None
    except OSError as error:
        raise SourceError([f"{path}:1: cannot be read: {error.strerror}"]) from None


def _construct(path: Path, loader: Any, root: yaml.Node) -> Any:
    """The plain data. What looks like a date and is none, such as `2024-99-99`, PyYAML raises without a line."""
    try:
        return loader.construct_document(root)
    except ValueError:
        for node in _nodes(root):
            if isinstance(node, yaml.ScalarNode):
                try:
                    yaml.constructor.SafeConstructor().construct_object(node)
                except ValueError as error:
                    line = node.start_mark.line + 1
                    raise SourceError(
                        [f"{path}:{line}: {node.value[:40]!r} is no value ({error}); put quotes around a text"]
                    ) from None
        raise


def _refuse_depth_and_loops(path: Path, text: str) -> None:
    """Before any tree is built, because building one recurses in C, where the depth has no other limit."""
    opened: list[str | None] = []
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            opened.append(event.anchor)
            if len(opened) > _DEEPEST:
                raise SourceError([f"{path}:{line}: nested more than {_DEEPEST} levels deep"])
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            opened.pop()
        elif isinstance(event, yaml.AliasEvent) and event.anchor in opened:
            raise SourceError([f"{path}:{line}: *{event.anchor} stands inside of what it refers to"])


def _refuse_duplicate_keys(path: Path, root: yaml.Node) -> None:
    """YAML lets the later of two equal keys win in silence; here that is a mistake."""
    for node in _nodes(root):
        if isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, _ in node.value:
                line = key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    raise SourceError([f"{path}:{line}: a key has to be a plain text"])
                if key.value in seen:
                    first = seen[key.value]
                    raise SourceError([f"{path}:{line}: key {key.value!r} stands twice (first on line {first})"])
                seen[key.value] = line


def _nodes(root: yaml.Node) -> Iterator[yaml.Node]:
    """Every node once, in the order of the file, however often an alias repeats it."""
    seen: set[int] = set()
    pending = [root]
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            pending.extend(child for pair in reversed(node.value) for child in reversed(pair))
        elif isinstance(node, yaml.SequenceNode):
            pending.extend(reversed(node.value))
