"""Held out means held out: what evaluation and training share, measured.

In: evaluation cases and training cases (variants too). Out: a `SplitReport` with every pair that leaks and why. Three
measures, and one of them is enough:

    exact       the two requests are the same once case, quotes, punctuation, white space and politeness are gone
    paraphrase  the same names, the same command accepted for both, and wording that is alike: the token-set ratio
                (rapidfuzz, 0 to 100) of the requests without those names is at least the limit
    reference   the same recipe and the same accepted command

The names of a case are the arguments that stand both in its accepted commands and in its request. The same words about
other names are no leak: learning the words is what training is for. The same words and names with another right command
are none either: "list the merged branches" gives nothing away about "list the branches that are not merged".
It only reads; deciding what becomes of a leak is the caller's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

from rapidfuzz import fuzz, process

from distill.cases import Case
from distill.training.wording import words
from graders.commands import SimpleCommand, parse
from graders.vocabulary import SUBCOMMANDS

LIMIT = 80.0
"""The token-set ratio from which two wordings count as alike."""

Measure = Literal["exact", "paraphrase", "reference"]
_REASONS: dict[Measure, str] = {
    "exact": "the same request, but for case, quotes, punctuation and politeness",
    "paraphrase": "the same names and command, and wording that is alike",
    "reference": "the same recipe and the same accepted command",
}
_NOT_NAMES = SUBCOMMANDS | frozenset(
    ["git", "head", "drop", "pop", "list", "save", "start", "set", "set-url", "update", "get"]
)
_COUNT = re.compile(r"-n(\d+)|--max-count=(\d+)")


@dataclass(frozen=True, slots=True)
class Leak:
    """An evaluation case and a training case that share too much."""

    evaluation: str
    """The id of the held-out case."""
    training: str
    """The id of the training case or variant."""
    measure: Measure
    ratio: float
    """How alike the two wordings are, 0 to 100, the names left out."""
    evaluation_request: str
    training_request: str
    shared: str
    """The normalized command that both accept; empty when there is none."""

    @property
    def reason(self) -> str:
        """Why it counts as a leak."""
        return _REASONS[self.measure]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitReport:
    """What a check found."""

    evaluation: int
    """How many held-out cases were compared."""
    training: int
    """How many training cases they were compared with."""
    limit: float
    leaks: tuple[Leak, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing leaks."""
        return not self.leaks

    def text(self) -> str:
        """For a terminal: one line a leak, the two requests below it, and a last line that sums up."""
        lines = []
        for leak in self.leaks:
            lines += [
                f"{leak.evaluation} - {leak.training}: {leak.reason} ({leak.measure}, wording {leak.ratio:.0f})",
                f"    evaluation: {_line(leak.evaluation_request)}",
                f"    training:   {_line(leak.training_request)}",
            ]
            if leak.shared:
                lines.append(f"    both accept: {_line(leak.shared)}")
        compared = f"{self.evaluation} held-out cases against {self.training} training requests"
        found = "no leak" if self.clean else f"{len(self.leaks)} {'leak' if len(self.leaks) == 1 else 'leaks'}"
        lines.append(f"{compared}, wording limit {self.limit:g}: {found}")
        return "\n".join(lines)

    def json(self) -> dict[str, Any]:
        """For another program: plain data, with the same facts."""
        return {
            "evaluation": self.evaluation,
            "training": self.training,
            "limit": self.limit,
            "clean": self.clean,
            "leaks": [{**asdict(leak), "reason": leak.reason} for leak in self.leaks],
        }


def check_split(evaluation: Sequence[Case], training: Sequence[Case], *, limit: float = LIMIT) -> SplitReport:
    """Compare every evaluation case with every training case.

    Raises `ValueError` for a limit outside 0 to 100.
    """
    held = Held(evaluation, limit=limit)
    leaks = [leak for case in training for leak in held.leaks(case)]
    order = {case.id: index for index, case in enumerate(evaluation)}
    leaks.sort(key=lambda leak: order[leak.evaluation])
    return SplitReport(evaluation=len(evaluation), training=len(training), limit=limit, leaks=tuple(leaks))


class Held:
    """The held-out cases, made ready so that a training case can be compared with all of them at once."""

    def __init__(self, evaluation: Sequence[Case], *, limit: float = LIMIT) -> None:
        if not 0 <= limit <= 100:
            raise ValueError(f"the limit is a token-set ratio from 0 to 100, and {limit:g} was given")
        self._limit = limit
        self._facets = [_Facets.of(case) for case in evaluation]
        self._by_words: dict[tuple[str, ...], list[_Facets]] = defaultdict(list)
        self._by_names: dict[frozenset[str], list[_Facets]] = defaultdict(list)
        self._by_reference: dict[tuple[str, str], list[_Facets]] = defaultdict(list)
        for facets in self._facets:
            self._by_words[facets.words].append(facets)
            self._by_names[facets.names].append(facets)
            for command in facets.commands:
                self._by_reference[facets.case.repository, command].append(facets)

    def leaks(self, case: Case) -> list[Leak]:
        """Every held-out case that this training case leaks from, each once, by the plainest measure that finds it."""
        mine = _Facets.of(case)
        found: dict[str, Leak] = {}
        for measure, theirs in self._pairs(mine):
            if theirs.case.id not in found:
                found[theirs.case.id] = _leak(measure, theirs, mine)
        return list(found.values())

    def _pairs(self, mine: _Facets) -> Iterator[tuple[Measure, _Facets]]:
        for theirs in self._by_words.get(mine.words, ()):
            yield "exact", theirs
        same_names = [each for each in self._by_names.get(mine.names, ()) if each.commands & mine.commands]
        if same_names:
            choices = [each.wording for each in same_names]
            ratios = process.cdist([mine.wording], choices, scorer=fuzz.token_set_ratio)[0]
            for theirs, ratio in zip(same_names, ratios, strict=True):
                if ratio >= self._limit:
                    yield "paraphrase", theirs
        for command in sorted(mine.commands):
            for theirs in self._by_reference.get((mine.case.repository, command), ()):
                yield "reference", theirs


@dataclass(frozen=True)
class _Facets:
    """A case as what is compared."""

    case: Case
    words: tuple[str, ...]
    names: frozenset[str]
    wording: str
    """The words without the names."""
    commands: frozenset[str]

    @classmethod
    def of(cls, case: Case) -> _Facets:
        said = words(case.request) or (case.request.casefold(),)
        names = _names(case.accept) & frozenset(_parts(said))
        wording = " ".join(word for word in said if not names & frozenset(_parts([word])))
        return cls(case, said, names, wording, frozenset(map(normalized_command, case.accept)))


def normalized_command(command: str) -> str:
    """A command line by its parse: no quotes, no `-C .`, one way of writing counts, the options in a fixed order.

    Text that is not valid shell stays as it is, but for the white space.
    """
    line = parse(command)
    if not line.valid:
        return " ".join(command.split())
    steps = [" ".join(_ordered(each)) for each in line.commands]
    return " && ".join([*steps, *(f"> {target}" for target in line.targets)])


def _ordered(command: SimpleCommand) -> list[str]:
    if command.subcommand is None:
        return list(command.words)
    before = [word for word in command.git or () if word not in ("git", ".")]
    front = before[: before.index(command.subcommand)]
    if "-C" in front and "." in (command.git or ()):
        front.remove("-C")
    arguments = [_COUNT.sub(lambda match: f"-{match[1] or match[2]}", word) for word in command.arguments]
    for index, word in enumerate(arguments[:-1]):
        if word == "-n" and arguments[index + 1].isdigit():
            arguments[index : index + 2] = [f"-{arguments[index + 1]}"]
            break
    dashes = arguments.index("--") if "--" in arguments else len(arguments)
    options = sorted(word for word in arguments[:dashes] if word.startswith("-"))
    operands = [word for word in arguments[:dashes] if not word.startswith("-")] + arguments[dashes + 1 :]
    return ["git", *front, command.subcommand, *options, *operands]


@lru_cache(maxsize=65536)
def _names_of(command: str) -> frozenset[str]:
    """Every argument of a command line, and the parts of those that are put together, in lower case."""
    line = parse(command)
    found: list[str] = [*line.targets]
    for each in line.commands:
        found += [word for word in each.arguments if not word.startswith("-")]
        found += [word.lstrip("-").partition("=")[2] for word in each.arguments if word.startswith("-") and "=" in word]
        found += re.findall(r"\d+", " ".join(word for word in each.arguments if re.fullmatch(r"-\w?\d+", word)))
    said = words(" ".join(found))
    return frozenset(part for part in _parts(said) if part not in _NOT_NAMES)


def _names(commands: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*(_names_of(command) for command in commands))


def _parts(said: Iterable[str]) -> list[str]:
    """The words and, of a word such as `origin/topic`, `HEAD~2` or `a=b`, its parts."""
    parts = []
    for word in said:
        parts.append(word)
        parts += [part for part in re.split(r"[/:=~^]|\.\.+", word) if part and part != word]
    return parts


def _leak(measure: Measure, theirs: _Facets, mine: _Facets) -> Leak:
    return Leak(
        evaluation=theirs.case.id,
        training=mine.case.id,
        measure=measure,
        ratio=float(fuzz.token_set_ratio(theirs.wording, mine.wording)),
        evaluation_request=theirs.case.request,
        training_request=mine.case.request,
        shared=min(theirs.commands & mine.commands, default=""),
    )


def _line(text: str) -> str:
    return " ".join(text.split())
