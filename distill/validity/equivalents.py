"""Which near misses are none: known families, and a list of single ones with reasons.

In: a command line and the world that it is run in. Out: its canonical form, under which two lines are equal when by
git's manual they do the same; and the entries of `fixtures/equivalent-mutants.yaml`. `FAMILIES` says in words what
the canonical form knows. Two lines that do the same only because of what happens to be in a repository keep different
forms: better bait, or an entry in the list, is for those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from distill.cases import Case, Freedom, Identifier
from distill.sources import SourceError, read_yaml, validate
from distill.validity.anatomy import Anatomy, Names, Option, Word, anatomies, edited, quoted
from distill.validity.vocabulary import (
    ALIASES,
    DEFAULTS,
    EDITORS,
    EVERYTHING_TOO,
    HEAD_BY_DEFAULT,
    IMPLY_LISTING,
    MESSAGE_COMMANDS,
    PRESENTATION,
    READING,
    SYMMETRIC,
    SYNONYMS,
)
from graders.commands import parse

FAMILIES = (
    "two spellings of one option (`-m` and `--message`, `-fd` and `-f -d`, `-3` and `-n 3`), and another order of them",
    "an option that is git's default, or only makes it talk more or less (`reset --mixed`, `merge --ff`, `-q`), and "
    "`--no-edit`, since the editor of a case changes nothing",
    "two names of one revision (`HEAD^`, `@~` and `HEAD~1`; `stash@{1}` and `1`; `a..` and `a..HEAD`), and HEAD or "
    "`stash@{0}` where git takes it by default; for commands that only read, also the branch that is checked out",
    "`--` in front of a path that there is, and `.` in the top folder where git takes everything by default",
    "`clean -d` with a path, `add -A` or `add -u` with the names of tracked files, `commit --only` with a path",
    "`--list` beside an option that implies it, `config --get` and `--local` where they are the default, and `--add` "
    "or `--replace-all` of a setting that does not exist yet",
    "the text of a message that the request leaves open, and `--signoff` in one",
    "in a question: how the facts are laid out (`--oneline`, `--format`, `--name-status`), and their order where the "
    "request does not say one",
)
"""The known equivalences, for a reader. Mutants that are one of these are not made."""

_LOG_NUMBER = re.compile(r"-n?(\d+)")
_CLUSTER = re.compile(r"-[A-Za-z]{2,}")
_TILDES = re.compile(r"(?:~\d*|\^(?!\d|\{))+")


class Equivalents(BaseModel):
    """Commands that a case lets through, and why that is right."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    case: Identifier
    commands: tuple[str, ...] = Field(default=(), description="Hard mutants of this case, as they are generated.")
    damage: tuple[str, ...] = Field(default=(), description="Kinds of damage that are none for this request.")
    reason: str = Field(min_length=20, description="Why they fulfil the request as well as the accepted commands do.")

    @model_validator(mode="after")
    def _something(self) -> Equivalents:
        if not self.commands and not self.damage:
            raise ValueError("names neither commands nor damage")
        return self


class EquivalentsFile(BaseModel):
    """fixtures/equivalent-mutants.yaml"""

    model_config = ConfigDict(extra="forbid", frozen=True)
    equivalents: tuple[Equivalents, ...]


@dataclass(frozen=True)
class Reading:
    """Under which circumstances two lines are compared."""

    names: Names
    free: tuple[Freedom, ...] = ()
    question: bool = False
    ordered: bool = False

    @classmethod
    def of(cls, case: Case, names: Names) -> Reading:
        ordered = case.output is not None and case.output.ordered
        return cls(names, case.free, case.question, ordered)


def load_equivalents(path: Path) -> dict[tuple[str, str], str]:
    """(case id, command or kind of damage) → reason. Raises `SourceError`, also for what stands there twice."""
    document = read_yaml(path)
    reasons: dict[tuple[str, str], str] = {}
    problems: list[str] = []
    for index, entry in enumerate(validate(EquivalentsFile, document).equivalents):
        for field in ("commands", "damage"):
            for number, name in enumerate(getattr(entry, field)):
                if (entry.case, name) in reasons:
                    where = ("equivalents", index, field, number)
                    problems.append(document.problem(where, f"case {entry.case!r}: {name!r} stands here twice"))
                reasons[entry.case, name] = entry.reason
    if problems:
        raise SourceError(problems)
    return reasons


def canonical(text: str, reading: Reading) -> str:
    """The form of a command line that all lines share which do the same by git's rules."""
    for depth in range(_deepest(text), -1, -1):  # inner commands first: outer ones hold their text
        edits = []
        for command, level in _leveled(text):
            if level == depth:
                cut = any(each.name in ("head", "tail", "sed", "awk") for each in parse(text).commands)
                words = " ".join(map(_written, _command(command, reading, cut)))
                edits.append((command.start, command.end, words))
        text = edited(text, edits)
    line = parse(text)
    git = [(command.start, command.end) for command in anatomies(text)]
    edits = [
        (start, end, quoted(word))
        for command in line.commands
        for word, (start, end) in zip(command.words, command.spans, strict=True)
        if Word(word, start, end, start).static and not any(first <= start and end <= last for first, last in git)
    ]
    return re.sub(r"\s*(?:;|\n)\s*", "\n", edited(text, edits).strip())


def _leveled(text: str) -> list[tuple[Anatomy, int]]:
    """Every git command with the number of those that it stands in."""
    found = anatomies(text)
    return [(each, sum(_within(each, other) for other in found if other is not each)) for each in found]


def _deepest(text: str) -> int:
    return max((level for _, level in _leveled(text)), default=-1)


def _written(text: str) -> str:
    """A word of a canonical form: what the shell computes stands between double quotes, whether it did so or not."""
    return f'"{text}"' if "$" in text or "`" in text else quoted(text)


def _within(inner: Anatomy, outer: Anatomy) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _command(command: Anatomy, reading: Reading, cut: bool) -> list[str]:
    verbs = [word.text for word in command.verbs]
    verbs[0] = ALIASES.get(verbs[0], verbs[0])
    if verbs == ["stash"]:
        verbs = ["stash", "push"]
    verb = verbs[0]
    options = _options(command, verb, reading)
    names = reading.names
    operands = [word.text for word in command.operands]
    paths = [word.text for word in command.paths]
    if not command.dashes and verb not in ("commit", "mv"):
        paths = [each for each in operands if _is_path(each, names)]
        operands = [each for each in operands if not _is_path(each, names)]
    if verb in ("add", "commit", "rm", "restore", "clean"):
        paths, operands = [*operands, *paths], []
    paths = [path.removeprefix("./").rstrip("/") if path not in (".", "./") else "." for path in paths]
    operands = [_revision(operand, verb, reading) for operand in operands]
    if verb == "grep":
        operands = [*(each[1] for each in options if each[0] == "-e" and len(each) > 1), *operands]
        options = {each for each in options if each[0] != "-e"}
    operands = _without_defaults(verbs, operands, options, reading)
    if verb == "add" and paths == ["."]:
        paths = []
        options |= {("-A",)} if not options & {("-u",), ("-N",), ("-n",)} else set()
    options = _without_consequence(verbs, options, operands, paths, reading, cut)
    if paths == ["."] and verb in ("clean", "log", "diff", "reset"):
        paths = []
    everywhere = [part for each in command.options if each.everywhere for part in _global(each)]
    flat = [part for option in sorted(options) for part in option]
    dashes = paths or (command.dashes is not None and any(_is_path(operand, names) for operand in operands))
    return ["git", *everywhere, *verbs, *flat, *operands, *(["--", *paths] if dashes else [])]


def _global(option: Option) -> list[str]:
    value = option.value.text if option.value is not None else ""
    if option.word.text == "--no-pager" or (option.word.text == "-C" and value == "."):
        return []
    if option.word.text == "-c" and value.startswith(EDITORS):
        return []
    return [option.word.text, *([value] if value else [])]


def _is_path(text: str, names: Names) -> bool:
    clean = text.removeprefix("./").rstrip("/")
    return clean in names.files or clean in names.folders or text == "."


def _options(command: Anatomy, verb: str, reading: Reading) -> set[tuple[str, ...]]:
    synonyms = {**SYNONYMS.get("", {}), **SYNONYMS.get(verb, {})}
    options: set[tuple[str, ...]] = set()
    for option in command.options:
        if option.everywhere:
            continue
        name, equals, attached = option.word.text.partition("=")
        value = option.value.text if option.value is not None else attached if equals else None
        if verb in ("log", "rev-list", "show", "shortlog", "reflog") and (match := _LOG_NUMBER.fullmatch(name)):
            name, value = "-n", match[1]
        names = [f"-{letter}" for letter in name[1:]] if _CLUSTER.fullmatch(name) and not equals else [name]
        for each in names[:-1]:
            options.add((synonyms.get(each, each),))
        last = synonyms.get(names[-1], names[-1])
        if value is not None and re.fullmatch(r"[\w@~^/.-]*", value) and last not in ("-m", "-b", "-c"):
            value = _revision(value, verb, reading)
        options.add((last,) if value is None else (last, value))
    return options


def _revision(text: str, verb: str, reading: Reading) -> str:
    """One name for a revision that has several."""
    if verb == "stash" and text.isdigit():
        return f"stash@{{{text}}}"
    older, dots, newer = text.partition("...")
    if dots and reading.names.holds(newer, older):
        text = f"{older}..{newer}"
    pieces = re.split(r"(\.{2,3}|:)", text)
    text = "".join(piece if index % 2 else _one_revision(piece, verb, reading) for index, piece in enumerate(pieces))
    if re.fullmatch(r"HEAD\.\.\.?\S+|\S+\.\.\.?HEAD", text):
        text = re.sub(r"^HEAD(?=\.\.)|(?<=\.\.)HEAD$", "", text)
    return text


def _one_revision(text: str, verb: str, reading: Reading) -> str:
    match = re.fullmatch(r"(@|[\w/.-]+(?:@\{\d+\})?)((?:~\d*|\^)*)", text)
    if match is None:
        return text
    base, suffix = match.groups()
    steps = sum(int(each[1:] or 1) if each[0] == "~" else 1 for each in re.findall(r"~\d*|\^", suffix))
    base = "HEAD" if base == "@" else base
    if verb in READING and (base == reading.names.current or base == f"refs/heads/{reading.names.current}"):
        base = "HEAD"
    return f"{base}~{steps}" if steps else base


def _without_defaults(
    verbs: list[str], operands: list[str], options: set[tuple[str, ...]], reading: Reading
) -> list[str]:
    """The operands without what git takes by default."""
    verb = verbs[0]
    least = 1 if verb in ("branch", "tag", "switch", "checkout", "merge-base", "bisect", "notes", "worktree") else 0
    if verb == "worktree":
        least = 1
    reading_tags = verb in ("branch", "tag") and any(each[0] in IMPLY_LISTING for each in options)
    if verb in HEAD_BY_DEFAULT and not reading_tags:
        while len(operands) > least and operands[-1] == "HEAD":
            operands = operands[:-1]
    if verb == "stash" and operands == ["stash@{0}"] and verbs[1] in ("pop", "apply", "drop", "show"):
        return []
    names = reading.names
    tracking = f"branch.{names.current}.remote".lower() in names.settings
    if verb in EVERYTHING_TOO and tracking and not {each[0] for each in options} & {"-d", "--tags", "-t"}:
        if operands in (["origin", names.current], ["origin", "HEAD"]) and verb in ("push", "pull"):
            return []
        if operands == ["origin"]:
            return []
    if verb == "bisect" and operands == ["HEAD"]:
        return []
    if verb == "diff" and len(operands) == 1 and re.fullmatch(r"[^.]\S*[^.]\.\.[^.]\S*", operands[0]):
        operands = operands[0].split("..", 1)
    words = {each[0] for each in options}
    if (verb == "diff" and words & SYMMETRIC) or (verb == "diff-tree" and not words & {"-p", "--patch"}):
        operands = sorted(operands)
    return operands


def _without_consequence(
    verbs: list[str],
    options: set[tuple[str, ...]],
    operands: list[str],
    paths: list[str],
    reading: Reading,
    cut: bool,
) -> set[tuple[str, ...]]:
    """The options without those that change nothing here."""
    verb = verbs[0]
    idle = set(DEFAULTS.get(verb, "").split())
    words = {option[0] for option in options}
    names = reading.names
    if verb == "add" and paths:
        idle.add("-A")
        if all(path in names.tracked for path in paths):
            idle.add("-u")
    if verb == "clean" and paths:
        idle.add("-d")
    if verb == "commit":
        idle |= {"--only", "-o"} if paths or "--amend" in words else set()
        if "--amend" in words and "-m" not in words:
            options = {each for each in options if each not in (("-C", "HEAD"), ("-c", "HEAD"))}
    if words & IMPLY_LISTING and verb in ("branch", "tag"):
        idle |= {"-l", "--list"}
    if verb == "tag" and "-m" in words:
        idle.add("-a")
    if verb == "restore" and "-S" not in words:
        idle.add("-W")
    if verb == "switch" and ("-c" in words or "--orphan" in words) and not operands:
        idle.add("--discard-changes")
    if verb in ("cherry-pick", "revert") and "-n" in words:
        idle.add("-s")
    if verb == "config":
        idle |= {"--get"} if len(operands) == 1 else {"--local", "--replace-all"}
        if operands and operands[0].lower() not in names.settings:
            idle.add("--add")
    if ("-n", "1") in options:
        idle.add("--reverse")
    if verb == "fetch" and len(names.remotes) == 1:
        idle.add("--all")
    if verb == "init":
        options = {each for each in options if each != ("-b", "main")}
    if verb == "clone" and "--mirror" in words:
        idle |= {"--bare", "--no-checkout"}
    if verb == "diff" and words & {"--name-only", "--stat", "--check"}:
        idle.add("-R")
    if reading.question:
        idle |= PRESENTATION
        idle |= {"--reverse"} if not reading.ordered and not cut else set()
    freedom = MESSAGE_COMMANDS.get(verb)
    if freedom in reading.free:
        idle.add("-s")
    if freedom in reading.free and verb not in ("revert", "cherry-pick"):  # of these, -m is another option
        bare = verb in ("stash", "merge")
        options = {each if each[0] != "-m" else ("-m", "(free)") for each in options if each[0] != "-m" or not bare}
    return {option for option in options if option[0] not in idle}
