"""Sentences about files, the index and the stash."""

from __future__ import annotations

from typing import Any

from distill.sandbox.snapshot import Fact, Snapshot
from distill.sandbox.wording import Change, Telling, path_from_repository, quote


def index(telling: Telling, change: Change) -> str:
    """A path that is staged, tracked, marked or in conflict where it should not be, or the other way round."""
    owner, path = change.key[1:3]
    place = telling.place(owner)
    label = f"file {quote(path)}{place}"
    others = telling.partner(change, ("file", f"{owner}/{path}"))
    if others and (others[0].wanted is None or others[0].found is None):
        return file(telling, others[0])
    wanted, found = change.wanted, change.found
    conflict = [fact is not None and any(stage for stage, *_ in fact) for fact in (wanted, found)]
    if conflict[1] and not conflict[0]:
        return f"{label} is {'still ' if change.untouched else ''}in conflict"
    if conflict[0] and not conflict[1]:
        return f"{label} should be in conflict, but is not"
    flags = [fact[0][3] if fact else "" for fact in (wanted, found)]
    if wanted and found and flags[0] != flags[1] and wanted[0][:3] == found[0][:3]:
        return f"{label} is marked {flags[1] or 'nothing'}, wanted {flags[0] or 'nothing'}"
    staged = [
        _is_staged(telling, snapshot, owner, path, fact)
        for snapshot, fact in ((telling.wanted, wanted), (telling.found, found))
    ]
    if staged[0] and not staged[1]:
        what = "should be removed from the index" if wanted is None else "should be staged"
        return f"{label} {what} but is not"
    if staged[1] and not staged[0]:
        if found is None:
            return f"{label} was removed from the index"
        return f"{label} is {'still ' if change.untouched else ''}staged but should not be"
    if found is None:
        return f"{label} is no longer tracked" if change.start is not None else f"{label} is not tracked"
    if wanted is None:
        return f"{label} is still tracked" if change.start is not None else f"{label} is tracked but should not be"
    if others:
        return file(telling, others[0])
    if not change.requested:
        return f"{label} was {'staged' if staged[1] else 'committed'}, but should not be"
    if change.untouched:
        return f"the change of {label} was not staged"
    return f"{label} has other content in the index than wanted"


def file(_telling: Telling, change: Change) -> str:
    """A file that is missing, extra, of another kind, or of other content."""
    path = change.key[1]
    wanted, found = change.wanted, change.found
    noun = (found or wanted)[0]
    noun = {"folder": "empty folder", "symlink": "symbolic link", "other": "special file"}.get(noun, "file")
    label = f"{noun} {quote(path_from_repository(path))}"
    if found is None:
        return f"{label} was deleted" if change.start is not None else f"{label} is missing"
    if wanted is None:
        return f"{label} still exists" if change.start is not None else f"{label} was created, but should not be"
    if wanted[0] != found[0]:
        return f"{label} is a {found[0]}, wanted a {wanted[0]}"
    if found[0] == "file" and wanted[2] == found[2]:
        return f"{label} is {'' if found[1] else 'not '}executable, wanted otherwise"
    if not change.requested:
        return f"{label} was changed, but should not be"
    if change.untouched:
        return f"{label} was not changed"
    return f"{label} has other content than wanted"


def stash(telling: Telling, change: Change) -> str:
    """Entries of the stash that were dropped, kept, added, or made differently."""
    place = telling.place(change.key[1])
    start, wanted, found = (list(each or ()) for each in (change.start, change.wanted, change.found))
    lacks = [entry for entry in wanted if entry not in found]
    extra = [entry for entry in found if entry not in wanted]
    dropped = [entry for entry in lacks if entry in start]
    kept = [entry for entry in extra if entry in start]
    if dropped:
        return f"stash {quote(_message(dropped[0]))}{place} was dropped"
    if kept and not lacks:
        return f"stash {quote(_message(kept[0]))}{place} is still there"
    if lacks and not extra:
        return f"nothing was stashed{place}" if found == start else f"a stash{place} is missing"
    if extra and not lacks:
        return f"a stash {quote(_message(extra[0]))}{place} was made, but should not be"
    if lacks and extra:
        if lacks[0][1:] == extra[0][1:]:
            return f"the stash{place} is called {quote(_message(extra[0]))}, wanted {quote(_message(lacks[0]))}"
        return f"stash {quote(_message(extra[0]))}{place} holds other content than wanted"
    return f"the entries of the stash{place} are in another order or number than wanted"


def _message(entry: Any) -> str:
    return entry[0] if entry[0] is not None else "of any message"


def _is_staged(telling: Telling, snapshot: Snapshot, checkout: str, path: str, fact: Fact) -> bool:
    """Whether the index has this path otherwise than HEAD."""
    committed = telling.head_tree(snapshot, checkout).get(path)
    if fact is None or committed is None:
        return (fact is None) != (committed is None)
    return bool(fact[0][1:3] != (f"{committed.mode:o}", committed.oid))
