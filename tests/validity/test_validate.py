"""A validation from end to end on two small cases, one of which is badly made."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from distill.sandbox.pool import Pool
from distill.sandbox.recipes import Recipes
from distill.validity.progress import Progress
from distill.validity.report import survivors, validity_page, write_validity
from distill.validity.validate import Finding, Group, Result, Validity, trials_of, validate

from .conftest import WORLD, orchard

GOOD = orchard("git branch -D attic", "git branch -d attic", reject=["git branch -D cellar"])
BLIND = orchard("git log --oneline", id="blind", reject=["git log"], output={"must": ["Paint the apple"]})
"""Asks for a fact that nearly every command prints, and rejects what is right."""


@pytest.fixture(scope="module")
def found(pool: Pool) -> Validity:
    twin = GOOD.model_copy(update={"id": "good-again", "request": "Weg mit attic."})
    stream = io.StringIO()
    reasons = {("orchard-case", "git branch -d other"): "It is not made.", ("blind", "git reflog"): "It prints it too."}
    reasons["blind", "extra tag"] = "This would be wrong to say."
    validity = validate([GOOD, BLIND, twin], {"orchard": WORLD}, pool, equivalents=reasons, stream=stream)
    assert f"{validity.runs}/{validity.runs} runs" in stream.getvalue()
    return validity


def test_a_good_case_has_no_holes(found: Validity) -> None:
    assert not [hole for hole in found.holes if hole.trial.case == "orchard-case"]
    assert not found.refused
    assert not found.unsettled


def test_a_blind_case_has_holes(found: Validity) -> None:
    holes = {hole.trial.command: hole.trial.group for hole in found.holes if hole.trial.case == "blind"}
    assert holes["git log"] is Group.REJECT
    assert holes["git show"] is Group.HARD if "git show" in holes else holes["git log --all --oneline"] is Group.HARD
    assert not found.sound


def test_listed_equivalents_are_counted_apart_and_stale_ones_named(found: Validity) -> None:
    assert [(each.trial.case, each.trial.command, each.reason) for each in found.equivalents] == [
        ("blind", "git reflog", "It prints it too.")
    ]
    assert found.stale == ("orchard-case: git branch -d other", "blind: extra tag")
    assert found.total(Group.HARD).equivalent == 1


def test_the_tallies_add_up(found: Validity) -> None:
    groups = [found.total(group) for group in Group]
    counted = sum(tally.runs + tally.not_applicable + tally.equivalent for tally in groups)
    assert counted + len(found.unsettled) == found.runs
    assert sum(tally.runs - tally.right for tally in groups) == len(found.holes) + len(found.refused)
    assert found.total(Group.COLLATERAL).right == found.total(Group.COLLATERAL).runs > 40


def test_a_translation_is_not_counted_twice(found: Validity, images: Recipes) -> None:
    plain = trials_of(GOOD, images, derived=False)
    everything = trials_of(GOOD, images), trials_of(BLIND, images)
    assert found.runs == sum(map(len, everything)) + len(plain)
    assert {trial.group for trial in plain}.isdisjoint({Group.HARD, Group.COLLATERAL})


def test_a_broken_case_says_nothing_about_its_commands(pool: Pool) -> None:
    unreadable = orchard("git config extensions.refStorage reftable && git config core.repositoryformatversion 1")
    validity = validate([unreadable], {"orchard": WORLD}, pool)
    assert {finding.result for finding in validity.unsettled} == {Result.UNSETTLED}
    assert "reftable" in validity.unsettled[0].reason
    assert validity.total(*Group).right == validity.total(*Group).runs - len(validity.refused)
    assert not validity.sound


def test_it_survives_json(found: Validity) -> None:
    assert Validity.model_validate_json(found.model_dump_json()) == found
    json.dumps(found.model_dump(mode="json"), allow_nan=False)


def test_the_order_is_that_of_the_cases(found: Validity) -> None:
    assert [tally.category for tally in found.tallies] == ["orchards"] * len(found.tallies)
    assert found.tallies[0].group is Group.ACCEPT


def test_the_page_names_what_is_open_and_gives_every_rate_an_interval(found: Validity, tmp_path: Path) -> None:
    path = tmp_path / "validity.md"
    write_validity(path, found)
    page = path.read_text()
    assert page == validity_page(found)
    tally = found.total(Group.COLLATERAL)
    assert f"| right answers with damage fail | {tally.right} of {tally.runs} | 100 % | [" in page
    assert "## Open holes" in page
    assert "`git reflog`" in page
    assert "## Entries to be removed" in page
    assert found.case_set[:16] in page
    assert page.count("\n\n\n") == 0


def test_a_command_cannot_break_the_page(found: Validity) -> None:
    evil = "git log `x` | <script>\n# heading"
    hole = found.holes[0].model_copy(update={"trial": found.holes[0].trial.model_copy(update={"command": evil})})
    page = validity_page(found.model_copy(update={"holes": (hole,)}))
    assert "\n# heading" not in page
    assert "``git log `x` | <script> ⏎ # heading``" in page


def test_survivors_are_listed_by_case_and_kind(found: Validity) -> None:
    text = survivors(found.holes)
    assert text.splitlines()[0] == "blind"
    assert "  near miss of the case's own: git log" in text.splitlines()
    assert text.count("blind") == 1


def test_survivors_name_damage_by_the_answer_that_it_stands_behind(found: Validity) -> None:
    trial = found.holes[0].trial.model_copy(
        update={"group": Group.COLLATERAL, "kind": "junk commit", "command": "x\n{ y; }", "origin": "git log"}
    )
    finding = Finding(trial=trial, result=Result.PASSED, carried_out=True, reason="")
    assert survivors([finding]) == "blind\n  junk commit: behind git log"


def test_progress_without_a_stream_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(1, None) as progress:
        progress.advance()
    assert capsys.readouterr() == ("", "")
