"""Twins: the same repository with other names in it.

In: a recipe, what its repository holds, lists of names, a `Chance`. Out: a recipe whose branches, tags, files, folders,
people and some words of its texts are called otherwise. A student that always sees the same names learns the names; one
that sees each of them a few times has to copy them from the request. A twin is named after its content, so that it can
be kept in one file with all others (`keep_twins`) and a case that was made on it finds it again.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from distill.cases import Recipe
from distill.runs import write_whole
from distill.sources import read_lines
from distill.training.chance import Chance
from distill.training.holdings import Holdings
from distill.training.names import Names
from graders.vocabulary import SUBCOMMANDS

FILE = "repositories.jsonl"
"""The twins of a project, beside its store."""

_WORDS = 0.5
"""How many of the words of messages and files become others."""
_NOT_ONLY_NAMES = """
git main master origin head repo home printf echo cat cd rm mv cp mkdir rmdir touch chmod sed head tail sort grep
seq sh bash true false test sleep set export for do done if then else fi in while read exit local name user email
core refs heads tags hooks info objects index author quiet message verbatim amend drop pop list save start good bad
skip onto theirs ours soft hard mixed keep patch edit pick squash fixup reword none all dev null
"""
_SYNTAX = SUBCOMMANDS | frozenset(_NOT_ONLY_NAMES.split())
"""Words that may be more than a name in a recipe's steps."""


def twin(recipe: Recipe, holdings: Holdings, names: Names, chance: Chance) -> Recipe:
    """The recipe with other names. Whether its steps still run is not known until it is built."""
    renamed = _renamed(holdings, names, chance)
    steps = tuple(_replaced(step, renamed) for step in recipe.steps)
    digest = hashlib.sha256("\n".join(steps).encode()).hexdigest()[:10]
    return recipe.model_copy(
        update={
            "name": f"{recipe.name[:60].rstrip('-')}-{digest}",
            "description": _replaced(recipe.description, renamed),
            "bait": tuple(_replaced(each, renamed) for each in recipe.bait),
            "steps": steps,
        }
    )


def keep_twins(path: Path, twins: Iterable[Recipe]) -> None:
    """Add twins to a file; those that it holds stay, because older requests may stand on them."""
    kept = {**read_twins(path), **{each.name: each for each in twins}}
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(kept[name].model_dump(mode="json"), ensure_ascii=False) + "\n" for name in sorted(kept))
    write_whole(path, "".join(lines))


def read_twins(path: Path) -> dict[str, Recipe]:
    """By name; none without the file. Raises `OSError`, and `ValueError` with file and line of a mistake."""
    found = read_lines(Recipe, path, what="recipe") if path.exists() else ()
    return {recipe.name: recipe for recipe in found}


def _renamed(holdings: Holdings, names: Names, chance: Chance) -> dict[str, str]:
    """Old names and what each becomes; no two become the same."""
    renamed: dict[str, str] = {}
    for kind, old in _names(holdings, chance):
        if old in renamed or old.lower() in _SYNTAX or len(old) < 2:
            continue
        new = names.invent(kind, chance)
        if new.lower() not in _SYNTAX and new not in renamed.values() and new not in renamed:
            renamed[old] = new
    return renamed


def _names(holdings: Holdings, chance: Chance) -> Iterator[tuple[str, str]]:
    """What a repository's names are, and of which kind."""
    for branch in holdings.of("branch"):
        yield "new_branch", branch
    for tag in holdings.of("tag"):
        yield "new_tag", tag
    for remote in holdings.of("remote"):
        yield "new_remote", remote
    for author in holdings.of("author"):
        for number, part in enumerate(author.split()):
            yield "last_name" if number else "first_name", part
    for path in (*holdings.of("file"), *holdings.of("worktree"), *holdings.of("patch"), *holdings.of("bundle")):
        *folders, last = path.split("/")
        for folder in folders:
            if re.match(r"\w", folder):
                yield "folder_stem", folder
        stem = posixpath.splitext(last)[0]
        if re.match(r"[a-z]", stem):  # .gitignore and README are what they are
            yield "file_stem", stem
    for word in holdings.of("text"):
        if word.islower() and word.isalpha() and chance.happens(_WORDS):
            yield "word", word


def _replaced(text: str, renamed: Mapping[str, str]) -> str:
    """All at once, and only whole names: `box` is not in `boxes`, `inbox` or `box-office`."""
    if not renamed:
        return text
    olds = "|".join(re.escape(old) for old in sorted(renamed, key=lambda old: (-len(old), old)))
    return re.sub(rf"(?<![\w-])(?:{olds})(?![\w-])", lambda match: renamed[match[0]], text)
