"""HEADs, refs, tags, notes and the stash of one repository, as canonical facts.

In: a `Repository` and its `History`. Out: facts by key, and which commits are reachable. Object ids appear in no
fact, except those of trees and blobs, which are made of content alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distill.cases import Extra
from distill.sandbox.history import History, reachable
from distill.sandbox.listing import Listing
from distill.sandbox.objects import Budget, Tag
from distill.sandbox.repository import MAXIMUM_DEPTH, Repository, is_object_id

_SECTIONS = (("refs/heads/", "branch"), ("refs/tags/", "tag"), ("refs/remotes/", "remote-branch"))
_AUTOMATIC_STASH = re.compile(r"(WIP on .*?): [0-9a-f]{4,64} .*", re.DOTALL)
_NAMED_BY_ID = re.compile(r"(.*refs/(?:bisect|replace)/(?:.*-)?)([0-9a-f]{40,64})")
MAXIMUM_LOG = 10_000
MAXIMUM_NOTE = 64 * 1024


@dataclass(frozen=True, slots=True)
class ReferenceFacts:
    """What refs say, and the canonical ids of the commits that they reach, the stash and notes left out."""

    facts: dict[tuple[str, ...], Any]
    reachable: frozenset[str]


def read_reference_facts(
    listing: Listing, repository: Repository, history: History, extras: frozenset[Extra], budget: Budget
) -> ReferenceFacts:
    """Every fact that hangs on a ref or a HEAD."""
    facts: dict[tuple[str, ...], Any] = {}
    roots: set[str] = set()
    owner = repository.name
    for checkout in repository.checkouts:
        head = checkout.head
        if head is None:
            facts["head", checkout.name] = ("invalid",)
        elif head.startswith("ref:"):
            facts["head", checkout.name] = ("symbolic", head[5:])
        else:
            canonical = history.name(head)
            facts["head", checkout.name] = ("detached", canonical)
            roots.add(canonical)
    for ref, value in repository.refs.items():
        if ref == "refs/stash":
            continue
        if not ref.startswith("refs/notes/"):
            facts[_key(owner, ref, history.name)] = _target(repository, history, value, roots)
    stash = _stash(listing, repository, history)
    if stash:
        facts["stash", owner] = stash
        roots.update(entry[1] for entry in stash)
    for ref, value in repository.refs.items():
        if ref.startswith("refs/notes/"):
            facts.update(_notes(repository, history, ref, value, budget))
    if "reflog" in extras:
        for path in listing.files(f"{repository.git_directory}/logs"):
            facts["reflog", owner, path] = tuple(
                (message, history.name(oid))
                for oid, message in _log(listing, f"{repository.git_directory}/logs/{path}")
            )
    return ReferenceFacts(facts, reachable(history.commits, roots))


def _key(owner: str, ref: str, name: Callable[[str], str]) -> tuple[str, ...]:
    for prefix, section in _SECTIONS:
        if ref.startswith(prefix):
            return section, owner, ref[len(prefix) :]
    match = _NAMED_BY_ID.fullmatch(ref)
    if match is not None and is_object_id(match[2]):
        return "ref", owner, match[1], name(match[2])
    return "ref", owner, ref


def _target(repository: Repository, history: History, value: str, roots: set[str]) -> tuple[Any, ...]:
    """What a ref points to: its type first, then what identifies it."""
    if value.startswith("ref:"):
        return ("symbolic", value[5:])
    if not is_object_id(value):
        return ("invalid", value)
    tags: list[Any] = []
    oid = value
    for _ in range(MAXIMUM_DEPTH):
        stored = repository.store.get(oid)
        if stored is None:
            return ("missing", oid)
        if stored.kind == "commit":
            canonical = history.name(oid)
            roots.add(canonical)
            return _tagged(tags, "commit", canonical)
        if not isinstance(stored.parsed, Tag):
            return _tagged(tags, stored.kind, oid)
        tag = stored.parsed
        message = tag.message.partition(b"-----BEGIN PGP")[0].strip().decode("utf-8", "replace")
        tags.append((message, tag.tagger.identity.decode("utf-8", "replace") if tag.tagger else None))
        oid = tag.target
    return ("invalid", value)


def _tagged(tags: list[Any], kind: str, name: str) -> tuple[Any, ...]:
    """A plain object, or annotated tags around it, the innermost first."""
    fact: tuple[Any, ...] = (kind, name)
    for message, tagger in reversed(tags):
        fact = ("tag", fact, message, tagger)
    return fact


def _notes(
    repository: Repository, history: History, ref: str, value: str, budget: Budget
) -> dict[tuple[str, ...], Any]:
    """Notes by the object that they are on. How the notes came there is no part of them.

    A commit that nothing else reaches keeps its id: whether it still exists is up to git's housekeeping.
    """
    oid = repository.resolve(value)
    commit = repository.store.commit(oid) if oid is not None else None
    facts: dict[tuple[str, ...], Any] = {}
    for path, entry in repository.store.flatten(commit.tree).items() if commit is not None else ():
        noted = path.replace("/", "")
        target = history.names.get(noted, noted)
        body = repository.store.blob(entry.oid, budget)
        short = body is not None and len(body) <= MAXIMUM_NOTE
        text = body.strip().decode("utf-8", "replace") if body is not None and short else entry.oid
        facts["note", repository.name, ref.removeprefix("refs/notes/"), target] = text
    return facts


def _stash(listing: Listing, repository: Repository, history: History) -> tuple[tuple[Any, ...], ...]:
    """The stash, newest first: message, base commit, and the trees of worktree, index and untracked files."""
    if "refs/stash" not in repository.refs:
        return ()
    entries: list[tuple[Any, ...]] = []
    for oid, message in reversed(_log(listing, f"{repository.git_directory}/logs/refs/stash")):
        commit = repository.store.commit(oid)
        if commit is None:
            entries.append((message, f"missing:{oid}", None, None, None))
            continue
        history.name(oid)
        base = history.name(commit.parents[0]) if commit.parents else None
        others = [repository.store.commit(parent) for parent in commit.parents[1:3]]
        trees = [other.tree if other is not None else None for other in others] + [None, None]
        automatic = _AUTOMATIC_STASH.fullmatch(message)
        entries.append((automatic[1] if automatic else message, base, commit.tree, trees[0], trees[1]))
    return tuple(entries)


def _log(listing: Listing, path: str) -> list[tuple[str, str]]:
    """The new object id and the message of each line of a reflog, oldest first."""
    entries = []
    for line in (listing.text(path) or "").split("\n")[-MAXIMUM_LOG:]:
        head, _, message = line.partition("\t")
        words = head.split(" ", 2)
        if len(words) == 3 and is_object_id(words[1]):
            entries.append((words[1], message.strip()))
    return entries
