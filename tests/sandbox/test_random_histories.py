"""Rules that hold for every repository, tried on random sequences of git commands."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from distill.sandbox.compare import compare, differing_keys, release
from distill.sandbox.harm import find_harm
from distill.sandbox.snapshot import take_snapshot

OPERATIONS = [
    "echo $RANDOM >> a.txt",
    "echo fixed > b.txt",
    "mkdir -p d/e && date +%N > d/e/f",
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
]
INVISIBLE = [
    "git gc -q --prune=now; git status",
    "git pack-refs --all; git update-index -q --refresh",
    "git repack -qad; git log --oneline --all; git diff; git fsck",
]
VISIBLE = [
    "git update-ref refs/heads/fresh HEAD",
    "echo seen > a-new-file",
    "git config fresh.key value",
    "git commit-tree -m Fresh HEAD^{tree} | xargs git update-ref refs/tags/fresh",
    "mkdir a-new-folder",
    "mkdir -p .git/hooks; echo true > .git/hooks/post-commit",
]
EVERYTHING: Any = ("commit-message", "tag-message", "stash-message", "note-message")


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=12),
    st.sampled_from(INVISIBLE),
    st.sampled_from(VISIBLE),
)
def test_every_state_equals_itself_and_no_other(
    image_after: Any, operations: list[str], invisible: str, visible: str
) -> None:
    steps = " 2>/dev/null >&2 || true\n".join(operations) + " 2>/dev/null >&2 || true"
    image = image_after("echo a > a.txt && git add a.txt && git commit -qm First", f"{steps}", start=image_after())
    state = take_snapshot(image)
    assert take_snapshot(image).facts == state.facts
    assert compare(state, state, state) == ()
    assert find_harm(state, state, state) == ()
    assert release(state, state, EVERYTHING).facts == state.facts

    same = take_snapshot(image_after(invisible, start=image))
    assert set(differing_keys(state, same)) == set()

    other = take_snapshot(image_after(visible, start=image))
    assert differing_keys(state, other)
    for differences in (compare(state, state, other), compare(state, other, state)):
        assert differences
        assert all(each.sentence.isprintable() for each in differences)
    assert not any(each.wanted for each in compare(state, state, other)), "nothing was wanted"
    assert all(each.wanted for each in compare(state, other, state)), "doing nothing is never too much"
    assert find_harm(state, state, other) == (), "adding something destroys nothing"
