"""Hard negatives: commands that look like a right answer and are none, made from a case's accepted commands.

In: a case and the image of its starting repository. Out: `Mutant`s, always the same ones in the same order: one thing
about an accepted command is changed, as a careless writer or a small model would. Each parses, and none is another
accepted command, written otherwise or not, or equal to one by git's own rules (`equivalents.known`). Nothing is run:
whether a mutant really goes wrong is for `validate` to find out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from distill.cases import Case
from distill.sandbox.image import Image
from distill.sandbox.snapshot import take_snapshot
from distill.validity.anatomy import Anatomy, Edit, Names, Option, Word, anatomies, edited, names_of
from distill.validity.equivalents import Reading, canonical
from distill.validity.vocabulary import (
    ADDED_OPTIONS,
    ANY_ORDER,
    EXCLUSIVE,
    NUMBER_OPTIONS,
    ONLY_WITH_EDITS,
    OPTION_SWAPS,
    ORDERED_OPERANDS,
    PATH_COMMANDS,
    SIBLINGS,
    WIDER_SCOPE,
)
from graders.commands import CommandLine, Span, parse


class Kind(StrEnum):
    """What was changed."""

    OPTION_SWAP = "option swap"
    ADDED_OPTION = "added option"
    DROPPED_OPTION = "dropped option"
    NEIGHBOR_REVISION = "neighbor revision"
    OTHER_NAME = "other name"
    WRONG_NAME = "wrong name"
    OTHER_NUMBER = "other number"
    SWAPPED_OPERANDS = "swapped operands"
    DROPPED_OPERAND = "dropped operand"
    OTHER_SCOPE = "other scope"
    SIBLING_VERB = "sibling verb"
    DROPPED_COMMAND = "dropped command"
    OTHER_ORDER = "other order"
    OTHER_REDIRECTION = "other redirection"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One near miss."""

    kind: Kind
    command: str
    origin: str
    """The accepted command that it was made from."""


_REVISION = re.compile(r"(?P<base>HEAD|ORIG_HEAD|FETCH_HEAD|@|[\w/.-]+?)(?P<log>@\{\d+\})?(?P<suffix>(?:[~^]\d*)*)")
_JOINTS = re.compile(r"(\.{2,3}|:)")
_OTHERS = 2
"""The most other branches, tags or files that one name is taken for."""


def mutants_of(case: Case, image: Image) -> tuple[Mutant, ...]:
    """Every hard negative of a case; `image` is its starting repository.

    Raises `UnreadableRepository` when the image cannot be read.
    """
    names = names_of(take_snapshot(image))
    reading = Reading.of(case, names)
    right = {canonical(accepted, reading) for accepted in case.accept}
    seen: set[str] = set()
    found: list[Mutant] = []
    for accepted in case.accept:
        for kind, text in _variations(accepted, names):
            key = canonical(text, reading)
            if key in right or key in seen or not parse(text).statements:
                continue
            seen.add(key)
            found.append(Mutant(kind, text, accepted))
    return tuple(found)


def _variations(text: str, names: Names) -> Iterator[tuple[Kind, str]]:
    line = parse(text)
    commands = anatomies(text)
    popped = any(command.verb_key == "stash pop" for command in commands)
    for command in commands:
        for kind, edits in _of_command(command, names):
            if not (popped and command.verb == "stash" and kind is Kind.ADDED_OPTION):  # it is taken out again
                yield kind, edited(text, edits)
    yield from _of_other_programs(text, line)
    for redirection in line.redirections:
        if redirection.operator in (">", ">>") and redirection.target != "/dev/null":
            if redirection.target in names.files or redirection.target.startswith(".git/"):  # else they do the same
                other = ">" if redirection.operator == ">>" else ">>"
                yield Kind.OTHER_REDIRECTION, edited(text, [(*redirection.operator_span, other)])
            wrong = _one_letter_off(redirection.target)
            if wrong:
                yield Kind.WRONG_NAME, edited(text, [Word(wrong, *redirection.target_span, 0).replaced(wrong)])
    yield from _of_steps(text, line)


def _of_command(command: Anatomy, names: Names) -> Iterator[tuple[Kind, list[Edit]]]:
    for option in command.options:
        yield from _of_option(command, option, names)
    yield from _added(command, names)
    words = [*command.operands, *command.paths]
    for word in words:
        yield Kind.DROPPED_OPERAND, [word.dropped]
        yield from _of_operand(command, word, names)
    if command.paths and command.dashes is not None:
        yield Kind.DROPPED_OPERAND, [(command.dashes.before, command.paths[-1].end, "")]
    yield from _swapped(command)
    yield from _siblings(command)


def _of_option(command: Anatomy, option: Option, names: Names) -> Iterator[tuple[Kind, list[Edit]]]:
    word, value = option.word, option.value
    yield Kind.DROPPED_OPTION, [option.dropped]
    if value is not None and not option.everywhere:
        yield Kind.DROPPED_OPTION, [word.dropped]
    if option.cluster and word.static:
        for position in range(1, len(word.text) - (value is not None)):
            yield Kind.DROPPED_OPTION, [word.replaced(word.text[:position] + word.text[position + 1 :])]
    if option.everywhere:
        if value is not None and (wrong := _one_letter_off(value.text)):
            yield Kind.WRONG_NAME, [value.replaced(wrong)]
        return
    name, equals, attached = word.text.partition("=")
    for other in _swaps(command, word.text):
        yield Kind.OPTION_SWAP, [word.replaced(other)]
    for other in _swaps(command, name) if equals and word.static else ():
        yield Kind.OPTION_SWAP, [word.replaced(other + equals + attached)]
    for number in _numbers(command, option):
        yield Kind.OTHER_NUMBER, [number]
    if value is not None and value.static:
        yield from _of_value(command, value, names)
    elif equals and word.static and not _is_code(name, attached):
        for kind, text in _other_texts(command, attached, names):
            yield kind, [word.replaced(f"{name}={text}")]
    elif re.fullmatch(r"-[SG]\w{3,}", word.text) and (wrong := _one_letter_off(word.text[2:])):
        yield Kind.WRONG_NAME, [word.replaced(word.text[:2] + wrong)]


def _of_value(command: Anatomy, value: Word, names: Names) -> Iterator[tuple[Kind, list[Edit]]]:
    if not _is_code("", value.text):
        for kind, text in _other_texts(command, value.text, names):
            yield kind, [value.replaced(text)]


def _added(command: Anatomy, names: Names) -> Iterator[tuple[Kind, list[Edit]]]:
    """Options behind the verb that were not there."""
    end = command.verbs[-1].end
    present = {option.word.text.partition("=")[0] for option in command.options}
    present |= {f"-{letter}" for option in command.options if option.cluster for letter in option.word.text[1:]}
    for kind, table in ((Kind.ADDED_OPTION, ADDED_OPTIONS), (Kind.OTHER_SCOPE, WIDER_SCOPE)):
        both = command.verb_key
        for option in table.get(both, "").split():
            conflicting = any(option in group and present & group for group in EXCLUSIVE)
            if option in present or conflicting or not _matters(command, option, names):
                continue
            yield kind, [(end, end, f" {option}")]


def _matters(command: Anatomy, option: str, names: Names) -> bool:
    """Whether there is something in this world for an added option to act on."""
    if option in ONLY_WITH_EDITS:
        return names.edited
    if option == "--prune":
        return names.stale
    if command.verb == "merge" and option in ("--no-ff", "--no-commit"):
        return _could_fast_forward(command, names) == (option == "--no-ff")
    if command.verb_key == "branch":
        listing = not command.operands and all(each.word.text != "--show-current" for each in command.options)
        return listing and bool(names.remote_branches)
    return True


def _could_fast_forward(command: Anatomy, names: Names) -> bool:
    """Whether what is merged holds the current branch already; also where that is not known."""
    merged = [operand.text for operand in command.operands]
    return all(names.holds(each, "HEAD") for each in merged if names.commit(each) is not None)


def _of_operand(command: Anatomy, word: Word, names: Names) -> Iterator[tuple[Kind, list[Edit]]]:
    if not word.static:
        return
    for kind, text in _other_texts(command, word.text, names):
        yield kind, [word.replaced(text)]


def _other_texts(command: Anatomy, text: str, names: Names) -> Iterator[tuple[Kind, str]]:
    """What a name, revision, range, path or message may be mistaken for."""
    stash_number = command.verb == "stash" and text.isdigit()
    if stash_number:
        for number in _around(int(text)):
            yield Kind.OTHER_NUMBER, str(number)
        return
    path = text.removeprefix("./").rstrip("/")
    if path in names.files or path in names.folders:
        yield from _other_paths(path, names)
    pieces = [text] if command.verb in PATH_COMMANDS else _JOINTS.split(text)
    if len(pieces) == 3 and "." in pieces[1]:
        if pieces[1] == ".." or command.verb == "diff":
            yield Kind.SWAPPED_OPERANDS, pieces[2] + pieces[1] + pieces[0]
        yield Kind.NEIGHBOR_REVISION, pieces[0] + ("..." if pieces[1] == ".." else "..") + pieces[2]
        yield Kind.DROPPED_OPERAND, pieces[2] or pieces[0]
        yield Kind.DROPPED_OPERAND, pieces[0] + pieces[1] if pieces[2] else pieces[1] + pieces[0]
    for position in range(0, len(pieces), 2):
        others = [
            (kind, "".join([*pieces[:position], other, *pieces[position + 1 :]]))
            for kind, other in _other_revisions(pieces[position], names)
        ]
        same = names.meaning(text)
        different = [(kind, other) for kind, other in others if names.meaning(other) != same] or others
        yield from [each for each in different if each[0] is Kind.OTHER_NAME][:_OTHERS]
        yield from [each for each in different if each[0] is not Kind.OTHER_NAME]
        if position and pieces[position] in names.files:
            for kind, other in _other_paths(pieces[position], names):
                yield kind, "".join([*pieces[:position], other])
    if wrong := _one_letter_off(text):
        yield Kind.WRONG_NAME, wrong


def _other_revisions(text: str, names: Names) -> Iterator[tuple[Kind, str]]:
    match = _REVISION.fullmatch(text)
    if match is None:
        return
    base, log, suffix = match["base"], match["log"] or "", match["suffix"]
    prefix = next((each for each in ("refs/heads/", "refs/tags/", "heads/", "tags/") if base.startswith(each)), "")
    short = base.removeprefix(prefix)
    known = next((each for each in (names.branches, names.tags, names.remote_branches) if short in each), None)
    if known is not None:
        for other in _other_names(short, known):
            yield Kind.OTHER_NAME, prefix + other + log + suffix
    elif short in names.remotes:
        for other in [each for each in names.remotes if each != short]:
            yield Kind.OTHER_NAME, other
    if log:
        for number in _around(int(log[2:-1])):
            yield Kind.NEIGHBOR_REVISION, f"{base}@{{{number}}}{suffix}"
    if base in ("HEAD", "@", "ORIG_HEAD", "FETCH_HEAD") or log or (known is not None and suffix):
        for other in _neighbors(suffix):
            yield Kind.NEIGHBOR_REVISION, base + log + other


def _neighbors(suffix: str) -> list[str]:
    """`~2` → `~1`, `~3`; nothing → `~1`."""
    match = re.fullmatch(r"(.*)~(\d+)", suffix)
    if match is not None:
        number = int(match[2])
        return [f"{match[1]}~{number - 1}" if number > 1 else match[1], f"{match[1]}~{number + 1}"]
    return [suffix[:-1], f"{suffix}^"] if suffix else ["~1"]


def _other_names(name: str, known: dict[str, str]) -> list[str]:
    """Names of the same kind, starting behind this one in the alphabet; those that stand for the same thing only where
    there are no others."""
    ordered = sorted(known)
    start = ordered.index(name) + 1
    rotated = [*ordered[start:], *ordered[: start - 1]]
    return [other for other in rotated if known[other] != known[name]] or rotated


def _other_paths(path: str, names: Names) -> Iterator[tuple[Kind, str]]:
    known = names.files if path in names.files else sorted(names.folders)
    near = [other for other in known if other != path and other.rpartition("/")[0] == path.rpartition("/")[0]]
    far = [other for other in known if other != path and other not in near]
    for other in [*near, *far][:_OTHERS]:
        yield Kind.OTHER_NAME, other
    yield Kind.OTHER_SCOPE, "."
    if "/" in path:
        yield Kind.OTHER_SCOPE, path.rpartition("/")[0]


def _swapped(command: Anatomy) -> Iterator[tuple[Kind, list[Edit]]]:
    if command.verb not in ORDERED_OPERANDS:
        return
    values = [option.value for option in command.options if option.value and option.word.text in ("--onto", "-b", "-B")]
    words = sorted([*command.operands, *values], key=lambda word: word.start)
    for first, second in pairwise(words[:2] if command.verb == "push" else words):
        if first.static and second.static:
            yield Kind.SWAPPED_OPERANDS, [first.replaced(second.text), second.replaced(first.text)]


def _siblings(command: Anatomy) -> Iterator[tuple[Kind, list[Edit]]]:
    both = command.verb_key
    others = SIBLINGS.get(both, ())
    drops = [option.dropped for option in command.options if not option.everywhere]
    for other in others:
        yield Kind.SIBLING_VERB, [(command.verbs[0].start, command.verbs[-1].end, other), *drops]


def _swaps(command: Anatomy, option: str) -> list[str]:
    keys = [command.verb, ""]
    found = [OPTION_SWAPS[key][option] for key in keys if option in OPTION_SWAPS.get(key, {})]
    return found[0].split() if found else []


def _numbers(command: Anatomy, option: Option) -> Iterator[Edit]:
    """One more and one less, where an option counts."""
    text, value = option.word.text, option.value
    name, equals, attached = text.partition("=")
    if value is not None:
        if text in NUMBER_OPTIONS and value.text.isdigit():
            yield from (value.replaced(str(number)) for number in _around(int(value.text), least=1))
        elif command.verb in ("blame", "annotate") and (match := re.fullmatch(r"(\d+),(\+?)(\d+)", value.text)):
            last = match[3] if match[2] else str(int(match[3]) + 1)
            yield value.replaced(f"{int(match[1]) + 1},{match[2]}{last}")
    elif equals and name in NUMBER_OPTIONS and attached.isdigit():
        yield from (option.word.replaced(f"{name}={number}") for number in _around(int(attached), least=1))
    elif match := re.fullmatch(r"-(\d+)", text):
        yield from (option.word.replaced(f"-{number}") for number in _around(int(match[1]), least=1))


def _around(number: int, least: int = 0) -> list[int]:
    return [each for each in (number + 1, number - 1) if each >= least]


def _one_letter_off(text: str) -> str:
    """The text with the letter in the middle of its longest word replaced by the next one; empty without a word."""
    words = sorted(re.finditer(r"[A-Za-z]{3,}|[a-z]{2,}", text), key=lambda match: match.start() - match.end())
    if not words:
        return ""
    position = (words[0].start() + words[0].end()) // 2
    letter = text[position]
    other = {"z": "a", "Z": "A"}.get(letter) or chr(ord(letter) + 1)
    return text[:position] + other + text[position + 1 :]


def _is_code(name: str, text: str) -> bool:
    """Whether a text is a format or an order rather than a name."""
    return "%" in text or name in ("--format", "--pretty", "--sort", "--date", "--stat-width")


def _of_other_programs(text: str, line: CommandLine) -> Iterator[tuple[Kind, str]]:
    """Names among the words of `echo`, `rm`, `mv` and the like."""
    for command in line.commands:
        if command.git is not None or command.name not in ("echo", "printf", "rm", "mv", "cp", "touch", "mkdir", "cat"):
            continue
        for word, (start, end) in list(zip(command.words, command.spans, strict=True))[1:]:
            wrong = _one_letter_off(word) if "%" not in word and "$" not in word and not word.startswith("-") else ""
            if wrong:
                yield Kind.WRONG_NAME, edited(text, [Word(word, start, end, 0).replaced(wrong)])


def _of_steps(text: str, line: CommandLine) -> Iterator[tuple[Kind, str]]:
    """A command left out, or two in the other order; the last programs of a pipeline left out."""
    steps = [step for statement in line.statements for step in statement.steps]
    data = text.encode()
    if len(steps) > 1:
        for position, (start, end) in enumerate(steps):
            last = position == len(steps) - 1
            cut = (steps[position - 1][1], end) if last else (start, steps[position + 1][0])
            yield Kind.DROPPED_COMMAND, edited(text, [(*cut, "")])
    for first, second in pairwise(steps):
        if _verbs(text, first) & _verbs(text, second) & ANY_ORDER:
            continue
        swapped = [(*first, data[slice(*second)].decode()), (*second, data[slice(*first)].decode())]
        yield Kind.OTHER_ORDER, edited(text, swapped)
    for statement in line.statements:
        for first, second in pairwise(statement.stages):
            if data[first[1] : second[0]].strip() == b"|":
                yield Kind.DROPPED_COMMAND, edited(text, [(first[1], second[1], "")])


def _verbs(text: str, span: Span) -> set[str]:
    return {command.verb for command in anatomies(text) if span[0] <= command.start and command.end <= span[1]}


def distinct(mutants: Iterable[Mutant]) -> dict[Kind, int]:
    """How many there are of each kind."""
    counts = dict.fromkeys(Kind, 0)
    for mutant in mutants:
        counts[mutant.kind] += 1
    return counts
