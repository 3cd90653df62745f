"""Rules over the parsed command, given and derived."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distill.cases import Case, Rules, load_cases
from graders.rules import rules_of, violations

CASES = Path(__file__).resolve().parents[2] / "evals" / "cases"


def case(request: str, *accept: str, **more: Any) -> Case:
    return Case(
        id="a-case", request=request, repository="any", accept=accept, criteria="It is as it should be.", **more
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            case("Create branch 'topic' and switch to it.", "git switch -c topic", "git checkout -b topic"),
            Rules(uses=("checkout", "switch"), mentions=("topic",)),
        ),
        # What only some of the accepted commands mention is not asked for.
        (case("Undo the last commit, keep the changes.", "git reset --soft HEAD~1", "git reset --soft HEAD^"),
         Rules(uses=("reset",))),
        # Nor what the request does not name: another spelling could do.
        (case("Undo the last commit, keep the changes.", "git reset --soft HEAD~1"), Rules(uses=("reset",))),
        # An accepted command without git: any way is fine.
        (case("Ignore all *.log files.", "echo '*.log' >> .gitignore", "git status; echo '*.log' | tee .gitignore"),
         Rules(mentions=("*.log",))),
        # A question: of a pipeline, git's part.
        (case("How many commits are on main?", "git rev-list --count main", "git log --oneline main | wc -l"),
         Rules(uses=("log", "rev-list"), mentions=("main",))),
        # What the case leaves free is not demanded.
        (case("Commit a.txt with a message like 'Add'.", "git commit -m Add a.txt", free=("commit-message",)),
         Rules(uses=("commit",), mentions=("a.txt",))),
        (case("Commit a.txt with the message 'Add'.", "git commit -m Add a.txt"),
         Rules(uses=("commit",), mentions=("Add", "a.txt"))),
        # A branch's new name follows -m too, and is no message.
        (case("Rename 'old' to 'new'.", "git branch -m old new", free=("commit-message",)),
         Rules(uses=("branch",), mentions=("new", "old"))),
        (case("Any request.", "git status", rules=Rules(avoids=("push",))), Rules(avoids=("push",))),
    ],
    ids=range(9),
)  # fmt: skip
def test_rules_of_a_case(given: Case, expected: Rules) -> None:
    assert rules_of(given) == expected


@pytest.mark.parametrize(
    ("rules", "command", "broken"),
    [
        (Rules(uses=("switch", "checkout")), "git switch -c x", []),
        (Rules(uses=("switch", "checkout")), "cd a && git -C b checkout x", []),
        (Rules(uses=("switch", "checkout")), "git branch x",
         ["it should use git switch or git checkout, and uses git branch"]),
        (Rules(uses=("log",)), "echo git log", ["it should use git log, and uses no git command"]),
        (Rules(mentions=("topic",)), "git branch topic", []),
        (Rules(mentions=("topic",)), "git branch 'topic'", []),
        (Rules(mentions=("topic",)), "git push origin HEAD:topic", []),
        (Rules(mentions=("topic",)), "git diff main..topic", []),
        (Rules(mentions=("topic",)), "git branch topics", ["it should mention 'topic'"]),
        (Rules(mentions=("3",)), "git log -3", []),
        (Rules(mentions=("3",)), "git log -n3", []),
        (Rules(mentions=("3",)), "git log --max-count=3", []),
        (Rules(mentions=("3",)), "git log -30", ["it should mention '3'"]),
        (Rules(mentions=(".gitignore",)), "echo a > .gitignore", []),
        (Rules(avoids=("push",)), "git commit -m push", []),
        (Rules(avoids=("push",)), "git commit -m x && git push", ["it should not use 'push'"]),
        (Rules(avoids=("--force",)), "git push --force", ["it should not use '--force'"]),
        (Rules(avoids=("--force",)), "git push --force-with-lease", []),
        (Rules(avoids=("-f",)), "git clean -fd", ["it should not use '-f'"]),
        (Rules(avoids=("-f",)), "git checkout -- -f", []),
        (Rules(uses=("log",)), "git log | |", ["the command is not valid shell"]),
    ],
    ids=range(21),
)  # fmt: skip
def test_violations(rules: Rules, command: str, broken: list[str]) -> None:
    assert violations(rules, command) == broken


def test_every_accepted_command_keeps_the_rules_of_its_case() -> None:
    for each in load_cases([CASES]):
        for command in each.accept:
            assert violations(rules_of(each), command) == [], each.id
