"""What a snapshot holds alike, and what it tells apart: two commands from one start, compared fact by fact."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from distill.sandbox.compare import differing_keys
from distill.sandbox.image import Entry, Image, Kind
from distill.sandbox.objects import UnreadableRepository
from distill.sandbox.snapshot import take_snapshot

BASE = (
    "echo one > a.txt && echo two > b.txt && mkdir src && echo three > src/c.txt",
    "printf '*.log\\n' > .gitignore && git add . && git commit -qm 'First'",
    "echo more >> a.txt && git commit -qam 'Second'",
    "git tag v1 HEAD~1 && git switch -q -c feature HEAD~1 && echo f > f.txt && git add f.txt && git commit -qm F",
    "git switch -q main",
    "git clone -q --bare . ../origin.git && git remote add origin ../origin.git && git fetch -q",
    "git branch -q -u origin/main",
    "echo dirty >> b.txt && echo new > new.txt && echo log > x.log",
)
CLEAN = "git checkout -q . && rm new.txt"
STASHES = "git stash -q && echo 2 >> a.txt && git stash -q -m later"
CONFLICT = (
    "git stash -q -u && git switch -q -c theirs feature && echo t > a.txt && git commit -qam T && git switch -q main"
)

ALIKE = [
    ("git switch -c x", "git checkout -b x"),
    ("git branch x", "git update-ref refs/heads/x HEAD"),
    ("git branch -m feature login", "git branch login feature; git branch -D feature"),
    ("git commit -am Third", "git add -u; git commit -m Third"),
    ("git commit -am Third", "GIT_COMMITTER_DATE='@1 +0000' git commit -am Third --date=2001-01-01T00:00:00"),
    ("git commit -am Third", "git -c user.name=Else commit -am Third --author='Ada Example <ada@example.com>'"),
    ("git reset -q --hard", "git restore ."),
    ("git rm -q --cached a.txt", "git update-index --force-remove a.txt"),
    ("git tag -a v2 -m Two", "git tag -m Two v2 HEAD"),
    ("git stash", "git stash push"),
    ("git stash -m x", "git stash push --message x"),
    ("git notes add -m Hello", "git notes add -m Hell; git notes add -f -m Hello"),
    ("git push -q origin main:topic", "git push -q ../origin.git main:topic; git fetch -q"),
    ("git remote rename origin up", "git remote rename origin tmp; git remote rename tmp up"),
    ("git config alias.st status", "git config --add alias.st status"),
    ("git config pull.rebase true", "git config pull.rebase yes"),
    ("git config --global x.y 1", "git config -f ~/.gitconfig x.y 1"),
    ("git worktree add -q ../wt feature", "git worktree add -q ../other feature; git worktree move ../other ../wt"),
    ("git archive -o ../out.tar HEAD", "git archive --format=tar HEAD~0 > ../out.tar"),
    ("git archive -o ../out.tar.gz HEAD", "git archive HEAD | gzip -1 > ../out.tar.gz"),
    ("git archive -o ../out.zip HEAD", "git archive -9 -o ../out.zip HEAD^{tree}"),
    ("git bundle create -q ../b.bundle main", "git -c core.compression=0 bundle create -q ../b.bundle main"),
    ("git format-patch -1 -o ..", "git format-patch -1 -o .. --signature=9.9.9"),
    ("git checkout -q --detach", "git switch -q -d HEAD"),
    ("git clone -q ../origin.git ../c", "git clone -q --no-hardlinks --no-local ../origin.git ../c"),
    (f"{CLEAN}; git merge -q --no-ff -m M feature", f"{CLEAN}; git merge -q --no-ff feature -m M"),
    (f"{STASHES}; git stash drop -q", "git stash -q"),
    ("git bisect start HEAD HEAD~1", "git bisect start; git bisect bad; git bisect good HEAD~1"),
    ("mkdir -p .git/hooks; echo x > .git/hooks/pre-commit.sample", ":"),
    ("git init -q ../n", "mkdir ../n; cd ../n; git init -q"),
    ("git sparse-checkout set src", "git sparse-checkout init --cone; git sparse-checkout add src"),
]

NOTHING = [
    "git status",
    "git gc -q",
    "git pack-refs --all",
    "git repack -qad && git prune",
    "git log -p",
    "git fetch -q",
    "git stash -q && git stash pop -q",
    "git reflog expire --expire=now --all && git gc -q --prune=now",
    "git update-index --index-version 4",
    "git update-index -q --refresh || true",
    "git switch -q --detach && git switch -q -",
    "touch a.txt",
    "git commit-graph write --reachable",
    "git -C ../origin.git gc -q",
    "git merge-base main feature",
    "git hash-object -w b.txt",
    "git commit-tree -m dangling HEAD^{tree}",
]

DIFFERENT = [
    "git branch x",
    "git branch -D feature",
    "git branch -f feature main",
    "git branch -m main trunk",
    "git switch -q --detach",
    "git commit -q --amend --no-edit --author='B <b@b>'",
    "git commit -q --amend -m Other",
    "git commit -q --allow-empty -m Third",
    "git add b.txt",
    "git add new.txt",
    "git add -N new.txt",
    "git add -f x.log",
    "git rm -q --cached a.txt",
    "git update-index --assume-unchanged a.txt",
    "git update-index --skip-worktree a.txt",
    "git update-index --chmod=+x a.txt",
    "echo x >> a.txt",
    "rm x.log",
    "rm new.txt",
    "chmod +x a.txt",
    "rm a.txt && ln -s b.txt a.txt",
    "mkdir empty",
    "mkfifo pipe",
    "git tag v2",
    "git tag -a v2 -m Two",
    "git tag -f -a v1 v1 -m One",
    "git tag -d v1",
    "git stash -q",
    "git stash -q -u",
    "git notes add -m Hello",
    "git notes --ref=other add -m Hello",
    "git config user.name Eve",
    "git config --global user.name Eve",
    "git config --add remote.origin.fetch +refs/x/*:refs/y/*",
    "mkdir -p ~/.config/git && git config -f ~/.config/git/config user.name Eve",
    "git remote add second ../origin.git",
    "git branch --unset-upstream",
    "git push -q origin main:topic",
    "git push -q origin :refs/tags/v1",
    "git -C ../origin.git branch x",
    "git -C ../origin.git symbolic-ref HEAD refs/heads/feature",
    "git worktree add -q ../wt feature",
    "git init -q ../elsewhere",
    "git submodule --quiet add ../origin.git lib",
    "mkdir -p .git/hooks && echo true > .git/hooks/pre-commit",
    "mkdir -p .git/info && echo '*.tmp' >> .git/info/exclude",
    "mkdir -p .git/info && echo '*.txt -text' > .git/info/attributes",
    "git sparse-checkout set src",
    "echo x > ../outside",
    "echo x > ~/file",
    "echo lock > .git/index.lock",
    "git bisect start",
    "git update-ref refs/odd/ref HEAD",
    "git symbolic-ref refs/heads/alias refs/heads/main",
    "git replace HEAD HEAD~1",
    "rm -rf .git",
    "rm .git/refs/heads/main",
    "echo nonsense > .git/refs/heads/broken",
    "rm -f .git/objects/$(git rev-parse HEAD: | sed 's,..,&/,')",
]


def _differences(image_after: Any, first: str, second: str, start: Image, *extras: Any) -> set[tuple[str, ...]]:
    one, two = (take_snapshot(image_after(command, start=start), extras) for command in (first, second))
    return set(differing_keys(one, two))


@pytest.mark.parametrize(("first", "second"), ALIKE)
def test_two_ways_to_one_state(image_after: Any, first: str, second: str) -> None:
    start = image_after(*BASE)
    assert _differences(image_after, first, second, start) == set()


@pytest.mark.parametrize("command", NOTHING)
def test_what_changes_nothing_that_counts(image_after: Any, command: str) -> None:
    start = image_after(*BASE)
    after = take_snapshot(image_after(command, start=start))
    assert set(differing_keys(take_snapshot(start), after)) == set()


@pytest.mark.parametrize("command", DIFFERENT)
def test_every_visible_change_is_seen(image_after: Any, command: str) -> None:
    start = image_after(*BASE)
    assert differing_keys(take_snapshot(start), take_snapshot(image_after(command, start=start)))


@pytest.mark.parametrize(
    "pair",
    [
        ("git worktree lock ../wt", ":"),
        ("git worktree lock --reason Trip ../wt", "git worktree lock ../wt"),
        ("git worktree remove --force ../wt", "rm -rf ../wt"),
        ("git -C ../wt switch -q --detach", ":"),
        ("echo x > ../wt/new", ":"),
        ("git -C ../wt add -A", ":"),
    ],
)
def test_linked_worktrees(image_after: Any, pair: tuple[str, str]) -> None:
    start = image_after(*BASE, "git worktree add -q ../wt feature && echo y > ../wt/dirty")
    assert _differences(image_after, *pair, start)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("git merge -q theirs || true", ":"),
        ("git rebase -q theirs || true", ":"),
        ("git cherry-pick theirs || true", ":"),
        ("git merge -q theirs || true", "git cherry-pick theirs || true"),
        ("git rebase -q theirs || true", "git merge -q theirs || true"),
        ("git rebase -q theirs || true", "git rebase --apply -q theirs || true"),
        ("git revert HEAD~1 --no-edit || true", ":"),
        ("git merge -q theirs || git checkout -q --ours a.txt", "git merge -q theirs || true"),
        ("git merge -q theirs || git add a.txt", "git merge -q theirs || true"),
        ("git merge -q --no-commit --no-ff feature", ":"),
    ],
)
def test_operations_in_progress_are_told_apart(image_after: Any, first: str, second: str) -> None:
    assert _differences(image_after, first, second, image_after(*BASE, CONFLICT))


@pytest.mark.parametrize("operation", ["merge -q", "rebase -q", "cherry-pick"])
def test_a_conflict_that_is_aborted_leaves_nothing(image_after: Any, operation: str) -> None:
    start = image_after(*BASE, CONFLICT)
    command = f"git {operation} theirs || git {operation.split()[0]} --abort"
    assert _differences(image_after, command, ":", start) == set()


def test_the_stash_is_ordered(image_after: Any) -> None:
    start = image_after(*BASE)
    two = "echo 1 >> a.txt; git stash -q -m one; echo 2 >> a.txt; git stash -q -m two"
    swapped = (
        f"{two}; o=$(git rev-parse stash@{{1}}); git stash drop -q stash@{{1}}; git stash store -m 'On main: one' $o"
    )
    first, second = (take_snapshot(image_after(command, start=start)).facts for command in (two, swapped))
    assert [entry[0] for entry in first["stash", "repo"]] == ["On main: two", "On main: one"]
    assert [entry[0] for entry in second["stash", "repo"]] == ["On main: one", "On main: two"]
    assert set(first["stash", "repo"]) == set(second["stash", "repo"])


def test_submodules_are_repositories_of_their_own(image_after: Any) -> None:
    start = image_after(*BASE, "git submodule --quiet add ../origin.git libs/one && git commit -qm Module")
    facts = take_snapshot(start).facts
    assert facts["repository", "repo/.git/modules/libs/one"] == ("with a worktree", "sha1")
    assert facts["submodule", "repo/libs/one"] == "repo/.git/modules/libs/one"
    assert facts["config", "repo/.gitmodules", "submodule.libs/one.url"] == ("../origin.git",)
    assert facts["index", "repo", "libs/one"][0][2].startswith("commit:")
    assert _differences(image_after, "git -C libs/one switch -q -c x", ":", start) == {
        ("head", "repo/.git/modules/libs/one"),
        ("branch", "repo/.git/modules/libs/one", "x"),
    }


@pytest.mark.parametrize(
    ("extra", "first", "second"),
    [
        ("dates", "git commit -qam T", "git commit -qam T --date=2001-01-01T00:00:00"),
        (
            "committer",
            "git commit -qam T",
            "git -c user.name=Eve commit -qam T --author='Ada Example <ada@example.com>'",
        ),
        ("packs", "git gc -q", ":"),
        ("reflog", "git reflog delete HEAD@{0}", ":"),
    ],
)
def test_extras_are_seen_only_when_asked_for(image_after: Any, extra: str, first: str, second: str) -> None:
    start = image_after(*BASE)
    assert _differences(image_after, first, second, start) == set()
    assert _differences(image_after, first, second, start, extra)


def test_a_note_on_a_commit_that_is_gone_stays_the_same_note(image_after: Any) -> None:
    start = image_after(
        *BASE, "git notes add -m Hello && git commit -q --amend -m Other && git update-ref -d ORIG_HEAD"
    )
    start = image_after("git branch -q -D -r origin/main && git reflog expire --expire=now --all", start=start)
    assert _differences(image_after, "git gc -q --prune=now", ":", start) == set()


def test_a_sparse_index_equals_a_full_one(image_after: Any) -> None:
    start = image_after(*BASE, "git checkout -q . && mkdir d && echo d > d/d && git add d && git commit -qm D")
    full = "git sparse-checkout set --no-sparse-index src"
    sparse = "git sparse-checkout set --sparse-index src"
    differences = _differences(image_after, full, sparse, start)
    assert {key[0] for key in differences} <= {"config"}


def test_shallow_clones_hold_less(image_after: Any) -> None:
    start = image_after(*BASE, "git clone -q --depth=1 file://$PWD/../origin.git ../shallow")
    snapshot = take_snapshot(start)
    assert len(snapshot.facts["shallow", "shallow"]) == 1
    assert ("missing", "shallow") not in snapshot.facts
    deepened = take_snapshot(image_after("git -C ../shallow fetch -q --unshallow", start=start)).facts
    assert deepened["branch", "shallow", "main"] == deepened["branch", "repo", "main"]


def test_missing_objects_are_a_fact(image_after: Any) -> None:
    start = image_after(*BASE)
    blob = image_after("rm -f .git/objects/$(git rev-parse HEAD:a.txt | sed 's,..,&/,')", start=start)
    assert len(take_snapshot(blob).facts["missing", "repo"]) == 1


def test_a_submodules_worktree_is_not_a_file_of_its_own(image_after: Any) -> None:
    facts = take_snapshot(image_after(*BASE, "git worktree add -q ../wt feature")).facts
    assert ("file", "wt/.git") not in facts
    assert facts["worktree", "repo", "wt"] == (True, None)
    assert facts["head", "wt"] == ("symbolic", "refs/heads/feature")


def test_submodule_settings_are_compared_by_content_and_their_file_by_its_mode(image_after: Any) -> None:
    start = image_after("git config -f .gitmodules submodule.a.url ../a.git")
    ordered = "git config -f .gitmodules submodule.a.path a"
    spaced = "printf '[submodule \"a\"]\\n  path = a\\n\\turl = ../a.git\\n' > .gitmodules"
    executable = f"{ordered} && chmod +x .gitmodules"
    assert _differences(image_after, ordered, spaced, start) == set()
    assert _differences(image_after, ordered, executable, start) == {("file", "repo/.gitmodules")}


def test_files_in_a_folder_that_became_a_git_folder_are_still_files(image_after: Any) -> None:
    facts = take_snapshot(image_after("echo x > mine.txt && git init -q --bare", init="true")).facts
    assert facts["repository", "repo"] == ("bare", "sha1")
    assert ("file", "repo/mine.txt") in facts


def test_a_reftable_is_refused(image_after: Any) -> None:
    image = image_after(*BASE, "git config extensions.refStorage reftable && git config core.repositoryformatversion 1")
    with pytest.raises(UnreadableRepository, match="reftable"):
        take_snapshot(image)


def test_a_dot_git_that_is_a_link_is_a_link(image_after: Any) -> None:
    facts = take_snapshot(image_after(*BASE, "mv .git ../real && ln -s ../real .git")).facts
    assert ("repository", "repo") not in facts
    assert facts["file", "repo/.git"] == ("symlink", "../real")


def test_the_place_of_the_run_is_no_fact(image_after: Any) -> None:
    """Each run has its own folder; a merge of an absolute path writes it into the message."""
    start = image_after(*BASE)
    command = f"{CLEAN} && git pull -q --no-rebase --no-ff $PWD/../origin.git feature"
    assert _differences(image_after, command, command, start) == set()


def test_snapshots_and_their_facts_are_values(image_after: Any) -> None:
    snapshot = take_snapshot(image_after(*BASE))
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.extras = frozenset()  # type: ignore[misc]
    assert all(isinstance(part, str) for key in snapshot.facts for part in key)


def test_folders_need_not_be_listed(image_after: Any) -> None:
    image = image_after(*BASE)
    only_files = Image({path: entry for path, entry in image.entries.items() if entry.kind is not Kind.DIRECTORY})
    facts = take_snapshot(only_files).facts
    assert facts["branch", "repo", "main"] == take_snapshot(image).facts["branch", "repo", "main"]
    assert take_snapshot(Image({"": Entry(Kind.DIRECTORY, 0o755)})).facts == {}
