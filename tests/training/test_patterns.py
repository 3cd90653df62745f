"""Patterns: which command is which operation, and what a pattern file may say."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from distill.cases import load_cases
from distill.sources import SourceError
from distill.training.patterns import FEWEST_REQUESTS, Pattern, Patterns, load_patterns, slots_of

PROJECT = Path(__file__).parents[2]
TRAINING = PROJECT / "fixtures" / "training"

MATCHES = [
    ("git switch -c feature/x", [("switch-create", {"new_branch": "feature/x"})]),
    ("git  checkout  -b 'feature/x'", [("switch-create", {"new_branch": "feature/x"})]),
    ("git reset --soft HEAD~3", [("reset-soft", {"count": "3"})]),
    ("git reset --soft HEAD~1", [("reset-soft-one", {})]),
    ("git reset --soft v1.0", [("reset-soft-to", {"rev": "v1.0"})]),
    ('git commit -m "Fix it, at last"', [("commit-message", {"commit_message": "Fix it, at last"})]),
    ("git stash drop stash@{2}", [("stash-drop-entry", {"number": "2"})]),
    ("git config --global alias.st status", [("config-alias-global", {"alias": "st", "value": "status"})]),
    ("git config user.name 'Ann Lee'", [("config-user-name", {"person": "Ann Lee"})]),
    ("git show v1:docs/a.md", [("show-file-at", {"rev": "v1", "file": "docs/a.md"})]),
    ("echo '*.log' >> .gitignore", [("ignore-pattern", {"ignore": "*.log"})]),
    (
        "git add a.txt && git stash",
        [("add-file", {"file": "a.txt"}), ("stash", {})],
    ),
    ("git stash drop\ngit switch main", [("stash-drop", {}), ("switch", {"branch": "main"})]),
]
UNKNOWN = [
    "echo '*.log' > .gitignore",
    "git ls-files | sort",
    "git switch -c feature/x || true",
    "git frobnicate",
    "git add a.txt; git commit -m x",
    "git 'unfinished",
    "",
]


@pytest.mark.parametrize(("command", "steps"), MATCHES)
def test_a_command_is_read_as_its_pattern(
    command: str, steps: list[tuple[str, dict[str, str]]], patterns: Patterns
) -> None:
    found = patterns.match(command)

    assert found is not None
    assert [(step.pattern.family, dict(step.values)) for step in found] == steps


def test_a_tag_is_not_called_a_branch(patterns: Patterns) -> None:
    branch = patterns.match("git push origin v1", tags=["v2"])
    tag = patterns.match("git push origin v1", tags=["v1"])
    made = patterns.parts("git tag v1 && git push origin v1")

    assert branch is not None and [step.pattern.family for step in branch] == ["push-branch"]
    assert tag is not None and [step.pattern.family for step in tag] == ["push-tag"]
    assert made is not None and [step.pattern.family for step in made] == ["tag-create", "push-tag"]


def test_what_one_pattern_says_is_one_step_unless_its_parts_are_asked_for(patterns: Patterns) -> None:
    command = "git tag v1 v0 && git tag -d v0"

    assert [step.pattern.family for step in patterns.match(command) or ()] == ["tag-rename"]
    assert [step.pattern.family for step in patterns.parts(command) or ()] == ["tag-create-at", "tag-delete"]


def test_a_branch_with_a_slash_is_not_called_a_remotes(patterns: Patterns) -> None:
    def families(*branches: str) -> list[str]:
        return [step.pattern.family for step in patterns.match("git merge feature/login", branches=branches) or ()]

    assert families() == ["merge-remote"]
    assert families("feature/login") == ["merge"]


@pytest.mark.parametrize("command", UNKNOWN)
def test_what_no_pattern_knows_is_not_guessed(command: str, patterns: Patterns) -> None:
    assert patterns.match(command) is None


def test_there_are_many_operations_and_many_words_for_each(patterns: Patterns) -> None:
    assert len(patterns.families) >= 90
    assert all(len(pattern.requests) >= FEWEST_REQUESTS for pattern in patterns.all)


def test_no_two_operations_are_asked_for_in_the_same_words(patterns: Patterns) -> None:
    owners: dict[str, str] = {}
    shared = []
    for pattern in patterns.all:
        for request in pattern.requests:
            said = request.casefold().rstrip(".?! ")
            other = owners.setdefault(said, pattern.family)
            if other != pattern.family:
                shared.append((request, other, pattern.family))

    assert shared == []


def test_every_pattern_knows_its_own_commands(patterns: Patterns) -> None:
    """With plain values in the slots; so no pattern is hidden by a more exact one."""
    values = {
        "count": "3",
        "number": "3",
        "email": "a@b.example",
        "person": "Ann Lee",
        "key": "core.pager",
        "path": "a.txt",
        "tag": "v9",
    }
    hidden = []
    for pattern in patterns.all:
        for command in pattern.commands:
            filled = command
            for index, slot in enumerate(sorted(pattern.slots, key=len, reverse=True)):
                filled = filled.replace(f"${slot}", values.get(slot.rstrip("0123456789"), f"value{index}"))
            steps = patterns.match(filled, tags=["v9"])
            if steps is None or [step.pattern.family for step in steps] != [pattern.family]:
                hidden.append((pattern.family, filled, steps and steps[0].pattern.family))

    assert hidden == []


def test_every_training_case_is_an_operation_with_words_for_it(patterns: Patterns) -> None:
    unknown = [case.id for case in load_cases([TRAINING]) if patterns.match(case.accept[0]) is None]

    assert unknown == []


SIX = ["a $branch", "b $branch", "c $branch", "d $branch", "e $branch", "f $branch"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"requests": [*SIX[:5], "without a name"]}, r"lacks \$branch"),
        ({"requests": [*SIX[:5], "$branch at $rev"]}, r"has \$rev too much"),
        ({"requests": [*SIX[:5], SIX[0]]}, "twice"),
        ({"requests": SIX[:5]}, "at least 6"),
        ({"commands": ["git switch $place"]}, "no known kind"),
        ({"commands": ["git switch $branch", "git switch $rev"]}, "other slots"),
        ({"commands": ["git switch '$branch"]}, "no valid shell"),
        ({"requests": [*SIX[:5], "$branch for $5"]}, "begins no slot"),
    ],
)
def test_a_mistake_in_a_pattern_is_named(change: dict[str, object], message: str) -> None:
    data = {"family": "switch", "commands": ["git switch $branch"], "requests": SIX}
    Pattern.model_validate(data)

    with pytest.raises(ValidationError, match=message):
        Pattern.model_validate({**data, **change})


def test_a_family_stands_in_one_place(tmp_path: Path) -> None:
    text = "group: {0}\npatterns:\n  - family: switch\n    commands: [git switch $branch]\n    requests: {1}\n"
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(text.format(name, SIX).replace("'", ""))

    with pytest.raises(SourceError, match=r"b\.yaml:3: the family 'switch' stands in .*a\.yaml:3 too"):
        load_patterns(tmp_path)


def test_slots_are_read_with_and_without_braces() -> None:
    assert slots_of("stash@{$number} to ${branch}s and $file2") == ("number", "branch", "file2")
