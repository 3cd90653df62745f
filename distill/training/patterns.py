"""Phrasings of operations: which commands are the same operation, and in how many ways people ask for it.

In: `fixtures/patterns/*.yaml`, written by hand. Out: a `Patterns` that finds, for a command, the pattern of each of its
steps with the values in it. Matching compares parsed words (graders/commands.py), so quotes and spacing do not count.

    - family: switch-create
      commands: [git switch -c $new_branch, git checkout -b $new_branch]
      requests:
        - create a branch $new_branch and switch to it

A slot is `$kind`, or `$kind2` for the second of a kind; `distill.training.names` says which get another value. A
request holds every slot of its commands, so that the answer follows from it; only a message may be left out, for cases
that leave messages free. Nothing is run here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from distill.cases import Identifier
from distill.sources import SourceError, read_yaml, validate
from distill.training.names import KINDS, Kind
from graders.commands import CommandLine, parse

_SLOT = re.compile(r"\$(?=\{?([a-z_]+\d*))(?:\{\1\}|\1)")
_CONNECTED = re.compile(r"\s*&&\s*|\s*\n\s*")
_OPERATOR = re.compile(r"&&|\|\||>>|[|;<>\n]")
_QUOTED = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.", re.DOTALL)
FEWEST_REQUESTS = 6


class Pattern(BaseModel):
    """One operation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: Identifier = Field(description="The operation's name; unique.")
    commands: tuple[Annotated[str, Field(min_length=3)], ...] = Field(
        min_length=1, description="Forms of the operation, with slots. All have the same slots."
    )
    requests: tuple[Annotated[str, Field(min_length=3)], ...] = Field(
        min_length=FEWEST_REQUESTS, description="How people ask for it, with the same slots."
    )
    french: tuple[Annotated[str, Field(min_length=3)], ...] = Field(default=(), description="The same in French.")

    @cached_property
    def slots(self) -> frozenset[str]:
        """The slots of its commands."""
        return frozenset(_SLOT.findall(self.commands[0]))

    @cached_property
    def has_steps(self) -> bool:
        """Whether its command is several, one behind another."""
        return _CONNECTED.search(self.commands[0]) is not None

    @cached_property
    def shapes(self) -> tuple[_Shape, ...]:
        return tuple(_Shape.of(command) for command in self.commands)

    @model_validator(mode="after")
    def _slots_agree(self) -> Pattern:
        for slot in sorted(self.slots):
            if kind_name(slot) not in KINDS:
                raise ValueError(f"${slot} is of no known kind; kinds are {', '.join(sorted(KINDS))}")
        for command in self.commands:
            if frozenset(_SLOT.findall(command)) != self.slots:
                raise ValueError(f"{command!r} has other slots than {self.commands[0]!r}")
            if not parse(command).valid:
                raise ValueError(f"{command!r} is no valid shell")
        said = {slot for slot in self.slots if not KINDS[kind_name(slot)].message}
        for request in (*self.requests, *self.french):
            found = frozenset(_SLOT.findall(request))
            if "$" in _SLOT.sub("", request):
                raise ValueError(f"{request!r} has a $ that begins no slot")
            if not said <= found <= self.slots:
                missing = ", ".join(f"${slot}" for slot in sorted(said - found)) or "nothing"
                excess = ", ".join(f"${slot}" for slot in sorted(found - self.slots)) or "nothing"
                raise ValueError(f"{request!r} lacks {missing} and has {excess} too much")
        if len({*self.requests, *self.french}) != len(self.requests) + len(self.french):
            raise ValueError("the same request stands here twice")
        return self

    def templates(self, *, said: frozenset[str]) -> tuple[str, ...]:
        """The requests that hold exactly the slots of `said`."""
        return tuple(request for request in self.requests if frozenset(_SLOT.findall(request)) == said)


class PatternFile(BaseModel):
    """The patterns of one group: one file under fixtures/patterns/."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group: Identifier
    patterns: tuple[Pattern, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a command that a pattern knows."""

    pattern: Pattern
    values: Mapping[str, str]
    """What stands in each slot."""


class Patterns:
    """All patterns, with the more exact of two that fit a command first."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        known = list(patterns)
        families: dict[str, Pattern] = {}
        for pattern in known:
            if families.setdefault(pattern.family, pattern) is not pattern:
                raise ValueError(f"there are two patterns of the family {pattern.family!r}")
        shaped = [(shape, pattern) for pattern in known for shape in pattern.shapes]
        self._shaped = sorted(shaped, key=lambda pair: -pair[0].exactness)
        self.families = tuple(sorted(families))
        self.all = tuple(known)

    def match(
        self, command: str, *, tags: Collection[str] = (), branches: Collection[str] = ()
    ) -> tuple[Step, ...] | None:
        """The steps of a command, or None unless every one of them is known.

        A command that is one pattern is one step; else each part between `&&` or line ends has to be one. `tags`,
        `branches`: those that there are, because `git push origin v1` pushes a tag or a branch, and `git merge fix/a`
        merges a branch of a remote or one of this repository, and only the repository knows which.
        """
        whole = self._step(command, tags, branches)
        return (whole,) if whole is not None else self.parts(command, tags=tags, branches=branches)

    def parts(
        self, command: str, *, tags: Collection[str] = (), branches: Collection[str] = ()
    ) -> tuple[Step, ...] | None:
        """The same of a command of several parts, each by itself even where one pattern is the whole of it."""
        steps: list[Step] = []
        for part in pieces(command):
            line = parse(part)
            if not line.valid or len(line.statements) != 1 or len(line.commands) != 1:
                return None
            made = [(kind_name(slot), value) for each in steps for slot, value in each.values.items()]
            new_tags = [value for kind, value in made if kind == "new_tag"]
            new_branches = [value for kind, value in made if kind == "new_branch"]
            step = self._step(part, (*tags, *new_tags), (*branches, *new_branches))
            if step is None:
                return None
            steps.append(step)
        return tuple(steps) if len(steps) > 1 else None

    def _step(self, command: str, tags: Collection[str], branches: Collection[str]) -> Step | None:
        shape = _Shape.of(command)
        for known, pattern in self._shaped:
            values = known.match(shape)
            if values is not None and not _is_another_ref(values, tags, branches):
                return Step(pattern, values)
        return None


def pieces(command: str) -> list[str]:
    """What stands between the `&&` and the line ends of a command."""
    return _CONNECTED.split(command.strip())


def _is_another_ref(values: Mapping[str, str], tags: Collection[str], branches: Collection[str]) -> bool:
    """Whether what was taken for a branch is a tag, or what was taken for a remote's branch is a branch of its own."""
    if any(kind_of(slot).existing == "branch" and value in tags for slot, value in values.items()):
        return True
    return "remote" in values and f"{values['remote']}/{values.get('branch')}" in branches


@dataclass(frozen=True)
class _Shape:
    """A command line as what is compared: words and redirections, and the operators between them."""

    words: tuple[tuple[str, ...], ...]
    targets: tuple[str, ...]
    operators: tuple[str, ...]

    @classmethod
    def of(cls, command: str) -> _Shape:
        line: CommandLine = parse(command.strip())
        operators = tuple(_OPERATOR.findall(_QUOTED.sub("", command.strip())))
        return cls(tuple(each.words for each in line.commands) if line.valid else (), line.targets, operators)

    @property
    def exactness(self) -> int:
        """How many characters are fixed: of two patterns that fit, the one with more of them says more."""
        return sum(len(_SLOT.sub("", word)) for words in (*self.words, self.targets) for word in words)

    def match(self, other: _Shape) -> dict[str, str] | None:
        mine, theirs = (*self.words, self.targets), (*other.words, other.targets)
        if not self.words or self.operators != other.operators or list(map(len, mine)) != list(map(len, theirs)):
            return None
        values: dict[str, str] = {}
        for word, found in zip(_flat(mine), _flat(theirs), strict=True):
            match = _expression(word).fullmatch(found)
            if match is None:
                return None
            for slot, value in match.groupdict().items():
                if values.setdefault(slot, value) != value or not kind_of(slot).fits(value):
                    return None
        return values


def load_patterns(folder: Path) -> Patterns:
    """Read every file of a folder but `names.yaml`. Raises `SourceError` with file and line of every mistake."""
    patterns: list[Pattern] = []
    origin: dict[str, str] = {}
    problems: list[str] = []
    files = sorted(path for path in folder.glob("*.yaml") if path.name != "names.yaml")
    for file in files:
        document = read_yaml(file)
        for index, pattern in enumerate(validate(PatternFile, document).patterns):
            location = ("patterns", index, "family")
            if pattern.family in origin:
                message = f"the family {pattern.family!r} stands in {origin[pattern.family]} too"
                problems.append(document.problem(location, message))
            origin.setdefault(pattern.family, f"{file}:{document.line(location)}")
            patterns.append(pattern)
    if not files:
        problems.append(f"{folder}:1: this folder holds no patterns (*.yaml)")
    if problems:
        raise SourceError(problems)
    return Patterns(patterns)


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template with its slots filled. Raises `KeyError` for a slot without a value."""
    return _SLOT.sub(lambda slot: values[slot[1]], template)


def slots_of(template: str) -> tuple[str, ...]:
    """The slots of a template, in order."""
    return tuple(_SLOT.findall(template))


def kind_name(slot: str) -> str:
    """`branch` of the slots `branch` and `branch2`."""
    return slot.rstrip("0123456789")


def kind_of(slot: str) -> Kind:
    """What may stand in a slot."""
    return KINDS[kind_name(slot)]


def _flat(groups: tuple[tuple[str, ...], ...]) -> list[str]:
    return [word for group in groups for word in group]


def _expression(word: str) -> re.Pattern[str]:
    """A word of a pattern as an expression: its slots are groups, everything else stands for itself."""
    parts: list[str] = []
    seen: set[str] = set()
    end = 0
    for slot in _SLOT.finditer(word):
        name = slot[1]
        parts.append(re.escape(word[end : slot.start()]))
        parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>.+?)")
        seen.add(name)
        end = slot.end()
    parts.append(re.escape(word[end:]))
    return re.compile("".join(parts), re.DOTALL)
