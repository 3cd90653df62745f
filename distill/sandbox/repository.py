"""One repository of an image: its objects, refs, config, and the checkouts that hang on it.

In: a `Listing` and the git folder. Out: a `Repository` of plain, verified data. Nothing is judged here, and nothing
of the repository is ever obeyed: config, hooks and links are data. Damage that leaves no state to look at raises
`UnreadableRepository`; a missing object or a broken ref is a fact like any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from distill.sandbox.config_file import ConfigError, Setting, parse_config
from distill.sandbox.image import Kind
from distill.sandbox.index import IndexEntry, parse_index
from distill.sandbox.listing import Layout, Listing, inside
from distill.sandbox.objects import DIRECTORY, Algorithm, Budget, Commit, Tag, UnreadableRepository
from distill.sandbox.packs import Pack, open_pack
from distill.sandbox.store import ObjectStore

MAXIMUM_REFS = 200_000
MAXIMUM_CONFIG = 1024 * 1024
MAXIMUM_DEPTH = 10
"""How far symbolic refs, nested tags and alternates are followed."""
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class Checkout:
    """A HEAD with its index: the repository's own, or one of a linked worktree."""

    name: str
    """The worktree's path in the image; the git folder where there is none."""
    git_directory: str
    worktree: str | None
    head: str | None
    """`ref: refs/heads/…`, an object id, or None when HEAD is neither."""
    index: tuple[IndexEntry, ...]
    locked: str | None = None
    """Why a linked worktree is locked; None when it is not."""
    linked: bool = False
    present: bool = True
    """Whether a linked worktree's folder is still there and points back."""


@dataclass(frozen=True, slots=True)
class Repository:
    """Everything that identifies a repository, unjudged."""

    name: str
    """The worktree's path in the image, e.g. `repo`; the git folder's for a bare one or a submodule."""
    git_directory: str
    bare: bool
    store: ObjectStore
    packs: tuple[Pack, ...]
    config: tuple[Setting, ...]
    refs: dict[str, str]
    """Full name → object id, or `ref: NAME`; any other text is a broken ref."""
    shallow: frozenset[str]
    checkouts: tuple[Checkout, ...]

    @property
    def algorithm(self) -> Algorithm:
        return self.store.algorithm

    def resolve(self, name: str) -> str | None:
        """The object id behind a ref's name or a HEAD's text, through symbolic refs."""
        value: str | None = name
        for _ in range(MAXIMUM_DEPTH):
            if value is None or _OID.fullmatch(value):
                return value
            value = self.refs.get(value.removeprefix("ref:").strip())
        return None

    def peel(self, oid: str) -> str | None:
        """The id of the commit behind an object, through annotated tags; None when there is none."""
        for _ in range(MAXIMUM_DEPTH):
            stored = self.store.get(oid)
            if stored is None or not isinstance(stored.parsed, Tag):
                return oid if stored is not None and isinstance(stored.parsed, Commit) else None
            oid = stored.parsed.target
        return None

    def head_tree(self, checkout: Checkout) -> str | None:
        """The id of the tree that a checkout's HEAD stands on; None on an unborn branch."""
        oid = self.resolve(checkout.head) if checkout.head is not None else None
        peeled = self.peel(oid) if oid is not None else None
        commit = self.store.commit(peeled) if peeled is not None else None
        return commit.tree if commit is not None else None


def is_object_id(text: str) -> bool:
    """Whether a text is a full object id."""
    return _OID.fullmatch(text) is not None


def read_repository(listing: Listing, layout: Layout, git_directory: str, budget: Budget) -> Repository:
    """Read one of `layout.repositories`. Raises `UnreadableRepository`."""
    found_in = layout.repositories[git_directory]
    config = read_config(listing, f"{git_directory}/config")
    settings = dict(config)
    algorithm: Algorithm = "sha256" if settings.get("extensions.objectformat") == "sha256" else "sha1"
    if settings.get("extensions.refstorage", "files") != "files" or f"{git_directory}/reftable" in listing.entries:
        raise UnreadableRepository(f"the refs of '{git_directory}' are stored as a reftable, which is not read")
    folders = _object_folders(listing, f"{git_directory}/objects")
    packs = _open_packs(listing, folders, algorithm)
    store = ObjectStore(listing.entries, folders, packs, algorithm, budget)
    worktree = found_in
    if worktree is None:
        worktree = next((folder for folder, target in layout.pointers.items() if target == git_directory), None)
    if worktree is None and "core.worktree" in settings:
        worktree = inside(settings["core.worktree"] or "", git_directory)
    name = git_directory if found_in is None else found_in or ".."
    if found_in is None and f"{git_directory}/.git" in layout.repositories:
        name = f"{git_directory} (bare)"
    own = Checkout(name, git_directory, worktree, _head(listing, git_directory), _index(listing, git_directory, store))
    linked = [
        _linked(listing, layout, f"{git_directory}/worktrees/{each}", store)
        for each in sorted(listing.names.get(f"{git_directory}/worktrees", ()))
    ]
    shallow = listing.text(f"{git_directory}/shallow") or ""
    return Repository(
        name=name,
        git_directory=git_directory,
        bare=worktree is None,
        store=store,
        packs=packs,
        config=config,
        refs=_read_refs(listing, git_directory),
        shallow=frozenset(line for line in shallow.split() if is_object_id(line)),
        checkouts=(own, *linked),
    )


def read_config(listing: Listing, path: str) -> tuple[Setting, ...]:
    """The settings of a config file, none when it does not exist. Raises `UnreadableRepository`."""
    data = listing.data(path) or b""
    if len(data) > MAXIMUM_CONFIG:
        raise UnreadableRepository(f"the config file '{path}' is larger than {MAXIMUM_CONFIG >> 20} MiB")
    try:
        return parse_config(data)
    except ConfigError as error:
        raise UnreadableRepository(f"the config file '{path}' is one that git refuses to read ({error})") from None


def _head(listing: Listing, git_directory: str) -> str | None:
    path = f"{git_directory}/HEAD"
    entry = listing.entries.get(path)
    if entry is not None and entry.kind is Kind.SYMLINK:
        # HEAD as a link is how git wrote symbolic refs at first, and still reads them.
        target = entry.data.decode("utf-8", "surrogateescape")
        return f"ref: {target}" if target.startswith("refs/") else None
    return _ref_value(listing.text(path) or "")


def _ref_value(text: str) -> str | None:
    if text.startswith("ref:"):
        return f"ref: {text[4:].strip()}"
    return text if is_object_id(text) else None


def _index(listing: Listing, git_directory: str, store: ObjectStore) -> tuple[IndexEntry, ...]:
    entries = parse_index(listing.data(f"{git_directory}/index") or b"", store.algorithm)
    if all(entry.mode != DIRECTORY for entry in entries):
        return entries
    unfolded: list[IndexEntry] = []
    for entry in entries:
        if entry.mode != DIRECTORY:
            unfolded.append(entry)
            continue
        folder = entry.path.rstrip("/")
        for path, item in store.flatten(entry.oid).items():
            unfolded.append(IndexEntry(f"{folder}/{path}", 0, item.mode, item.oid, entry.flags))
            if len(unfolded) > MAXIMUM_REFS:
                raise UnreadableRepository(f"the index of '{git_directory}' unfolds to more paths than can be read")
    return tuple(unfolded)


def _linked(listing: Listing, layout: Layout, git_directory: str, store: ObjectStore) -> Checkout:
    pointer = listing.text(f"{git_directory}/gitdir") or ""
    target = inside(pointer, git_directory)
    worktree = target.removesuffix("/.git") if target else None
    return Checkout(
        name=worktree if worktree is not None else git_directory,
        git_directory=git_directory,
        worktree=worktree,
        head=_head(listing, git_directory),
        index=_index(listing, git_directory, store),
        locked=listing.text(f"{git_directory}/locked"),
        linked=True,
        present=worktree is not None and layout.pointers.get(worktree) == git_directory,
    )


def _object_folders(listing: Listing, own: str) -> tuple[str, ...]:
    folders = [own]
    for depth, folder in enumerate(folders):
        lines = (listing.text(f"{folder}/info/alternates") or "").splitlines()
        for line in lines:
            target = inside(line, folder) if line and not line.startswith("#") else None
            if target and target not in folders and depth < MAXIMUM_DEPTH and len(folders) < 100:
                folders.append(target)
    return tuple(folders)


def _open_packs(listing: Listing, folders: tuple[str, ...], algorithm: Algorithm) -> tuple[Pack, ...]:
    packs = []
    for folder in folders:
        for name in sorted(listing.names.get(f"{folder}/pack", ())):
            if name.endswith(".idx"):
                index = listing.data(f"{folder}/pack/{name}")
                data = listing.data(f"{folder}/pack/{name[:-4]}.pack")
                if index is not None and data is not None:
                    packs.append(open_pack(data, index, algorithm))
    return tuple(packs)


def _read_refs(listing: Listing, git_directory: str) -> dict[str, str]:
    refs: dict[str, str] = {}
    packed = listing.data(f"{git_directory}/packed-refs")
    for line in packed.decode("utf-8", "surrogateescape").split("\n") if packed else ():
        oid, space, name = line.partition(" ")
        if space and oid[:1] not in ("#", "^"):
            refs[name] = oid
            if len(refs) > MAXIMUM_REFS:
                raise UnreadableRepository(f"'{git_directory}' has more than {MAXIMUM_REFS:,} refs")
    linked = listing.names.get(f"{git_directory}/worktrees", ())
    for folder in (git_directory, *(f"{git_directory}/worktrees/{each}" for each in linked)):
        for path in listing.files(f"{folder}/refs"):
            if path.endswith(".lock"):
                continue
            entry = listing.entries[f"{folder}/refs/{path}"]
            text = entry.data.decode("utf-8", "surrogateescape").strip()
            if entry.kind is Kind.SYMLINK:
                text = f"ref: {inside(text, f'{folder}/refs/{path}'.rpartition('/')[0]) or text}"
                text = text.replace(f"ref: {folder}/", "ref: ", 1)
            owner = "" if folder == git_directory else f"worktrees/{folder.rpartition('/')[2]}/"
            refs[f"{owner}refs/{path}"] = _ref_value(text) or text[:200]
    return refs
