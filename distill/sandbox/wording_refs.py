"""Sentences about HEAD, branches, tags, commits and operations in progress."""

from __future__ import annotations

from typing import Any

from distill.sandbox.history import reachable
from distill.sandbox.snapshot import Fact, Key, Snapshot
from distill.sandbox.wording import Change, Telling, quote, quote_all


def head(telling: Telling, change: Change) -> str:
    """HEAD on another branch or commit than wanted."""
    owner = change.key[1]
    place = telling.place(owner)
    wanted, found = change.wanted, change.found
    if found is None or found[0] == "invalid":
        return f"HEAD{place} is broken"
    now = _head_words(telling.found, found)
    if wanted is None:
        return f"there is a HEAD{place} on {now}, which should not be there"
    if wanted[0] == "symbolic":
        name = wanted[1].removeprefix("refs/heads/")
        branch = ("branch", owner, name)
        still = "still " if change.untouched else ""
        if branch in telling.found.facts and branch not in telling.start.facts:
            return f"branch {quote(name)} was created, but HEAD{place} is {still}on {now}"
        return f"HEAD{place} is {still}on {now}, wanted branch {quote(name)}"
    return (
        f"HEAD{place} is {'still ' if change.untouched else ''}on {now}, wanted {_head_words(telling.wanted, wanted)}"
    )


def branch(telling: Telling, change: Change) -> str:
    """A branch that is missing, that should not be there, or that ends in another commit."""
    noun = "remote-tracking branch" if change.key[0] == "remote-branch" else "branch"
    if change.key[0] == "ref":
        noun = "ref"
    place = telling.place(change.key[1])
    if len(change.key) == 4:
        known = telling.wanted.commits.get(change.key[3]) or telling.found.commits.get(change.key[3])
        subject = known.commit.subject if known is not None else change.key[3]
        mark = change.key[2].rpartition("/")[2].removesuffix("-") or "replacement"
        return (
            _presence(f"the mark {quote(mark)} on commit {quote(subject)}{place}", change) or f"{noun} is not as wanted"
        )
    if place.startswith(" on remote ") and change.wanted is None and change.start is not None:
        return f"{place.removeprefix(' on ')} still has {noun} {quote(change.key[2])}"
    label = f"{noun} {quote(change.key[2])}{place}"
    return _presence(label, change) or _target(telling, change, label, change.wanted, change.found)


def tag(telling: Telling, change: Change) -> str:
    """A tag that is missing or extra, of the other type, with another message, or on another commit."""
    label = f"tag {quote(change.key[2])}{telling.place(change.key[1])}"
    presence = _presence(label, change)
    if presence:
        return presence
    wanted, found = change.wanted, change.found
    if (wanted[0] == "tag") != (found[0] == "tag"):
        types = ("annotated", "lightweight") if found[0] == "tag" else ("lightweight", "annotated")
        return f"{label} is {types[0]}, wanted {types[1]}"
    if wanted[0] == "tag":
        if wanted[1] == found[1] and wanted[2] != found[2]:
            return f"{label} says {quote(found[2])}, wanted {quote(wanted[2])}"
        if wanted[1] == found[1]:
            return f"{label} was made by {quote(found[3])}, wanted {quote(wanted[3])}"
        wanted, found = wanted[1], found[1]
    subjects = [
        quote(snapshot.commits[fact[1]].commit.subject) if fact[1] in snapshot.commits else quote(_short(fact))
        for snapshot, fact in ((telling.found, found), (telling.wanted, wanted))
    ]
    return f"{label} is {'still ' if change.untouched else ''}on commit {subjects[0]}, wanted {subjects[1]}"


def note(telling: Telling, change: Change) -> str:
    """A note on an object."""
    target = change.key[3]
    known = telling.wanted.commits.get(target) or telling.found.commits.get(target)
    where = f"commit {quote(known.commit.subject)}" if known is not None else quote(target)
    label = f"the note on {where}{telling.place(change.key[1])}"
    return _presence(label, change) or f"{label} says {quote(change.found)}, wanted {quote(change.wanted)}"


def operation(telling: Telling, change: Change) -> str:
    """A merge, rebase or the like that is in progress and should not be, or the other way round."""
    owner, what = change.key[1], change.key[2]
    place = telling.place(owner)
    related = (key for key in telling.changes if key[:2] == ("operation", owner) or _is_bisect_mark(key))
    telling.partner(change, *related)
    if change.found is None:
        ended = "was ended" if change.start is not None else "was not begun"
        return f"the {what}{place} {ended}, but should be in progress"
    if change.wanted is None:
        return f"a {what}{place} {'is still' if change.start is not None else 'was left'} in progress"
    return f"the {what}{place} stands at another point than wanted"


def commit_sentence(telling: Telling, change: Change, label: str, wanted: str, found: str) -> str:
    """What tells one history from another: commits that are missing, extra, or made differently."""
    commits = {**telling.found.commits, **telling.wanted.commits}
    if found not in commits or wanted not in commits:
        return f"{label} points to a commit that is not there"
    has, should = reachable(commits, [found]), reachable(commits, [wanted])
    lacks = [commits[name].commit.subject for name in commits if name in should - has]
    extra = [commits[name].commit.subject for name in commits if name in has - should]
    if not lacks:
        verb = "still on" if change.untouched else "on"
        return f"{_commits(extra)} {_are(extra)} {verb} {label}, but should not be"
    if not extra:
        return f"{_commits(lacks)} {_are(lacks)} missing from {label}"
    before = reachable(commits, [change.start[1]] if change.start is not None else [])
    kept = [commits[name].commit.subject for name in commits if name in (has - should) & before]
    new = [subject for subject in lacks if subject not in extra]
    if change.untouched and len(lacks) == len(extra) == 1 and new:
        return f"{label} still has commit {quote(kept[-1])}, wanted {quote(new[-1])} in its place"
    if change.untouched and new:
        return f"{_commits(new)} {_are(new)} missing from {label}"
    if kept and not change.untouched:
        return f"{_commits(kept)} {_are(kept)} still on {label}, but should be replaced"
    if len(lacks) == len(extra):
        return _last_commit(telling, label, wanted, found)
    return f"{_commits(lacks)} {_are(lacks)} missing from {label}, which has {_commits(extra)} instead"


def _last_commit(telling: Telling, label: str, wanted: str, found: str) -> str:
    should, has = telling.wanted.commits[wanted], telling.found.commits[found]
    name = f"commit {quote(has.commit.subject)} on {label}"
    if should.commit.tree != has.commit.tree:
        paths = _changed_paths(telling, should.commit.tree, has.commit.tree)
        where = f" in {quote_all(paths)}" if paths else ""
        return f"{name} has other content than wanted{where}"
    if should.commit.message.strip() != has.commit.message.strip() and should.parents == has.parents:
        if should.commit.subject == has.commit.subject:
            return f"{name} has another message body than wanted"
        return f"the last commit on {label} says {quote(has.commit.subject)}, wanted {quote(should.commit.subject)}"
    if should.commit.author.identity != has.commit.author.identity:
        author, other = (each.commit.author.identity.decode("utf-8", "replace") for each in (has, should))
        return f"{name} has author {quote(author)}, wanted {quote(other)}"
    if len(should.parents) != len(has.parents):
        return f"{name} has {len(has.parents)} parents, wanted {len(should.parents)}"
    return f"{name} stands on another history than wanted"


def _changed_paths(telling: Telling, wanted_tree: str, found_tree: str) -> list[str]:
    trees = []
    for snapshot, oid in ((telling.wanted, wanted_tree), (telling.found, found_tree)):
        stores = (state.repository.store for state in snapshot.repositories.values())
        store = next((store for store in stores if store.tree(oid) is not None), None)
        trees.append(store.flatten(oid) if store is not None else {})
    return sorted(path for path in trees[0].keys() | trees[1].keys() if trees[0].get(path) != trees[1].get(path))


def _is_bisect_mark(key: Key) -> bool:
    return key[0] == "ref" and "refs/bisect/" in key[2]


def _presence(label: str, change: Change) -> str:
    """The sentence when one side has it and the other has not; empty when both have it."""
    if change.found is None:
        return f"{label} was deleted" if change.start is not None else f"{label} is missing"
    if change.wanted is None:
        return f"{label} still exists" if change.start is not None else f"{label} was created, but should not be"
    return ""


def _target(telling: Telling, change: Change, label: str, wanted: Fact, found: Fact) -> str:
    if found[0] in ("missing", "invalid"):
        return f"{label} is broken"
    if found[0] == wanted[0] == "commit":
        return commit_sentence(telling, change, label, wanted[1], found[1])
    return f"{label} points to {found[0]} {quote(_short(found))}, wanted {wanted[0]} {quote(_short(wanted))}"


def _short(fact: Any) -> str:
    while fact[0] == "tag":
        fact = fact[1]
    return str(fact[1])


def _head_words(snapshot: Snapshot, fact: Fact) -> str:
    if fact[0] == "symbolic":
        return quote(fact[1].removeprefix("refs/heads/"))
    if fact[0] == "invalid":
        return "nothing"
    known = snapshot.commits.get(fact[1])
    return f"commit {quote(known.commit.subject)} without a branch" if known is not None else "no commit"


def _commits(subjects: list[str]) -> str:
    return f"commit{'s' if len(subjects) > 1 else ''} {quote_all(subjects[::-1])}"


def _are(subjects: list[str]) -> str:
    return "are" if len(subjects) > 1 else "is"
