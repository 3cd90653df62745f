"""Sentences about config, remotes, upstreams, worktrees, and whole repositories."""

from __future__ import annotations

import re

from distill.sandbox.snapshot import GLOBAL_CONFIG, Fact, Key
from distill.sandbox.wording import MAIN, Change, Telling, path_from_repository, quote

_UPSTREAM = re.compile(r"branch\.(.+)\.(?:remote|merge)", re.DOTALL)
_REMOTE = re.compile(r"remote\.(.+)\.(?:url|fetch)", re.DOTALL)


_REFS = ("branch", "remote-branch", "tag", "head")


def config(telling: Telling, change: Change) -> str:
    """A setting; remotes and upstreams in the words that people use for them."""
    path, name = change.key[1:3]
    upstream = _UPSTREAM.fullmatch(name)
    if upstream is not None:
        prefix = f"branch.{upstream[1]}."
        telling.partner(change, ("config", path, prefix + "remote"), ("config", path, prefix + "merge"))
        has, should = (
            _upstream(facts.get(("config", path, prefix + "remote")), facts.get(("config", path, prefix + "merge")))
            for facts in (telling.found.facts, telling.wanted.facts)
        )
        return f"the upstream of branch {quote(upstream[1])}{_where(telling, path)} is {has}, wanted {should}"
    remote = _REMOTE.fullmatch(name)
    if remote is not None:
        url, fetch = (("config", path, f"remote.{remote[1]}.{last}") for last in ("url", "fetch"))
        telling.partner(change, url, fetch)
        sentence = _remote(telling.changes.get(url, change), f"remote {quote(remote[1])}{_where(telling, path)}")
        if sentence:
            return sentence
    label = f"config {_plain(name)}{_where(telling, path)}"
    if change.found is None:
        elsewhere = next(
            (
                other
                for key, other in telling.changes.items()
                if key[0] == "config" and key[2] == name and key != change.key and other.found == change.wanted
            ),
            None,
        )
        if elsewhere is not None:
            return f"{label} is not set; it was set{_where(telling, elsewhere.key[1]) or ' in the repository'} instead"
        return f"{label} is {'no longer' if change.start is not None else 'not'} set, wanted {_values(change.wanted)}"
    if change.wanted is None:
        still = "still" if change.start is not None else "now"
        return f"{label} is {still} set to {_values(change.found)}, but should not be set"
    return f"{label} is {_values(change.found)}, wanted {_values(change.wanted)}"


def worktree(telling: Telling, change: Change) -> str:
    """A linked worktree or its lock. What is in one that is missing or extra goes without saying."""
    path = change.key[2]
    label = f"worktree {quote(path_from_repository(path))}"
    if change.found is None or change.wanted is None:
        telling.partner(change, *(key for key in telling.changes if _belongs(key, path, path)))
    if change.found is None:
        return f"{label} was removed" if change.start is not None else f"{label} is missing"
    if change.wanted is None:
        return f"{label} still exists" if change.start is not None else f"{label} was added, but should not be"
    if change.found[0] != change.wanted[0]:
        return f"the folder of {label} is {'there' if change.found[0] else 'gone'}, wanted otherwise"
    if (change.found[1] is None) != (change.wanted[1] is None):
        return f"{label} is {'not locked' if change.found[1] is None else 'locked'}, wanted otherwise"
    return f"{label} is locked because of {quote(change.found[1])}, wanted {quote(change.wanted[1])}"


def repository(telling: Telling, change: Change) -> str:
    """A whole repository. Everything in it that differs in the same way goes without saying."""
    name = change.key[1]
    state = telling.found.repositories.get(name) or telling.wanted.repositories[name]
    folder = state.repository.git_directory
    inner = [key for key in telling.changes if key != change.key and _belongs(key, name, folder)]
    if change.found is None or change.wanted is None:
        telling.partner(change, *inner)
    if "/modules/" in name:
        label = f"submodule {quote(name.rpartition('/modules/')[2])}"
        return f"{label} is {'not' if change.found is None else 'now'} initialized, wanted otherwise"
    if change.found is None:
        no_longer = "no longer" if change.start is not None else "not"
        return f"{quote(path_from_repository(name))} is {no_longer} a git repository"
    if change.wanted is None:
        verb = "still exists" if change.start is not None else "was created, but should not be"
        return f"repository {quote(path_from_repository(name))} {verb}"
    has, should = (" and ".join(fact) for fact in (change.found, change.wanted))
    return f"repository {quote(name)} is {has}, wanted {should}"


def patterns(telling: Telling, change: Change) -> str:
    """Sparse checkout, excludes, attributes, alternates: lists of lines."""
    section = change.key[0]
    names = {
        "sparse": "the sparse checkout",
        "info": f"info/{change.key[-1]}",
        "alternates": "the list of alternates",
    }
    label = f"{names[section]}{telling.place(change.key[1])}"
    if change.found is None:
        return f"{label} is {'gone' if change.start is not None else 'missing'}"
    if change.wanted is None:
        return f"{label} {'is still there' if change.start is not None else 'was added'}, but should not be"
    lacks = [line for line in change.wanted if line not in change.found]
    extra = [line for line in change.found if line not in change.wanted]
    if not lacks and not extra:
        return f"the lines of {label} are in another order or number than wanted"
    parts = [f"lacks {_values(lacks)}"] if lacks else []
    parts += [f"has {_values(extra)} too much"] if extra else []
    return f"{label} {' and '.join(parts)}"


def shallow(telling: Telling, change: Change) -> str:
    """Where a shallow history is cut off. That its commits compare as others then goes without saying."""
    owner = change.key[1]
    label = f"the history{telling.place(owner)}"
    telling.partner(
        change, *(key for key in telling.changes if key[0] in _REFS and key[1] == owner and _moved(telling, key))
    )
    if change.found is None:
        return f"{label} is {'no longer' if change.start is not None else 'not'} shallow, wanted otherwise"
    if change.wanted is None:
        return f"{label} is {'still' if change.start is not None else 'now'} shallow, but should not be"
    return f"{label} is cut off at another commit than wanted"


def _moved(telling: Telling, key: Key) -> bool:
    """Whether both sides have this ref, on commits that differ only in what lies behind them."""
    change = telling.changes[key]
    if change.wanted is None or change.found is None:
        return False
    sides = (
        snapshot.commits.get(fact[1])
        for snapshot, fact in ((telling.wanted, change.wanted), (telling.found, change.found))
    )
    return len({(known.commit.tree, known.commit.message) if known is not None else None for known in sides}) == 1


def _remote(change: Change, label: str) -> str:
    if not change.key[2].endswith(".url"):
        return ""
    if change.found is None:
        return f"{label} was removed" if change.start is not None else f"{label} is missing"
    if change.wanted is None:
        return f"{label} still exists" if change.start is not None else f"{label} was added, but should not be"
    return f"{label} points to {_values(change.found)}, wanted {_values(change.wanted)}"


def _upstream(remote: Fact, merge: Fact) -> str:
    if not remote or not merge:
        return "not set"
    branch = merge[-1].removeprefix("refs/heads/")
    return quote(branch if remote[-1] == "." else f"{remote[-1]}/{branch}")


def _where(telling: Telling, path: str) -> str:
    if path in GLOBAL_CONFIG:
        return " in the global config"
    if path.endswith("/.gitmodules"):
        return " in .gitmodules"
    owner = path.rpartition("/")[0]
    if owner.startswith(f"{MAIN}/.git/worktrees/") or path.endswith("/config.worktree"):
        return " in the config of a worktree"
    return telling.place(owner.removesuffix("/.git"))


def _belongs(key: Key, name: str, git_directory: str) -> bool:
    return key[1] == name or key[1].startswith((f"{name}/", f"{git_directory}/"))


def _plain(name: str) -> str:
    quoted = quote(name)
    return name if quoted == f"'{name}'" and " " not in name else quoted


def _values(values: Fact) -> str:
    several = [quote(value) for value in list(values)[:4]]
    return " and ".join(several) + (" and more" if len(values) > 4 else "")
