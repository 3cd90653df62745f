"""Only the unmistakable is a placeholder; what a repository could really have is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graders.placeholders import find_placeholder, mask


@pytest.mark.parametrize(
    ("command", "placeholder"),
    [
        ("git checkout <branch>", "<branch>"),
        ("git checkout -b <feature-login>", "<feature-login>"),
        ("git show <commit hash>:file", "<commit hash>"),
        ("git diff <from>..<to>", "<from>"),
        ("git push <remote>/<branch>", "<remote>"),
        ("git switch <分支名>", "<分支名>"),
        ("git config user.email <you@example.com>", "<you@example.com>"),
        ("git checkout &lt;branch&gt;", "&lt;branch&gt;"),
        ("git checkout [branch-name]", "[branch-name]"),
        ("git log [options]", "[options]"),
        ("git checkout {branch_name}", "{branch_name}"),
        ("git checkout {{branch}}", "{{branch}}"),
        ('git commit -m "<message>"', "<message>"),
        ("git commit -m '<commit message>'", "<commit message>"),
        ('git config user.email "<your-email>"', "<your-email>"),
        ("git checkout YOUR_BRANCH", "YOUR_BRANCH"),
        ("git clone https://example.com/YOUR-REPO.git", "YOUR-REPO"),
    ],
)
def test_placeholders(command: str, placeholder: str) -> None:
    assert find_placeholder(command) == placeholder


@pytest.mark.parametrize(
    "command",
    [
        "git log",
        'git commit -m "Use <div> for the layout"',
        'git log -S"<div>"',
        "git grep '<title>'",
        'git log --author="A U Thor <author@example.com>"',
        "git apply < fix.patch",
        "cat <in>out",
        "sort < a > b",
        "git hash-object --stdin <a >b",
        "diff <(git show a:f) <(git show b:f)",
        "cat > page.html <<EOF\n<html>\n<branch>\nEOF",
        "git show stash@{0} HEAD^{tree} @{upstream} 'HEAD@{one week ago}'",
        "git add *.[ch] [a-z]*.txt {a,b}.txt",
        "git log --format='%C(auto)%h {x} [branch]'",
        'git commit -m "[fix] the parser"',
        "echo ${YOUR_NAME} $YOUR_BRANCH",
        "git add path/to/file",
        "git checkout branch-name",
        "git branch --list | xargs -I{} git branch -d {}",
        "git log -3 # of <branch>",
    ],
)
def test_not_placeholders(command: str) -> None:
    assert find_placeholder(command) is None


@given(st.text())
def test_a_mask_keeps_every_offset(text: str) -> None:
    masked = mask(text)
    assert len(masked) == len(text)
    assert len(masked.encode("utf-8", "surrogatepass")) == len(text.encode("utf-8", "surrogatepass"))
