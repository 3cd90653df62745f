"""The environment of a case, built from nothing: what a command line finds around it.

In: where the root of the case is. Out: every environment variable that it gets, and the content of its global
git configuration, which is an ordinary, writable file of the case. Nothing of this process's own environment ever
passes through here. Identity is in the file and editors are at the end of git's own order, because a variable
such as GIT_AUTHOR_NAME or GIT_EDITOR would mask an answer that sets `user.name` or `core.editor`.
"""

from __future__ import annotations

import re
from pathlib import Path

from distill.sandbox.image import ROOT

ANSWER_MOMENT = 1_748_854_800
"""The author and committer date of every answer: 2 June 2025, 09:00 UTC, later than any starting repository's."""

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"

GLOBAL_CONFIG = """\
[user]
\tname = Ada Example
\temail = ada@example.com
[init]
\tdefaultBranch = main
[protocol "file"]
\tallow = always
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""
"""What `home/.gitconfig` holds at first: an identity, submodules from local paths, and no work in the background."""

_REAL_ROOT = re.compile(rb"(?:/[\w.+@-]+)*/distill-case-[a-z0-9_]{8}/case(?![\w.-])")


def case_environment(root: str | Path, *, scratch: str | Path | None = None) -> dict[str, str]:
    """Every variable that a command in the case at `root` gets.

    `scratch` is a writable folder for temporary files that is not part of the case; without it TMPDIR is unset.
    """
    moment = f"@{ANSWER_MOMENT} +0000"
    environment = {
        "PATH": SEARCH_PATH,
        "HOME": f"{root}/home",
        "USER": "ada",
        "LOGNAME": "ada",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "dumb",
        "PAGER": "cat",
        "GIT_PAGER": "cat",
        "EDITOR": "true",
        "GIT_ASKPASS": "false",
        "SSH_ASKPASS": "false",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_AUTHOR_DATE": moment,
        "GIT_COMMITTER_DATE": moment,
    }
    ceiling = str(Path(root).parent)
    if ceiling != "/":
        environment["GIT_CEILING_DIRECTORIES"] = ceiling
    if scratch is not None:
        environment["TMPDIR"] = str(scratch)
    return environment


def write_global_config(home: Path) -> None:
    """Put the global git configuration into a home folder, as a file like any other."""
    file = home / ".gitconfig"
    file.write_text(GLOBAL_CONFIG, encoding="utf-8")
    file.chmod(0o644)


def with_root_named(text: bytes) -> bytes:
    """`text` with the folder that a case really ran in written as `ROOT`.

    Trees and output come back from a sandbox like that already; this is for text which lies packed inside a git
    object, such as the message of a merge from an absolute path.
    """
    return _REAL_ROOT.sub(ROOT.encode(), text)
