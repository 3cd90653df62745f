"""Names that are put together: many, and such as the shell and git take without quotes."""

from __future__ import annotations

import subprocess

import pytest

from distill.training.chance import Chance
from distill.training.inventing import FORMS
from distill.training.names import Names

MESSAGES = {"commit_message", "tag_message", "stash_message", "note", "person"}


@pytest.mark.parametrize("kind", sorted(set(FORMS) - MESSAGES))
def test_an_invented_name_is_one_plain_word(kind: str, names: Names) -> None:
    for number in range(200):
        name = names.invent(kind, Chance(f"{kind}/{number}"))
        assert name
        assert not set(name) & set(" {}'\"$`\\!?[]&|;<>()"), name


@pytest.mark.parametrize(("kind", "fewest"), [("new_branch", 290), ("commit_message", 290), ("new_tag", 200)])
def test_they_hardly_ever_come_twice(kind: str, fewest: int, names: Names) -> None:
    assert len({names.invent(kind, Chance(f"{kind}/{number}")) for number in range(300)}) >= fewest


def test_the_same_chance_gives_the_same_name(names: Names) -> None:
    assert names.invent("new_tag", Chance("7/a")) == names.invent("new_tag", Chance("7/a"))


@pytest.mark.parametrize("kind", ["new_branch", "new_tag"])
def test_git_takes_them_for_refs(kind: str, names: Names) -> None:
    for number in range(60):
        name = names.invent(kind, Chance(f"{kind}/{number}"))
        assert subprocess.run(["git", "check-ref-format", f"refs/heads/{name}"], check=False).returncode == 0, name
