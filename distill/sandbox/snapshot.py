"""A tree as canonical facts: what two equally right commands leave alike, and nothing that they do not.

In: an `Image`. Out: a `Snapshot`, a mapping from keys to JSON values. The first part of a key is its section, the
second the repository, checkout or file that it speaks of. Whole repositories beside `repo/` (remotes, clones of
colleagues, submodules) are read in the same way. Reflogs, object storage, ORIG_HEAD, FETCH_HEAD, message drafts, stat
data and sample hooks are left out, except for what a case asks for with `compare`.

Untracked and ignored files are not told apart: which of them is which follows from facts that are compared.
Nothing here runs git, touches a disk, follows a link or raises anything but `UnreadableRepository`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from distill.cases import Extra
from distill.sandbox.archives import SUFFIXES, content_id
from distill.sandbox.config_file import ConfigError, Setting, parse_config
from distill.sandbox.history import Blobs, History, KnownCommit
from distill.sandbox.image import Entry, Image, Kind
from distill.sandbox.listing import Layout, Listing, find_layout
from distill.sandbox.objects import Budget, UnreadableRepository, blob_id
from distill.sandbox.operations import operations_in_progress
from distill.sandbox.references import read_reference_facts
from distill.sandbox.repository import MAXIMUM_CONFIG, Checkout, Repository, read_config, read_repository

Key = tuple[str, ...]
Fact = Any
"""A JSON value: text, number, boolean, None, or a tuple of such."""

GLOBAL_CONFIG = ("home/.gitconfig", "home/.config/git/config")
MAXIMUM_REPOSITORIES = 200
_FLAG_WORDS = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
_SETS = (".fetch", ".push")
"""Ends of config keys whose values are a set; of every other key the last value wins, so the order counts."""


@dataclass(frozen=True)
class RepositoryState:
    """What `harm` and the sentences ask of a repository beyond the facts."""

    repository: Repository
    reachable: frozenset[str]
    """Canonical ids of the commits that refs and HEADs reach, the stash left out."""
    committed: frozenset[str]
    """Ids of the blobs that those commits hold."""
    stashed: frozenset[str]
    """Ids of the blobs that only the stash holds."""


@dataclass(frozen=True)
class Snapshot:
    """The canonical facts of an image."""

    facts: Mapping[Key, Fact]
    commits: Mapping[str, KnownCommit]
    """Every commit that a fact reaches, by canonical id."""
    repositories: Mapping[str, RepositoryState]
    files: Mapping[str, Entry]
    """Everything outside git folders that is not a folder."""
    extras: frozenset[Extra] = frozenset()


def take_snapshot(image: Image, extras: Iterable[Extra] = ()) -> Snapshot:
    """Read the facts of an image; `extras` are what a case compares beyond the usual.

    Raises `UnreadableRepository`, and nothing else, when a repository cannot be read.
    """
    listing = Listing(image)
    layout = find_layout(listing)
    if len(layout.repositories) > MAXIMUM_REPOSITORIES:
        raise UnreadableRepository(f"there are more than {MAXIMUM_REPOSITORIES} repositories")
    taking = _Taking(listing, layout, frozenset(extras))
    for git_directory in sorted(layout.repositories):
        taking.add_repository(git_directory)
    taking.add_checkouts()
    taking.add_files()
    return Snapshot(taking.facts, taking.commits, taking.states, taking.files, taking.extras)


class _Taking:
    """One snapshot while it is being taken."""

    def __init__(self, listing: Listing, layout: Layout, extras: frozenset[Extra]) -> None:
        self.listing = listing
        self.layout = layout
        self.extras = extras
        self.budget = Budget()
        self.facts: dict[Key, Fact] = {}
        self.commits: dict[str, KnownCommit] = {}
        self.states: dict[str, RepositoryState] = {}
        self.files: dict[str, Entry] = {}
        self.names: dict[str, str] = {}
        self.histories: list[tuple[Repository, History]] = []

    def add_repository(self, git_directory: str) -> None:
        repository = read_repository(self.listing, self.layout, git_directory, self.budget)
        history = History(repository, self.extras)
        name = repository.name
        facts = self.facts
        facts["repository", name] = ("bare" if repository.bare else "with a worktree", repository.algorithm)
        references = read_reference_facts(self.listing, repository, history, self.extras, self.budget)
        facts.update(references.facts)
        committed, every = Blobs(), Blobs()
        history.gather_blobs(references.reachable, committed)
        every.ids, every.trees = set(committed.ids), set(committed.trees)
        for checkout in repository.checkouts:
            self._add_operations(checkout, history)
        history.gather_blobs([each for each in history.commits if each not in references.reachable], every)
        if history.missing and not _is_partial(repository):
            facts["missing", name] = tuple(sorted(history.missing)[:20])
        self.states[name] = RepositoryState(
            repository, references.reachable, frozenset(committed.ids), frozenset(every.ids - committed.ids)
        )
        self.histories.append((repository, history))
        self.names.update(history.names)
        self.commits.update(history.commits)
        self._add_config(f"{git_directory}/config", repository.config)
        self._add_administration(repository, history)

    def add_checkouts(self) -> None:
        """HEADs were read with the refs; here the indexes, once the commits of all submodules have names."""
        for repository, _ in self.histories:
            for checkout in repository.checkouts:
                stages: dict[str, list[tuple[int, str, str, str]]] = {}
                for entry in checkout.index:
                    oid = self.names.get(entry.oid, entry.oid) if entry.mode == 0o160000 else entry.oid
                    fact = (entry.stage, f"{entry.mode:o}", oid, entry.flags)
                    stages.setdefault(entry.path, []).append(fact)
                for path, facts in stages.items():
                    self.facts["index", checkout.name, path] = tuple(facts) if len(facts) == 1 else tuple(sorted(facts))

    def add_files(self) -> None:
        entries = self.listing.entries
        for path in GLOBAL_CONFIG:
            self._add_config(path, read_config(self.listing, path))
        for path in self.layout.files:
            entry = self.files[path] = entries[path]
            if path in GLOBAL_CONFIG and entry.kind is Kind.FILE:
                continue
            if path.endswith("/.gitmodules") and self._add_submodule_config(path):
                self.facts["file", path] = (*self._file(path, entry)[:2], None)  # its content is in the settings
                continue
            self.facts["file", path] = self._file(path, entry)
        for path in self.layout.empty_folders:
            self.facts["file", path] = ("folder",)
        linked = {
            checkout.git_directory
            for repository, _ in self.histories
            for checkout in repository.checkouts
            if checkout.linked
        }
        for folder, target in self.layout.pointers.items():
            if target not in linked:
                self.facts["submodule", folder] = target

    def _file(self, path: str, entry: Entry) -> Fact:
        if entry.kind is Kind.FILE:
            identity = None
            if path.endswith(SUFFIXES):
                identity = content_id(path, entry.data)
            return ("file", bool(entry.mode & 0o100), identity or blob_id(entry.data))
        if entry.kind is Kind.SYMLINK:
            return ("symlink", entry.data.decode("utf-8", "surrogateescape"))
        return (entry.kind.value,)

    def _add_config(self, path: str, settings: Iterable[Setting]) -> None:
        values: dict[str, list[str]] = {}
        for key, value in settings:
            values.setdefault(key, []).append("true" if value is None else _FLAG_WORDS.get(value.lower(), value))
        for key, several in values.items():
            self.facts["config", path, key] = tuple(sorted(several) if key.endswith(_SETS) else several)

    def _add_submodule_config(self, path: str) -> bool:
        data = self.listing.data(path)
        if data is None or len(data) > MAXIMUM_CONFIG:
            return False
        try:
            settings = parse_config(data)
        except ConfigError:
            return False
        self._add_config(path, settings)
        return bool(settings)

    def _add_operations(self, checkout: Checkout, history: History) -> None:
        for operation, fact in operations_in_progress(self.listing, checkout.git_directory, history.name).items():
            self.facts["operation", checkout.name, operation] = fact

    def _add_administration(self, repository: Repository, history: History) -> None:
        """Hooks, patterns, worktrees and alternates."""
        listing, facts = self.listing, self.facts
        name, folder = repository.name, repository.git_directory
        for path in listing.files(f"{folder}/hooks"):
            if not path.endswith(".sample"):
                facts["hook", name, path] = self._file(path, listing.entries[f"{folder}/hooks/{path}"])
        for file in ("exclude", "attributes", "grafts"):
            self._add_lines(("info", name, file), f"{folder}/info/{file}")
        self._add_lines(("alternates", name), f"{folder}/objects/info/alternates")
        if repository.shallow:
            facts["shallow", name] = tuple(sorted(history.name(oid) for oid in repository.shallow))
        for checkout in repository.checkouts:
            self._add_lines(("sparse", checkout.name), f"{checkout.git_directory}/info/sparse-checkout")
            if checkout.linked:
                facts["worktree", name, checkout.name] = (checkout.present, checkout.locked)
            path = f"{checkout.git_directory}/config.worktree"
            self._add_config(path, read_config(listing, path))
        if "packs" in self.extras:
            loose = any(len(each) == 2 for each in listing.names.get(f"{folder}/objects", ()))
            facts["storage", name] = (len(repository.packs), loose)

    def _add_lines(self, key: Key, path: str) -> None:
        text = self.listing.text(path) or ""
        lines = tuple(line for line in text.splitlines() if line.strip() and not line.startswith("#"))
        if lines:
            self.facts[key] = lines


def _is_partial(repository: Repository) -> bool:
    """Whether objects may be missing by arrangement with a remote that promised to have them."""
    return any(key == "extensions.partialclone" or key.endswith(".promisor") for key, _ in repository.config)
