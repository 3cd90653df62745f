"""What git is in the middle of: merge, rebase, cherry-pick, revert, am, bisect.

In: the git folder of one checkout. Out: facts by name that identify the operation and how far it has come, without
what differs from run to run: message drafts, editors' leftovers, counters that follow from the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from distill.sandbox.listing import Listing
from distill.sandbox.repository import is_object_id

OperationFact = str | tuple[str, ...]
_SINGLE = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "REBASE_HEAD": "stopped at",
    "MERGE_AUTOSTASH": "autostash",
}
_ABBREVIATED = re.compile(r"[0-9a-f]{7,64}")
MAXIMUM_STEPS = 10_000


def operations_in_progress(
    listing: Listing, git_directory: str, name: Callable[[str], str]
) -> dict[str, OperationFact]:
    """Facts by operation. `name` makes a canonical id of a full object id."""
    names = listing.names.get(git_directory, ())
    found: dict[str, OperationFact] = {}
    for file, operation in _SINGLE.items():
        # Git leaves REBASE_HEAD lying about after some rebases; it says something only while one is going on.
        if file in names and (file != "REBASE_HEAD" or "rebase-merge" in names or "rebase-apply" in names):
            words = (listing.text(f"{git_directory}/{file}") or "").split()
            found[operation] = tuple(name(word) if is_object_id(word) else word for word in words)
    if "rebase-merge" in names:
        found["rebase"] = _rebase(listing, f"{git_directory}/rebase-merge", name)
        autostash = listing.text(f"{git_directory}/rebase-merge/autostash")
        if autostash and is_object_id(autostash):
            found["autostash"] = name(autostash)
        found["rebase steps"] = _steps(listing, f"{git_directory}/rebase-merge/git-rebase-todo", name)
    if "rebase-apply" in names:
        folder = f"{git_directory}/rebase-apply"
        kind = "am" if f"{folder}/applying" in listing.entries else "rebase"
        progress = tuple(listing.text(f"{folder}/{file}") or "" for file in ("next", "last"))
        found[kind] = (*_rebase(listing, folder, name), *progress)
    if "sequencer" in names:
        found["sequence steps"] = _steps(listing, f"{git_directory}/sequencer/todo", name)
    if "BISECT_START" in names:
        start = listing.text(f"{git_directory}/BISECT_START") or ""
        terms = (listing.text(f"{git_directory}/BISECT_TERMS") or "").split()
        first_parent = "first parent" if "BISECT_FIRST_PARENT" in names else ""
        found["bisect"] = (name(start) if is_object_id(start) else start, *terms, first_parent)
        paths = (listing.text(f"{git_directory}/BISECT_NAMES") or "").split()
        if paths:
            found["bisect paths"] = tuple(paths)
    return found


def _rebase(listing: Listing, folder: str, name: Callable[[str], str]) -> tuple[str, ...]:
    texts = (listing.text(f"{folder}/{file}") or "" for file in ("head-name", "onto", "orig-head"))
    return tuple(name(text) if is_object_id(text) else text for text in texts)


def _steps(listing: Listing, path: str, name: Callable[[str], str]) -> tuple[str, ...]:
    """The steps that are still to do, each its verb and its commit; subjects are dropped."""
    steps = []
    for line in (listing.text(path) or "").split("\n")[:MAXIMUM_STEPS]:
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) > 1 and _ABBREVIATED.fullmatch(words[1]):
            commit = name(words[1]) if is_object_id(words[1]) else words[1]
            steps.append(f"{words[0]} {commit}")
        else:
            steps.append(" ".join(words))
    return tuple(steps)
