"""Copies of repositories that git finds as clean, and as dirty, as the original."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from distill.sandbox.environment import case_environment, write_global_config
from distill.sandbox.freshness import capture_start
from distill.sandbox.image import Image
from distill.sandbox.write import write_image

FILES = "for i in a b c deep/d; do mkdir -p $(dirname $i); echo $i > $i; done; ln -s a link; chmod +x b; git add ."


def _git(root: Path, command: str, folder: str = "repo") -> str:
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=root / folder,
        env=case_environment(root),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _captured(root: Path, command: str) -> Image:
    root = root.resolve()
    (root / "repo").mkdir(parents=True)
    (root / "home").mkdir()
    write_global_config(root / "home")
    _git(root, command)
    return capture_start(root)


def _copied(image: Image, root: Path) -> Path:
    write_image(image, root)
    return root.resolve()


@pytest.mark.parametrize("form", ["sha1", "sha256"])
@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_copy_is_clean_where_the_original_is_and_dirty_where_it_is(tmp_path: Path, form: str, version: int) -> None:
    image = _captured(
        tmp_path / "start",
        f"git init -q --object-format={form}; git config index.version {version}; {FILES}; git commit -qm One; "
        "echo more >> c; echo new > new; git add -N new; git update-index --skip-worktree b",
    )
    copy = _copied(image, tmp_path / "copy")
    # Plumbing does not look at contents: every entry whose stat data is not that of its file would be listed.
    assert (
        _git(copy, "git diff-files --name-only; git update-index --refresh || true")
        == "c\nnew\nc: needs update\nnew: needs update\n"
    )
    assert _git(copy, "git status --porcelain; git fsck") == " M c\n A new\n"
    assert {path for _, path in image.clean["repo/.git/index"]} == {"repo/a", "repo/b", "repo/deep/d", "repo/link"}


def test_the_same_size_and_a_time_set_back_still_count_as_a_change(tmp_path: Path) -> None:
    image = _captured(tmp_path / "start", f"git init -q; {FILES}; git commit -qm One")
    copy = _copied(image, tmp_path / "copy")
    assert _git(copy, "git diff-files --name-only") == ""
    (copy / "repo/a").write_text("A\n")
    assert _git(copy, "git diff-files --name-only; git status --porcelain") == "a\n M a\n"


def test_nothing_has_to_be_read_or_written_again(tmp_path: Path) -> None:
    image = _captured(tmp_path / "start", f"git init -q; {FILES}; git commit -qm One")
    copy = _copied(image, tmp_path / "copy")
    index = copy / "repo/.git/index"
    before = index.read_bytes(), index.stat().st_mtime_ns
    assert _git(copy, "git status --porcelain") == ""
    # Had git found stat data that it had to correct, it would have written the index again.
    assert (index.read_bytes(), index.stat().st_mtime_ns) == before


def test_what_only_looks_clean_by_its_time_is_compared_by_its_content(tmp_path: Path) -> None:
    start = (tmp_path / "start").resolve()
    _captured(start, f"git init -q; {FILES}; git commit -qm One")
    index = start / "repo/.git/index"
    status = (start / "repo/a").stat()
    (start / "repo/a").write_text("A\n")
    os.utime(start / "repo/a", ns=(status.st_atime_ns, status.st_mtime_ns))
    # As if it had happened in one moment: the index is as old as the file, and holds the file's stat data.
    data = bytearray(index.read_bytes())
    changed = (start / "repo/a").stat()
    data[12:20] = (changed.st_ctime_ns // 10**9).to_bytes(4, "big") + (changed.st_ctime_ns % 10**9).to_bytes(4, "big")
    index.write_bytes(data)
    os.utime(index, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert "repo/a" not in {path for _, path in capture_start(start).clean["repo/.git/index"]}


def test_every_repository_of_a_case_is_made_fresh(tmp_path: Path) -> None:
    image = _captured(
        tmp_path / "start",
        f"git init -q ../library; cd ../library; {FILES}; git commit -qm Lib; "
        "git clone -q --bare . ../library.git; cd ../repo; "
        f"git init -q; {FILES}; git commit -qm One; git submodule --quiet add ../library.git sub; git commit -qm Sub; "
        "git worktree add -q ../linked; git worktree add -q inside; echo x >> ../linked/a; echo y >> sub/c; "
        "echo inside >> .git/info/exclude",
    )
    assert set(image.clean) == {
        "repo/.git/index",
        "repo/.git/modules/sub/index",
        "repo/.git/worktrees/linked/index",
        "repo/.git/worktrees/inside/index",
        "library/.git/index",
    }
    copy = _copied(image, tmp_path / "copy")
    found = {
        folder: _git(copy, "git diff-files --name-only", folder)
        for folder in ("repo", "repo/sub", "repo/inside", "linked", "library")
    }
    assert found == {"repo": "sub\n", "repo/sub": "c\n", "repo/inside": "", "linked": "a\n", "library": ""}


def test_a_conflict_keeps_its_stages_and_an_unreadable_index_is_left_alone(tmp_path: Path) -> None:
    image = _captured(
        tmp_path / "start",
        f"git init -q; {FILES}; git commit -qm One; git switch -qc other; echo o > a; git commit -qam Other; "
        "git switch -q main; echo m > a; git commit -qam Main; git merge -q other || true; "
        "mkdir -p ../broken/.git; cd ../broken/.git; echo 'ref: refs/heads/x' > HEAD; printf DIRCgarbage > index",
    )
    copy = _copied(image, tmp_path / "copy")
    assert _git(copy, "git status --porcelain") == "UU a\n"
    assert "repo/a" not in {path for _, path in image.clean["repo/.git/index"]}
    assert (copy / "broken/.git/index").read_bytes() == b"DIRCgarbage"
