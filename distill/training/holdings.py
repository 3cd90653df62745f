"""What a repository holds that a request can name: its branches, tags, files, remotes, authors, dates, words.

In: a recipe's image and a `Runner`. Out: for each kind of slot the values that can stand in it there. Names of refs and
files are read from the image; the rest is asked of git in the sandbox, once a recipe. Whether a value makes sense in a
command is not decided here but by running it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping

from distill.sandbox.execution import Runner
from distill.sandbox.image import Image
from distill.training.names import names_in

_ASKED = r"""
git log --all --format='author %an'
git log --all --format='date %as'
git log --all --format='subject %s'
git remote | sed 's/^/remote /'
git config --local --name-only --list | sed 's/^/key /'
git config --file .gitmodules --get-regexp '\.path$' | sed 's/^.* /submodule /'
git stash list --format='stash %gd' | sed 's/stash@{//; s/}$//'
git worktree list --porcelain | sed -n 's/^worktree .*\//worktree ..\//p' | sed 1d
git grep -hoE '(def|function) [A-Za-z_]+' | sed -E 's/^(def|function)/function/'
git grep -hoE '[A-Za-z_]{5,}' | sort -u | head -n 60 | sed 's/^/word /'
"""
_FOUND = ("submodule", "stash", "worktree")
_REVISIONS = ("HEAD~1", "HEAD~2", "HEAD~3", "HEAD", "HEAD^", "HEAD~4")
DATES = (
    "2023-12-01",
    "2024-05-17",
    "2024-09-30",
    "2024-11-05",
    "2025-01-20",
    "2025-02-14",
    "2025-03-02",
    "2025-03-10",
)
"""Days around those of the commits: whether something happened since or until then is seen by running."""
_SETTINGS = {
    "core.editor": ("nano", "vim", "emacs", "micro"),
    "pull.rebase": ("true", "false"),
    "pull.ff": ("only",),
    "push.default": ("simple", "current"),
    "push.autoSetupRemote": ("true",),
    "fetch.prune": ("true",),
    "core.autocrlf": ("input", "false", "true"),
    "core.pager": ("cat", "less"),
    "core.fileMode": ("false", "true"),
    "merge.conflictStyle": ("diff3", "merge"),
    "merge.ff": ("false", "only"),
    "rebase.autoStash": ("true",),
    "rebase.autosquash": ("true",),
    "rerere.enabled": ("true", "false"),
    "commit.verbose": ("true",),
    "diff.renames": ("copies", "true"),
    "branch.autoSetupRebase": ("always",),
    "color.ui": ("auto", "never"),
    "help.autocorrect": ("10",),
    "log.date": ("iso", "relative"),
}
"""Settings that people change, with values that they give them."""
ALIASES = (
    "status",
    "checkout",
    "branch",
    "log --oneline",
    "commit",
    "diff --staged",
    "switch",
    "log --oneline --graph",
    "status -sb",
    "commit --amend --no-edit",
    "push --force-with-lease",
    "log -1",
    "branch -vv",
    "stash list",
)
"""What people make an alias of."""


class Holdings:
    """What can stand in the slots of a request about one repository."""

    def __init__(self, image: Image, runner: Runner) -> None:
        named = names_in(image)
        told = _told(runner, image)
        files = named["file"]
        folders = _folders(files)
        revisions = (*_REVISIONS, *named["tag"], *named["branch"])
        suffixes = sorted({posixpath.splitext(path)[1] for path in files} - {""})
        self._values: Mapping[str, tuple[str, ...]] = {
            "branch": named["branch"],
            "tag": named["tag"],
            "file": files,
            "path": (*(path for path in files if "." in posixpath.basename(path)), *(f"{each}/" for each in folders)),
            "folder": folders,
            "remote": told["remote"],
            "rev": revisions,
            "url": _neighbors(image),
            "key": (*_SETTINGS, *told["key"]),
            "value": (*sorted({value for values in _SETTINGS.values() for value in values}), *ALIASES),
            "text": (*_words(told["subject"]), *told["word"]),
            "glob": (*(f"*{suffix}" for suffix in suffixes), *_tag_globs(named["tag"])),
            "author": told["author"],
            "date": (*told["date"], *DATES),
            "function": told["function"],
            "count": ("2", "3", "4", "5"),
            "submodule": told["submodule"],
            "stash": told["stash"],
            "worktree": told["worktree"],
            "alias": tuple(key.removeprefix("alias.") for key in told["key"] if key.startswith("alias.")),
            "patch": _outside(image, (".patch", ".diff", ".mbox", ".eml")),
            "bundle": _outside(image, (".bundle",)),
            "number": ("1", "2", "0", "3", "4", "5", "6", "8"),
        }
        self.suffixes = tuple(suffixes) or (".txt",)

    def of(self, kind: str) -> tuple[str, ...]:
        """The values for a kind of slot, or one of the further kinds: `submodule`, `stash` (numbers), `worktree`,
        `alias`, `patch`, `bundle`. None where the repository has none, or the kind is one of new names."""
        return self._values.get(kind, ())

    def values_of(self, key: str) -> tuple[str, ...]:
        """The values that people give a setting."""
        return _SETTINGS.get(key, ())


def _told(runner: Runner, image: Image) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {
        name: {} for name in ("author", "date", "subject", "remote", "key", "function", "word", *_FOUND)
    }
    output = runner.run(image, _ASKED).stdout.decode("utf-8", "replace")
    for line in output.splitlines():
        name, _, value = line.partition(" ")
        if name in found and value:
            found[name].setdefault(value)
    return {name: tuple(values) for name, values in found.items()}


def _folders(files: Iterable[str]) -> tuple[str, ...]:
    found = {posixpath.dirname(path) for path in files} - {""}
    return tuple(sorted(found))


def _neighbors(image: Image) -> tuple[str, ...]:
    """The repositories beside this one, as they are reached from it."""
    tops = {path.split("/", 1)[0] for path in image.entries} - {"repo"}
    return tuple(f"../{top}" for top in sorted(tops) if f"{top}/HEAD" in image.entries)


def _outside(image: Image, suffixes: tuple[str, ...]) -> tuple[str, ...]:
    """Files of these kinds, beside the repository or in it, as they are reached from it."""
    found = sorted(path for path in image.entries if path.endswith(suffixes) and "/.git/" not in path)
    return tuple(path.removeprefix("repo/") if path.startswith("repo/") else f"../{path}" for path in found)


def _words(subjects: Iterable[str]) -> tuple[str, ...]:
    words = {word for subject in subjects for word in re.findall(r"[A-Za-z]{5,}", subject)}
    return tuple(sorted(words))


def _tag_globs(tags: Iterable[str]) -> tuple[str, ...]:
    heads = {match[0] for tag in tags if (match := re.match(r"[A-Za-z]*\d+\.|[A-Za-z]+-", tag))}
    return tuple(f"{head}*" for head in sorted(heads))
