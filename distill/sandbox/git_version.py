"""Which git the answers run, and whether it works where they run it.

In: a `Runner`. Out: the version, or `SandboxUnavailable` with what to install. The git of this process's own PATH is
not asked: the one in the sandbox counts.
"""

from __future__ import annotations

import re

from distill.sandbox.environment import GLOBAL_CONFIG, SEARCH_PATH
from distill.sandbox.execution import Outcome, Runner, SandboxUnavailable
from distill.sandbox.image import Entry, Image, Kind

MINIMUM_GIT = (2, 34)
"""What Ubuntu 22.04 has. Older ones lack commands that a request may ask for, and answer differently to others."""

_PLACE = Image(
    {
        "repo": Entry(Kind.DIRECTORY, 0o755),
        "home": Entry(Kind.DIRECTORY, 0o755),
        "home/.gitconfig": Entry(Kind.FILE, 0o644, GLOBAL_CONFIG.encode()),
    }
)
_EVERYTHING = """\
git init --quiet && git config core.autocrlf false && echo text > file && chmod 755 file && test -x file &&
git add file && git commit --quiet --message text && git branch other && git status --porcelain
"""
"""Needs files, renames, permissions (git gives a configuration the mode that it had), and programs run by programs."""


def working_git(runner: Runner) -> str:
    """The version of the git in the sandbox, e.g. "2.39.5".

    Raises `SandboxUnavailable` when there is none, when it is older than `MINIMUM_GIT`, or when it cannot work there.
    """
    said = runner.run(_PLACE, "git --version")
    found = re.search(rb"git version ((\d+)\.(\d+)[\w.]*)", said.stdout)
    oldest = ".".join(map(str, MINIMUM_GIT))
    if found is None:
        words = said.detail or said.stderr.decode(errors="replace").strip()[:200]
        raise SandboxUnavailable(
            f"git {oldest} or newer is needed on {SEARCH_PATH}, and `git --version` did not run there ({words}); "
            "install it with your package manager, e.g. `apt install git`"
        )
    version = found[1].decode()
    if (int(found[2]), int(found[3])) < MINIMUM_GIT:
        raise SandboxUnavailable(f"git {version} is too old: {oldest} or newer is needed")
    tried = runner.run(_PLACE, _EVERYTHING)
    if tried.outcome is not Outcome.FINISHED or tried.exit_code != 0:
        words = tried.detail or tried.stderr.decode(errors="replace").strip()[:300]
        raise SandboxUnavailable(f"git {version} cannot work in the sandbox: {words}")
    return version
