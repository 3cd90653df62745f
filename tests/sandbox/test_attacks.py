"""Attacks from inside: in each tier of this machine, as the user of these tests and as one who owns nothing."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import distill
from distill.sandbox.bubblewrap import BubblewrapTier
from distill.sandbox.pool import Pool, open_pool
from distill.sandbox.tiers import LandlockTier

from ..attacks.interpreter import readable_python

pytestmark = pytest.mark.slow

_FILE = Path(__file__).with_name("attacks.py")
_SPECIFICATION = importlib.util.spec_from_file_location("distill_attacks", _FILE)
assert _SPECIFICATION is not None and _SPECIFICATION.loader is not None
attacks: Any = importlib.util.module_from_spec(_SPECIFICATION)
sys.modules[_SPECIFICATION.name] = attacks  # dataclasses look their module up
_SPECIFICATION.loader.exec_module(attacks)

TIERS = [tier.name for tier in (BubblewrapTier(), LandlockTier()) if tier.problem() is None]
NOBODY = 65534


def test_this_machine_has_a_sandbox() -> None:
    assert TIERS, "neither bubblewrap nor Landlock (Linux 6.12) is here, so no attack below has been tried"


@pytest.fixture(scope="module", params=TIERS)
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with open_pool(request.param, workers=1) as pool:
        yield pool


@pytest.mark.parametrize("one", attacks.ATTACKS, ids=lambda one: one.name)
def test_nothing_gets_through(pool: Pool, one: Any) -> None:
    assert attacks.carry_out(pool, one) == ""


@pytest.fixture(scope="module")
def ordinary(request: pytest.FixtureRequest) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """A Python and a package that a user who owns nothing can read, and how to become that user."""
    folder = Path(tempfile.mkdtemp(prefix="distill-ordinary-"))
    try:
        source = Path(distill.__file__).parent
        (folder / "distill").mkdir()
        shutil.copy(source / "__init__.py", folder / "distill")
        shutil.copytree(
            source / "sandbox", folder / "distill" / "sandbox", ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.copy(_FILE, folder)
        home = folder / "home"
        home.mkdir()
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        options: dict[str, Any] = {"env": {"PATH": os.defpath, "HOME": str(home), "LC_ALL": "C.UTF-8"}}
        if os.getuid() == 0:
            os.chown(home, NOBODY, NOBODY)
            options |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        yield [readable_python(folder, options), str(folder / _FILE.name), str(folder)], options
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("tier", TIERS)
def test_nothing_gets_through_for_an_ordinary_user(ordinary: Any, tier: str) -> None:
    command, options = ordinary
    done = subprocess.run([*command, tier], capture_output=True, text=True, timeout=240, check=False, **options)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["user"] != 0
    assert said["wrong"] == {}
    assert said["probes"] == [True] * 12
