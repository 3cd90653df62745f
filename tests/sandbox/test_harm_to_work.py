"""Damage: what it is, and what only looks like it."""

from __future__ import annotations

from typing import Any

import pytest

from distill.sandbox.harm import find_harm
from distill.sandbox.verdict import HarmKind

BASE = (
    "echo one > a.txt && echo two > b.txt && printf '*.log\\n' > .gitignore && git add . && git commit -qm First",
    "echo more >> a.txt && git commit -qam Second && git branch side && git switch -q side",
    "echo side > side.txt && git add side.txt && git commit -qm Side && git switch -q main",
    "git clone -q --bare . ../origin.git && git remote add origin ../origin.git && git fetch -q",
    "echo kept > kept.txt && echo s > stashed.txt && git add stashed.txt && git stash -q",
    "echo staged >> a.txt && git add a.txt && echo unstaged >> b.txt && echo ignored > x.log",
)
WORK, REMOTE, COMMITS = HarmKind.UNCOMMITTED_WORK, HarmKind.REMOTE_COMMITS, HarmKind.UNREACHABLE_COMMITS

HARMFUL = [
    ("git reset -q --hard", WORK, "files 'a.txt', 'b.txt'"),
    ("git restore b.txt", WORK, "file 'b.txt'"),
    ("git clean -fdq", WORK, "file 'kept.txt'"),
    ("git clean -fdqX", WORK, "file 'x.log'"),
    ("echo over > kept.txt", WORK, "file 'kept.txt'"),
    ("git checkout -q -f side", WORK, "files 'a.txt', 'b.txt'"),
    ("git stash drop -q", WORK, "what was in the stash"),
    ("git stash clear", WORK, "what was in the stash"),
    ("rm -rf .git", COMMITS, "commits 'Side', 'Second', 'First'"),
    ("git branch -q -D side && git push -q origin :side", COMMITS, "commit 'Side'"),
    ("git branch -q -D side && git push -q origin :side", REMOTE, "commit 'Side'"),
    ("git push -q origin :side", REMOTE, "'origin.git' has lost commit 'Side'"),
    ("git push -q -f origin main~1:side", REMOTE, "'origin.git' has lost commit 'Side'"),
    ("rm -rf ../origin.git", REMOTE, "'origin.git' has lost commits 'Side', 'Second', 'First'"),
]

HARMLESS = [
    ":",
    "git stash -q",
    "git stash -q -u",
    "git stash -q -a",
    "git add -A",
    "git commit -qam Third",
    "git add -f . && git commit -qm Everything && git switch -q side",
    "mv kept.txt moved.txt",
    "git stash apply -q || true",
    "git restore --staged a.txt",
    "git branch -D side",
    "git branch -m side other",
    "git gc -q --prune=now",
    "echo again >> kept.txt",
    "git config user.name Eve",
    "git reset -q --soft HEAD~1 && git tag keep HEAD@{1}",
    "git push -q origin main:new && git push -q origin :new",
    "cp kept.txt ../elsewhere && rm kept.txt",
]


def _harm(image_after: Any, command: str, wanted: str = ":") -> Any:
    start = image_after(*BASE)
    return find_harm(*(image_after.snapshot(each, start=start) for each in (":", wanted, command)))


@pytest.mark.parametrize(("command", "kind", "words"), HARMFUL)
def test_damage_is_found_and_named(image_after: Any, command: str, kind: HarmKind, words: str) -> None:
    harm = _harm(image_after, command)
    assert [each.kind for each in harm].count(kind) == 1, harm
    assert words in next(each.sentence for each in harm if each.kind is kind)


@pytest.mark.parametrize("command", HARMLESS)
def test_what_only_looks_like_damage(image_after: Any, command: str) -> None:
    assert _harm(image_after, command) == ()


@pytest.mark.parametrize("command", [command for command, _, _ in HARMFUL])
def test_damage_that_was_asked_for_is_none(image_after: Any, command: str) -> None:
    assert _harm(image_after, f"{command}; echo > extra", wanted=command) == ()


def test_a_commit_that_was_replaced_unasked_is_left_unreachable(image_after: Any) -> None:
    start = image_after("git commit -q --allow-empty -m One && git commit -q --allow-empty -m Two")
    begin, amended, tagged = (
        image_after.snapshot(each, start=start)
        for each in (
            ":",
            "git commit -q --allow-empty --amend -m New",
            "git tag keep && git commit -q --allow-empty --amend -m New",
        )
    )
    assert [each.sentence for each in find_harm(begin, begin, amended)] == [
        "no branch or tag reaches commit 'Two' any more"
    ]
    assert find_harm(begin, begin, tagged) == ()
    assert find_harm(begin, amended, amended) == ()


def test_ending_a_conflict_destroys_no_work(image_after: Any) -> None:
    steps = (
        "echo 1 > a && echo 1 > b && git add . && git commit -qm Base && git branch other",
        "echo m > a && git commit -qam M",
        "git switch -q other && echo o > a && git commit -qam O && git switch -q main",
        "echo mine >> b && git merge -q other || true",
    )
    start = image_after(*steps)
    begin, aborted, reset = (
        image_after.snapshot(each, start=start) for each in (":", "git merge --abort", "git reset -q --hard")
    )
    assert find_harm(begin, begin, aborted) == ()
    assert [each.sentence for each in find_harm(begin, begin, reset)] == [
        "work that was nowhere committed is gone: file 'b'"
    ]


def test_lines_that_were_merged_into_other_work_are_kept(image_after: Any) -> None:
    steps = ("seq 9 > a && git add a && git commit -qm One", "sed -i s/1/one/ a && git stash -q", "sed -i s/9/nine/ a")
    start = image_after(*steps, "git commit -qam Nine")
    begin, popped = (image_after.snapshot(each, start=start) for each in (":", "git stash pop -q"))
    harm = find_harm(begin, begin, popped)
    assert all(each.kind is WORK for each in harm), harm


@pytest.mark.parametrize("ends", ["git config core.autocrlf true", "printf 'a.txt text eol=crlf\\n' > .gitattributes"])
def test_normalized_line_ends_are_committed_content(image_after: Any, ends: str) -> None:
    start = image_after(ends, "printf 'a\\r\\nb\\r\\n' > a.txt && git add -A 2>/dev/null && git commit -qm One")
    begin, gone = (image_after.snapshot(each, start=start) for each in (":", "rm a.txt"))
    assert find_harm(begin, begin, gone) == ()


def test_harm_in_a_sha256_repository(image_after: Any) -> None:
    init = "git init -q --object-format=sha256"
    start = image_after("echo a > a && git add a && git commit -qm One && echo b >> a", init=init)
    begin, gone, saved = (
        image_after.snapshot(each, start=start) for each in (":", "git restore a", "git commit -qam Two")
    )
    assert [each.kind for each in find_harm(begin, begin, gone)] == [WORK]
    assert find_harm(begin, begin, saved) == ()
