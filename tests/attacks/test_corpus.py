"""The corpus: what it has to cover, a handful of it always, and all of it, everywhere, in the thorough tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.attacks import campaign as campaigns
from tests.attacks.campaign import Campaign, places
from tests.attacks.carry_out import BARE
from tests.attacks.corpus import AttackClass, CorpusError, _vector, load
from tests.attacks.stage import Place
from tests.attacks.world import EFFECTS, World

CLASSES = {each.name: each for each in load()}
TIERS = [place.where for place in places() if place.where != BARE]
A_HANDFUL = (
    "alias",
    "cat",
    "redirection",
    "background",
    "pair-of-datagrams",
    "temporary-folder-closed",
    "kill-the-worker",
)
WORDS = (
    *("-c alias", "--config-env", "git config ", "include.path", "GIT_CONFIG_COUNT", "core.fsmonitor", "core.editor"),
    *("core.sshCommand", "core.askPass", "core.hooksPath", "diff.external", "textconv", "filter.x.clean"),
    *("merge.x.driver", "gpg.program", "credential.helper", "uploadpack", "rebase -x", "grep -O", "difftool -y -x"),
    *("--upload-pack", "--receive-pack", "--template", "--exec-path", "--exec=", "--output", "-o @OUTSIDE@"),
    *("bisect run", "submodule foreach", "filter-branch", "for-each-repo", "instaweb", "send-email", "git daemon"),
    *("maintenance start", "credential-cache", "ext::", "clone -q @REPOSITORY@", "git-remote-evil", ".git/hooks/"),
    *(".gitattributes", "ln -s @OUTSIDE@", "ln @BESIDE@", ".GIT", "--no-index", "hash-object -w", "-F @SECRET@"),
    *("config --file @SECRET@", "> @CANARY@", "<<END", "$(echo x >", "&", "double-fork", "setsid", "fork-bomb"),
    *("head -c 1G", "many-small-files", "sleep 60", "yes", "\\e]52", "kill -KILL $PPID", "kill -KILL -1"),
    *("inherited-descriptors", "/proc/", "syscall(101", "unshare -Ur", "syscall(425", "VISUAL=", "GIT_SSH="),
)


def test_the_corpus_covers_every_way_that_is_known() -> None:
    text = "\n".join(
        f"{vector.id} {vector.run} {vector.prepare} {vector.files}"
        for each in CLASSES.values()
        for vector in each.vectors
    )
    assert [word for word in WORDS if word not in text] == []
    assert sum(len(each.vectors) for each in CLASSES.values()) >= 150
    assert {vector.success for each in CLASSES.values() for vector in each.vectors} == set(EFFECTS)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"id": "x", "run": "true", "sucess": "read"}, "expected id, run"),
        ({"run": "true"}, "an attack without id"),
        ({"id": "x", "run": "true", "success": "won"}, "success is 'won'"),
    ],
)
def test_an_entry_that_is_not_right_is_named(entry: dict[str, str], words: str) -> None:
    with pytest.raises(CorpusError, match=words):
        _vector("some.yaml", entry)


def test_the_world_sees_what_is_done_to_it(tmp_path: Path) -> None:
    with World(tmp_path, "/nowhere", "repository-secret") as world:
        names = world.names()
        assert world.effects([b"nothing"], {}) == {}
        secret = Path(names["@SECRET@"]).read_text().split()[-1]
        assert set(world.effects([secret.encode()], {})) == {"read"}
        assert set(world.effects([], {"a/repository-secret": b""})) == {"read"}
        os.utime(names["@CANARY@"], (5, 5))
        assert set(world.effects([], {})) == {"changed"}
        Path(names["@BESIDE@"], "new").touch()
        os.kill(int(names["@VICTIM@"]), 9)
        world._decoy.wait()
        assert set(world.effects([], {})) == {"written", "harmed"}


def test_a_process_is_seen_while_it_changes_into_another(tmp_path: Path) -> None:
    with World(tmp_path, "/nowhere", "repository-secret") as world:
        for _ in range(200):
            subprocess.run(["bash", "-c", f"exec setsid sleep {world.mark} &"], check=True, start_new_session=True)
            assert world.processes() != []
            world.end_processes()


@pytest.mark.slow
def test_a_handful_fires_without_a_sandbox_and_is_held_in_every_tier() -> None:
    chosen = tuple(vector for each in CLASSES.values() for vector in each.vectors if vector.id in A_HANDFUL)
    assert len(chosen) == len(A_HANDFUL)
    done = _carried_out(AttackClass(name="handful", about="", vectors=chosen), places())
    assert done.escapes() + done.unproved() == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_every_attack_fires_without_a_sandbox(name: str) -> None:
    assert _carried_out(CLASSES[name], (Place(BARE, False),)).unproved() == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("tier", TIERS)
def test_no_attack_escapes(tier: str, name: str) -> None:
    where = tuple(place for place in places() if place.where == tier)
    done = _carried_out(CLASSES[name], where)
    assert done.escapes() + done.unproved() == []


def test_tiers_are_here_to_be_attacked() -> None:
    assert {"bubblewrap", "landlock"} <= set(TIERS)


def _carried_out(chosen: AttackClass, where: tuple[Place, ...]) -> Campaign:
    return campaigns.run([chosen], where, lambda _place, _result: None)
