"""Rules that hold for every repository, tried on random sequences of git commands in the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.sandbox.compare import compare, differing_keys, release
from distill.sandbox.execution import Outcome
from distill.sandbox.harm import find_harm
from distill.sandbox.image import Image
from distill.sandbox.pool import Pool, open_pool
from distill.sandbox.snapshot import take_snapshot

OPERATIONS = [
    "echo $RANDOM >> a.txt",
    "echo fixed > b.txt",
    "mkdir -p d/e && echo $RANDOM > d/e/f",
    "git add -A",
    "git add -N .",
    "git commit -q -m Work",
    "git commit -q -a --allow-empty -m Empty",
    "git commit -q --amend -m Amended",
    "git switch -q -c one",
    "git switch -q main",
    "git switch -q -",
    "git checkout -q --detach",
    "git merge -q one",
    "git merge -q --no-ff -m Merge one",
    "git rebase -q one",
    "git cherry-pick one",
    "git revert --no-edit HEAD",
    "git stash -q -u",
    "git stash pop -q",
    "git tag -a t$RANDOM -m Tag",
    "git branch b$RANDOM",
    "git notes add -f -m Note",
    "git rm -q --cached a.txt",
    "git mv a.txt moved.txt",
    "git worktree add -q ../w$RANDOM",
    "git config x.y $RANDOM",
    "git clone -q --bare . ../copy$RANDOM.git",
    "git reset -q --hard HEAD~1",
    "git pack-refs --all",
    "git gc -q",
    "git bisect start HEAD HEAD~1",
    "git update-index --assume-unchanged a.txt",
    "ln -s a.txt link$RANDOM; chmod +x b.txt",
    "git rm -q -r .",
    "git remote add r$RANDOM ../copy.git; git branch -u main",
    "git sparse-checkout set --no-cone /a.txt /pillar.txt",
    "git submodule add -q ./ sub",
    "git checkout -q --orphan o$RANDOM",
]
INVISIBLE = [
    "git gc -q --prune=now; git status",
    "git pack-refs --all; git update-index -q --refresh",
    "git repack -qad; git log --oneline --all; git diff; git fsck",
]
VISIBLE = [
    "git update-ref refs/heads/fresh pillar",
    "git update-ref refs/heads/pillar pillar~1",
    "git update-ref -d refs/heads/pillar",
    "git symbolic-ref refs/heads/fresh refs/heads/pillar",
    "git symbolic-ref HEAD refs/heads/fresh",
    "git commit-tree -m Fresh pillar^{tree} | xargs git update-ref refs/tags/fresh",
    "git tag -a fresh -m Fresh pillar",
    "git tag -f -a pinned -m Other pillar",
    "git tag -f pinned pillar",
    "git notes add -f -m Other pillar",
    "git replace pillar pillar~1",
    "git stash store -m Fresh $(git commit-tree -m Fresh -p pillar -p pillar pillar^{tree})",
    "git config fresh.key value",
    "git config --add pillar.key other",
    "git config --unset pillar.key",
    "git config --global fresh.key value",
    "git remote add fresh ../fresh.git",
    "git worktree add -q --detach ../fresh pillar",
    "echo seen > a-new-file",
    "echo more >> pillar.txt",
    "rm pillar.txt",
    "chmod +x pillar.txt",
    "ln -sf nowhere pillar.txt",
    "rm pillar.txt; mkdir pillar.txt",
    "mkdir a-new-folder",
    "mkfifo a-new-pipe",
    "echo seen > ../beside",
    "echo seen > ../home/seen",
    "git update-index --add --cacheinfo 100644,$(echo x | git hash-object -w --stdin),fresh",
    "git update-index --force-remove pillar.txt",
    "git update-index --chmod=+x pillar.txt",
    "git update-index --skip-worktree pillar.txt",
    "git update-index --assume-unchanged pillar.txt",
    "mkdir -p .git/hooks; echo true > .git/hooks/post-commit",
    "mkdir -p .git/info; echo '*.fresh' >> .git/info/exclude",
    "mkdir -p .git/info; echo '*.fresh text' >> .git/info/attributes",
    "git rev-parse pillar > .git/MERGE_HEAD",
    "git rev-parse pillar >> .git/shallow",
    "git -C ../pillar.git update-ref refs/heads/fresh HEAD",
    "git -C ../pillar.git config fresh.key value",
    "rm -r ../pillar.git",
]
"""Each is one change of its own, and possible whatever was done before: it touches only what `PILLAR` made."""
PILLAR = """\
echo pillar > pillar.txt && git add -f pillar.txt && git commit -q -m Pillar --only pillar.txt || exit 1
git update-ref refs/heads/pillar HEAD && git tag pinned HEAD~1 && git config pillar.key value
git clone -q --bare . ../pillar.git
"""
"""Refs, a setting, a repository and a file; the file is put back after all operations."""
START = "echo a > a.txt && git add a.txt && git commit -qm First && git commit -q --allow-empty -m Second"
EVERYTHING: Any = ("commit-message", "tag-message", "stash-message", "note-message")
HISTORY = st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with open_pool("auto", workers=1) as opened:
        yield opened


def _after(pool: Pool, image: Image, script: str) -> Image:
    execution = pool.run(image, script)
    assert execution.outcome is Outcome.FINISHED, execution.detail
    assert execution.image is not None
    return execution.image


def _lived_in(pool: Pool, image_after: Any, operations: list[str], seed: int) -> Image:
    """A repository after some operations, most of which may fail. The same seed gives the same numbers."""
    steps = "".join(f"{{ {operation}; }} > /dev/null 2>&1\n" for operation in operations)
    return _after(pool, image_after(), f"RANDOM={seed}\n{START}\n{PILLAR}{steps}git checkout -q pillar -- pillar.txt")


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(HISTORY, st.sampled_from(INVISIBLE), st.integers(0, 9999))
def test_equal_states_are_equal(pool: Pool, image_after: Any, operations: list[str], invisible: str, seed: int) -> None:
    image = _lived_in(pool, image_after, operations, seed)
    state = take_snapshot(image)
    assert take_snapshot(image).facts == state.facts
    assert compare(state, state, state) == ()
    assert find_harm(state, state, state) == ()
    assert release(state, state, EVERYTHING).facts == state.facts

    for same in (
        _lived_in(pool, image_after, operations, seed),
        _after(pool, image, ":"),
        _after(pool, image, invisible),
    ):
        found = take_snapshot(same)
        assert set(differing_keys(state, found)) == set()
        assert compare(state, state, found) == compare(state, found, state) == ()


def _check_visible(pool: Pool, image: Image, visible: str) -> None:
    state, other = take_snapshot(image), take_snapshot(_after(pool, image, visible))
    assert differing_keys(state, other), visible
    for differences in (compare(state, state, other), compare(state, other, state)):
        assert differences
        assert all(each.sentence.isprintable() for each in differences)
    assert not any(each.wanted for each in compare(state, state, other)), "nothing was wanted"
    assert all(each.wanted for each in compare(state, other, state)), "doing nothing is never too much"
    assert compare(state, other, other) == ()


@pytest.mark.parametrize("visible", VISIBLE)
def test_one_visible_change_is_seen(pool: Pool, image_after: Any, visible: str) -> None:
    _check_visible(pool, _lived_in(pool, image_after, [], 0), visible)


@settings(max_examples=8, deadline=None)
@given(HISTORY, st.sampled_from(VISIBLE), st.integers(0, 9999))
def test_one_visible_change_is_seen_after_any_history(
    pool: Pool, image_after: Any, operations: list[str], visible: str, seed: int
) -> None:
    _check_visible(pool, _lived_in(pool, image_after, operations, seed), visible)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(HISTORY, st.lists(st.sampled_from(VISIBLE), min_size=4, max_size=4, unique=True), st.integers(0, 9999))
def test_many_histories(pool: Pool, image_after: Any, operations: list[str], visible: list[str], seed: int) -> None:
    image = _lived_in(pool, image_after, operations, seed)
    for change in visible:
        _check_visible(pool, image, change)
