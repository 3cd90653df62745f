"""Criteria for the command itself, checked on its parse: no sandbox, no judge, no money.

In: a case's `Rules`, or the case they are derived from, and a command. Out: a sentence for each rule that does not
hold. They are a quick look, blind to what a command does; execution is what decides.

Derived rules ask for what every accepted command agrees on and the request says:

    uses      the git subcommands that any accepted command uses; nothing, if one of them does without git
    mentions  the operands that all accepted commands share and that the request names. Values that the case leaves
              `free` are not in it, and nothing that a shell would compute
    avoids    nothing: what must not happen shows in what is left behind

Cases that are questions get the same rules. Of a pipeline, git's part decides `uses`; every part counts for `mentions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from distill.cases import Case, Freedom, Rules
from graders.commands import CommandLine, SimpleCommand, parse

_FREE_MESSAGES: dict[Freedom, frozenset[str]] = {
    "commit-message": frozenset(["commit", "merge", "revert", "cherry-pick", "rebase"]),
    "tag-message": frozenset(["tag"]),
    "stash-message": frozenset(["stash"]),
    "note-message": frozenset(["notes"]),
}
_MESSAGE_OPTION = re.compile(r"-[A-Za-z]*m|--message|save")
_JOINTS = re.compile(r"=|:|\.\.\.?|,")


def rules_of(case: Case) -> Rules:
    """The case's own rules, or those derived from its accepted commands."""
    if case.rules is not None:
        return case.rules
    accepted = [parse(command) for command in case.accept]
    uses = [set(line.subcommands) for line in accepted]
    shared = set.intersection(*(_operands(line, case.free) for line in accepted))
    return Rules(
        uses=tuple(sorted(set.union(*uses))) if all(uses) else (),
        mentions=tuple(sorted(word for word in shared if _named(word, case.request))),
    )


def violations(rules: Rules, command: str) -> list[str]:
    """One sentence for each rule that the command breaks; empty when all hold."""
    line = parse(command)
    if not line.valid:
        return ["the command is not valid shell"]
    found: list[str] = []
    used = sorted(set(line.subcommands))
    if rules.uses and not set(rules.uses) & set(used):
        wanted = " or ".join(f"git {name}" for name in rules.uses)
        found.append(
            f"it should use {wanted}, and uses {', '.join(f'git {name}' for name in used) or 'no git command'}"
        )
    values = _values(line)
    found += [f"it should mention {word!r}" for word in rules.mentions if word not in values]
    present = set(used).union(*(_option_names(command) for command in line.commands))
    found += [f"it should not use {word!r}" for word in rules.avoids if word in present]
    return found


def _values(line: CommandLine) -> set[str]:
    """Every word, and what it is joined from: `origin/x:main` mentions `main`, `-n3` mentions `3`."""
    words = [word for command in line.commands for word in command.arguments] + list(line.targets)
    values = set(words)
    for word in words:
        values.update(_JOINTS.split(word))
        attached = re.fullmatch(r"-[A-Za-z]?([^-].*)", word, re.DOTALL)
        if attached:
            values.add(attached[1])
    return values


def _option_names(command: SimpleCommand) -> Iterable[str]:
    """`--force-with-lease=x` is `--force-with-lease`; `-fd` is itself, `-f` and `-d`."""
    for option in command.options:
        yield option.split("=", 1)[0]
        if re.fullmatch(r"-[A-Za-z]{2,4}", option):
            yield from (f"-{letter}" for letter in option[1:])


def _operands(line: CommandLine, free: Iterable[Freedom]) -> set[str]:
    operands = {word for command in line.commands for word in command.operands} | set(line.targets)
    for freedom in free:
        for command in line.commands:
            if command.subcommand in _FREE_MESSAGES[freedom]:
                pairs = zip(command.arguments, command.arguments[1:], strict=False)
                operands -= {value for option, value in pairs if _MESSAGE_OPTION.fullmatch(option)}
    return {word for word in operands if not re.search(r"[$`]", word)}


def _named(word: str, request: str) -> bool:
    """Whether the request holds the word, with no letter, digit or dash attached to it."""
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", request) is not None
