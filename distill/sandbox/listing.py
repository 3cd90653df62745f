"""The folders of an image: what lies in which, and where the repositories are.

In: an `Image`. Out: a `Listing` with the names in every folder, and a `Layout` that tells git folders from
ordinary files. Symbolic links are never followed: a `.git` that is one is an ordinary link here.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

from distill.sandbox.image import ROOT, Image, Kind

_COMPARED = """
HEAD config config.worktree index objects refs packed-refs hooks info logs modules worktrees shallow
rebase-merge rebase-apply sequencer MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD REBASE_HEAD MERGE_AUTOSTASH
BISECT_START BISECT_TERMS BISECT_NAMES BISECT_FIRST_PARENT
"""
_LEFT_OUT = """
ORIG_HEAD FETCH_HEAD COMMIT_EDITMSG MERGE_MSG MERGE_MODE MERGE_RR SQUASH_MSG TAG_EDITMSG NOTES_EDITMSG
EDIT_DESCRIPTION ADD_EDIT.patch AUTO_MERGE BISECT_LOG BISECT_EXPECTED_REV BISECT_ANCESTORS_OK BISECT_RUN
gc.log gc.pid description branches rr-cache lost-found commondir gitdir
"""
GIT_NAMES = frozenset(_COMPARED.split() + _LEFT_OUT.split())
"""What git puts into its folder; anything else there is a file like any other."""


class Listing:
    """The entries of an image by folder. The root is the empty path."""

    def __init__(self, image: Image) -> None:
        self.entries = image.entries
        self.names: dict[str, list[str]] = {"": []}
        """The names that lie directly in each folder that is not empty."""
        names = self.names
        for path in self.entries:
            folder, _, name = path.rpartition("/")
            while name:
                known = names.get(folder)
                if known is not None:
                    known.append(name)
                    break
                names[folder] = [name]
                if folder in self.entries:
                    break
                # Nobody listed this folder itself; it exists all the same, because something lies in it.
                folder, _, name = folder.rpartition("/")

    def data(self, path: str) -> bytes | None:
        """The bytes of a regular file; None for anything else."""
        entry = self.entries.get(path)
        return entry.data if entry is not None and entry.kind is Kind.FILE else None

    def text(self, path: str) -> str | None:
        """A regular file as text without the white space at its ends."""
        data = self.data(path)
        return None if data is None else data.decode("utf-8", "surrogateescape").strip()

    def files(self, folder: str) -> Iterator[str]:
        """The paths below a folder that are not folders, relative to it, in no particular order."""
        pending = [""]
        while pending:
            prefix = pending.pop()
            for name in self.names.get(f"{folder}/{prefix}".rstrip("/"), ()):
                relative = prefix + name
                entry = self.entries.get(f"{folder}/{relative}")
                if entry is None or entry.kind is Kind.DIRECTORY:
                    pending.append(f"{relative}/")
                else:
                    yield relative

    def is_git_directory(self, folder: str) -> bool:
        """Whether git would take this folder for the inside of a repository."""
        names = self.names.get(folder, ())
        return "HEAD" in names and "objects" in names and "refs" in names


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the repositories of an image are, and every path that belongs to none of them."""

    repositories: dict[str, str | None] = field(default_factory=dict)
    """Git folder → the worktree that it was found in; None for a bare one and for a submodule's."""
    pointers: dict[str, str] = field(default_factory=dict)
    """Folder that holds a `.git` file → the git folder it points to; "" when that is outside the image."""
    files: list[str] = field(default_factory=list)
    """Everything outside git folders that is not a folder."""
    empty_folders: list[str] = field(default_factory=list)


def find_layout(listing: Listing) -> Layout:
    """Walk an image from the root, passing over what git put into its folders, except for the modules there."""
    layout = Layout()
    pending = [""]
    while pending:
        folder = pending.pop()
        prefix = f"{folder}/" if folder else ""
        own = folder in layout.repositories
        for name in listing.names[folder]:
            if own and name in GIT_NAMES:
                continue
            path = prefix + name
            entry = listing.entries.get(path)
            if entry is None or entry.kind is Kind.DIRECTORY:
                if path not in listing.names:
                    layout.empty_folders.append(path)
                    continue
                if listing.is_git_directory(path):
                    layout.repositories[path] = folder if name == ".git" else None
                    _find_modules(listing, path, layout)
                # Into git folders too: `git init --bare` makes one of a folder that holds other files.
                pending.append(path)
            elif name == ".git" and entry.kind is Kind.FILE and entry.data.startswith(b"gitdir:"):
                target = entry.data[7:].decode("utf-8", "surrogateescape").strip()
                layout.pointers[folder] = inside(target, folder) or ""
            else:
                layout.files.append(path)
    return layout


def _find_modules(listing: Listing, git_directory: str, layout: Layout) -> None:
    """Submodules keep their git folders in the superproject's; their names may hold slashes."""
    pending = [f"{git_directory}/modules"]
    while pending:
        folder = pending.pop()
        for name in listing.names.get(folder, ()):
            path = f"{folder}/{name}"
            if listing.is_git_directory(path):
                layout.repositories[path] = None
                pending.append(f"{path}/modules")
            elif path in listing.names:
                pending.append(path)


def inside(target: str, folder: str) -> str | None:
    """A path as git wrote it, absolute or relative to `folder`, as a path of the image; None when outside it."""
    absolute = posixpath.normpath(posixpath.join(f"{ROOT}/{folder}", target))
    if absolute == ROOT:
        return ""
    return absolute[len(ROOT) + 1 :] if absolute.startswith(f"{ROOT}/") else None
