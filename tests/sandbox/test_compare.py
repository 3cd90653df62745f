"""Differences in words: a start, what was wanted, what was done instead, and the sentence that says so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.sandbox.compare import compare, differing_keys, release
from distill.sandbox.sentences import reason
from distill.sandbox.wording import quote

BASE = (
    "echo one > a.txt && echo two > b.txt && git add . && git commit -qm 'First'",
    "echo more >> a.txt && git commit -qam 'Fix parser'",
    "git branch old HEAD~1",
    "git clone -q --bare . ../origin.git && git remote add origin ../origin.git && git fetch -q",
    "git tag v0 HEAD~1 && git tag -a v1 -m One && git branch -q -u origin/main",
    "echo s >> a.txt && git stash -q -m 'half done'",
    "echo dirty >> b.txt && echo new > new.txt",
)

SENTENCES = [
    ("git switch -c x", "git branch x", "branch 'x' was created, but HEAD is still on 'main'"),
    ("git branch x", ":", "branch 'x' is missing"),
    ("git branch x", "git branch y", "branch 'x' is missing; branch 'y' was created, but should not be"),
    ("git branch -D old", ":", "branch 'old' still exists"),
    ("git branch x", "git branch x; git branch -D old", "branch 'old' was deleted"),
    ("git switch old", ":", "HEAD is still on 'main', wanted branch 'old'; file 'a.txt' was not changed"),
    ("git switch -d main", ":", "HEAD is still on 'main', wanted commit 'Fix parser' without a branch"),
    (
        "git branch -f old main",
        ":",
        "commit 'Fix parser' is missing from branch 'old'",
    ),
    ("git reset -q --soft HEAD~1", ":", "commit 'Fix parser' is still on branch 'main', but should not be"),
    (":", "git commit -q --allow-empty -m Odd", "commit 'Odd' is on branch 'main', but should not be"),
    (
        "git commit -q --amend -m Better",
        ":",
        "branch 'main' still has commit 'Fix parser', wanted 'Better' in its place",
    ),
    (
        "git commit -q --amend -m Better",
        "git commit -q --amend -m Worse",
        "the last commit on branch 'main' says 'Worse', wanted 'Better'",
    ),
    (
        "git commit -q --allow-empty -m C --author='Eve <e@e>'",
        "git commit -q --allow-empty -m C",
        "commit 'C' on branch 'main' has author 'Ada Example <ada@example.com>', wanted 'Eve <e@e>'",
    ),
    (
        "git commit -q -m C b.txt",
        "git add new.txt b.txt; git commit -q -m C",
        "commit 'C' on branch 'main' has other content than wanted in 'new.txt'; "
        "file 'new.txt' is tracked but should not be",
    ),
    ("git add b.txt", ":", "file 'b.txt' should be staged but is not"),
    (":", "git add b.txt", "file 'b.txt' is staged but should not be"),
    ("git rm -q --cached a.txt", ":", "file 'a.txt' should be removed from the index but is not"),
    ("git rm -q a.txt", "rm a.txt", "file 'a.txt' should be removed from the index but is not"),
    (":", "git rm -q --cached a.txt", "file 'a.txt' was removed from the index"),
    ("git restore b.txt", ":", "file 'b.txt' was not changed"),
    (":", "echo x >> a.txt", "file 'a.txt' was changed, but should not be"),
    (":", "rm new.txt", "file 'new.txt' was deleted"),
    ("rm new.txt", ":", "file 'new.txt' still exists"),
    ("echo x > ../out", ":", "file '../out' is missing"),
    (":", "echo x > ~/out", "file '~/out' was created, but should not be"),
    ("chmod +x a.txt", ":", "file 'a.txt' is not executable, wanted otherwise"),
    ("git update-index --skip-worktree a.txt", ":", "file 'a.txt' is marked nothing, wanted skip-worktree"),
    ("git stash apply", ":", "file 'a.txt' was not changed"),
    ("git stash drop", ":", "stash 'On main: half done' is still there"),
    (":", "git stash drop", "stash 'On main: half done' was dropped"),
    ("git stash -m mine", ":", "nothing was stashed; file 'b.txt' was not changed"),
    ("git stash -m mine", "git stash -m yours", "the stash is called 'On main: yours', wanted 'On main: mine'"),
    ("git tag -a v2 -m Two", "git tag v2", "tag 'v2' is lightweight, wanted annotated"),
    ("git tag -a v2 -m Two", "git tag -a v2 -m Too", "tag 'v2' says 'Too', wanted 'Two'"),
    ("git tag -f v0 main", ":", "tag 'v0' is still on commit 'First', wanted 'Fix parser'"),
    ("git tag -d v0", "git tag -d v0 v1", "tag 'v1' was deleted"),
    ("git notes add -m Hello", ":", "the note on commit 'Fix parser' is missing"),
    ("git notes add -m Hello", "git notes add -m Bye", "the note on commit 'Fix parser' says 'Bye', wanted 'Hello'"),
    ("git config user.name Eve", "git config user.name Bob", "config user.name is 'Bob', wanted 'Eve'"),
    ("git config user.name Eve", ":", "config user.name is not set, wanted 'Eve'"),
    (
        "git config --global core.abbrev 9",
        "git config core.abbrev 9",
        "config core.abbrev in the global config is not set; it was set in the repository instead; "
        "config core.abbrev is now set to '9', but should not be set",
    ),
    ("git remote add up ../up.git", ":", "remote 'up' is missing"),
    ("git remote set-url origin ../x", ":", "remote 'origin' points to '../origin.git', wanted '../x'"),
    ("git branch --unset-upstream", ":", "the upstream of branch 'main' is 'origin/main', wanted not set"),
    ("git branch -q -u origin/main old", ":", "the upstream of branch 'old' is not set, wanted 'origin/main'"),
    (
        "git push -q origin :old",
        "git branch -q -D -r origin/old",
        "remote 'origin' still has branch 'old'",
    ),
    ("git push -q origin main:new", ":", "branch 'new' on remote 'origin' is missing"),
    ("git worktree add -q ../wt old", ":", "worktree '../wt' is missing"),
    (":", "git worktree add -q ../wt old", "worktree '../wt' was added, but should not be"),
    (":", "rm -rf .git", "'repo' is no longer a git repository"),
    (":", "git init -q sub", "repository 'sub' was created, but should not be"),
    ("git submodule --quiet add ../origin.git lib", ":", "submodule 'lib' is not initialized, wanted otherwise"),
    ("git bisect start", ":", "the bisect was not begun, but should be in progress"),
    (":", "git bisect start", "a bisect was left in progress"),
    (
        "git sparse-checkout set x",
        "git sparse-checkout set y",
        "the sparse checkout lacks '/x/' and has '/y/' too much",
    ),
    (":", "mkdir -p .git/info; echo '*.o' > .git/info/exclude", "info/exclude was added, but should not be"),
    (":", "echo x > .git/hooks/pre-push", "hook 'pre-push' was added, but should not be"),
    (":", "echo nonsense > .git/refs/heads/old", "branch 'old' is broken"),
    (":", "echo nonsense > .git/HEAD", "HEAD is broken"),
]


def _snapshots(image_after: Any, *commands: str, base: tuple[str, ...] = BASE) -> list[Any]:
    start = image_after(*base)
    return [image_after.snapshot(f"{{ {command}; }} || true", start=start) for command in (":", *commands)]


@pytest.mark.parametrize(("wanted", "found", "sentence"), SENTENCES)
def test_sentences(image_after: Any, wanted: str, found: str, sentence: str) -> None:
    differences = compare(*_snapshots(image_after, wanted, found))
    said = [each.sentence for each in differences]
    for part in sentence.split("; "):
        assert any(part in each for each in said) or sentence in reason(differences), said


def test_a_conflict_in_words(image_after: Any) -> None:
    base = (
        "echo 1 > a && git add a && git commit -qm Base && git switch -q -c other && echo o > a && git commit -qam O",
        "git switch -q main && echo m > a && git commit -qam M",
    )
    start, wanted, found = _snapshots(image_after, "git merge -q -X ours other", "git merge -q other", base=base)
    assert reason(compare(start, wanted, found)).startswith("commits 'Merge branch 'other'', 'O' are missing")
    said = [each.sentence for each in compare(start, wanted, found)]
    assert "a merge was left in progress" in said
    assert "file 'a' is in conflict" in said
    said = [each.sentence for each in compare(start, found, wanted)]
    assert "the merge was not begun, but should be in progress" in said
    assert "file 'a' should be in conflict, but is not" in said


def test_a_head_that_should_be_broken_is_put_into_words(image_after: Any) -> None:
    start, wanted, found = _snapshots(image_after, "echo nowhere > .git/HEAD", "git switch -q --detach")
    assert "wanted nothing" in reason(compare(start, wanted, found))


def test_missing_and_collateral_are_told_apart(image_after: Any) -> None:
    start, wanted, found = _snapshots(image_after, "git branch x", "git tag x")
    kinds = {each.sentence: each.wanted for each in compare(start, wanted, found)}
    assert kinds == {"branch 'x' is missing": True, "tag 'x' was created, but should not be": False}


def test_the_wanted_change_comes_first_and_sections_are_named(image_after: Any) -> None:
    start, wanted, found = _snapshots(image_after, "git config a.b 1", "git switch -q old; git push -q origin main:n")
    differences = compare(start, wanted, found)
    assert [each.section for each in differences if each.wanted] == ["config"]
    assert {each.section for each in differences} == {"config", "head", "remote", "index"}
    assert differences[0].section == "config"


def test_many_differences_are_counted(image_after: Any) -> None:
    start, wanted, found = _snapshots(image_after, ":", "for i in $(seq 90); do echo $i > f$i; done")
    differences = compare(start, wanted, found)
    assert len(differences) == 41
    assert differences[-1].sentence == "there are 50 more differences of this kind"
    assert reason(differences).endswith("and 38 more")


FREE = [
    ("commit-message", "git commit -qam Mine", "git commit -qam Yours", "git commit -qm Mine --allow-empty"),
    (
        "commit-message",
        "git commit -q --amend -m Mine",
        "git commit -q --amend -m Yours",
        "git commit --amend -m 'Fix parser'",
    ),
    (
        "commit-message",
        "git merge -q --no-ff -m A side",
        "git merge -q --no-ff -m B side",
        "git merge -q --squash side",
    ),
    (
        "commit-message",
        "git commit -qam A; git tag -a t -m T; git notes add -m N; git commit -q --allow-empty -m B",
        "git commit -qam X; git tag -a t -m T; git notes add -m N; git commit -q --allow-empty -m Y",
        "git commit -qam X; git commit -q --allow-empty -m Y; git tag -a t -m T; git notes add -m N",
    ),
    ("tag-message", "git tag -a t -m Mine", "git tag -a t -m Yours", "git tag t"),
    ("tag-message", "git tag -f -a v1 v1^{} -m Mine", "git tag -f -a v1 v1^{} -m Yours", ":"),
    ("stash-message", "git stash", "git stash -m mine", "git stash -u"),
    ("stash-message", "git stash", "git stash -m mine", "git stash drop; git stash"),
    ("note-message", "git notes add -m Mine", "git notes add -m Yours", "git notes add -m Mine HEAD~1"),
]


@pytest.mark.parametrize(("freedom", "wanted", "equal", "other"), FREE)
def test_what_is_free_makes_no_difference(image_after: Any, freedom: Any, wanted: str, equal: str, other: str) -> None:
    base = (*BASE, "git branch side HEAD && git stash -q && git switch -q side && git commit -q --allow-empty -m S",
            "git switch -q main && git stash pop -q")  # fmt: skip
    start, one, two, three = _snapshots(image_after, wanted, equal, other, base=base)
    assert compare(start, one, two), "not equal unless it is free"
    assert compare(start, one, two, [freedom]) == ()
    assert compare(start, one, three, [freedom])
    assert compare(start, one, start, [freedom]), "doing nothing is never what was wanted"


def test_a_released_snapshot_keeps_what_was_there(image_after: Any) -> None:
    start, found = _snapshots(image_after, "git commit -qam New")
    every: Any = ["commit-message", "tag-message", "stash-message", "note-message"]
    assert release(start, start, every).facts == start.facts
    changed = differing_keys(release(found, start, every), found)
    assert changed == {("branch", "repo", "main")}


@given(st.text(max_size=200))
def test_quoted_text_is_one_printable_line(text: str) -> None:
    shown = quote(text)
    assert shown.isprintable()
    assert len(shown) <= 63


def test_quoted_text_hides_what_a_terminal_would_obey() -> None:
    assert quote("a\x1b[2Jb\n\u202e") == r"'a\x1b[2Jb\n\u202e'"
    assert quote("\udcff") == r"'\udcff'"
    assert quote("x" * 100) == f"'{'x' * 60}…'"
