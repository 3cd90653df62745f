"""The Seatbelt tier: every case in a sandbox of macOS's own, put on by `sandbox-exec`.

The worker itself stays outside of it, and only starts what is inside: sandboxes of macOS do not nest, and a worker in
the same one as its case could be ended by it. The profile denies all that it does not name: no network, no reading but
of the system and the case, no writing but of the case, no signals but within the sandbox.

**It has not been run.** It is written by Apple's profiles and headers, tested on its text alone, and has to be asked
for by name. Whether it holds is for the self-test to find on each machine; when it does not, nothing is run.

In: limits. Out: the command that starts a worker. Nothing is started here.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from distill.sandbox.confinement import Settings
from distill.sandbox.execution import Limits
from distill.sandbox.tiers import Launch, TierName, package_folder, worker_command

PROGRAM = "/usr/bin/sandbox-exec"
READABLE = (
    *("/usr", "/bin", "/sbin", "/System", "/Library/Apple", "/Library/Developer/CommandLineTools"),
    *("/private/etc/ssl", "/private/var/db/timezone", "/private/var/select", "/private/var/db/dyld"),
    *("/opt/homebrew", "/Applications/Xcode.app/Contents/Developer"),
)
"""What bash, git, the core tools and perl need of the machine, wherever git was installed from."""
WRITABLE_DEVICES = ("/dev/null", "/dev/zero")
READABLE_DEVICES = (*WRITABLE_DEVICES, "/dev/random", "/dev/urandom")


@dataclass(frozen=True)
class SeatbeltTier:
    """macOS, without a virtual machine."""

    name: TierName = "seatbelt"
    description: str = "macOS Seatbelt: files of the case and the system, no network; not exercised by this project"

    def problem(self) -> str | None:
        if sys.platform != "darwin":
            return "Seatbelt is part of macOS; on Linux use bubblewrap or landlock"
        if os.getuid() == 0:
            return "a case in Seatbelt keeps its user, so run this as an ordinary one and not as root"
        if shutil.which(PROGRAM) is None:
            return f"there is no {PROGRAM}, which is part of macOS; use docker"
        return None

    def launch(self, channel: int, limits: Limits) -> Launch:  # noqa: ARG002 # the worker counts what a case writes
        folder = Path(tempfile.mkdtemp(prefix="distill-case-")).resolve()
        return Launch(
            command=worker_command(package_folder(), settings(folder, channel)),
            shared_user=os.getuid(),
            folder=folder,
        )


def settings(folder: Path, channel: int) -> Settings:
    """A worker whose cases, in `folder`, are shut in by the command that they are started with."""
    root, scratch = str(folder / "case"), str(folder / "scratch")
    unconfined = Settings(
        tier="seatbelt", channel=channel, root=root, scratch=scratch, folder=str(folder), confined=False
    )
    return dataclasses.replace(unconfined, wrapper=(PROGRAM, "-p", profile([root, scratch]), "--"))


def profile(writable: Iterable[str]) -> str:
    """The rules, in Seatbelt's own language. `writable`: the folders of the case, without links in their paths.

    Raises `ValueError` for a path that cannot be written in it.
    """
    own = _paths("subpath", writable)
    return "\n".join(
        [
            "(version 1)",
            "(deny default)",
            "(allow process-fork)",
            f"(allow process-exec {_paths('subpath', READABLE)} {own})",
            "(allow signal (target same-sandbox))",
            "(allow sysctl-read)",
            # Names and kinds of the folders above, which every look at a path goes through; not what they hold.
            '(allow file-read-metadata (literal "/") (subpath "/private") (subpath "/tmp") (subpath "/var"))',
            '(allow file-read* (literal "/"))',
            f"(allow file-read* {_paths('subpath', READABLE)} {_paths('literal', READABLE_DEVICES)} {own})",
            f"(allow file-write* {own})",
            f"(allow file-write-data {_paths('literal', WRITABLE_DEVICES)})",
            "(deny network*)",
            "(deny file-write-setugid)",
        ]
    )


def _paths(filter_name: str, paths: Iterable[str]) -> str:
    found = []
    for path in paths:
        if not path.startswith("/") or any(letter in path for letter in '"\\\n\r\0'):
            raise ValueError(f"a Seatbelt profile needs an absolute path without quotes or escapes, and got {path!r}")
        found.append(f'({filter_name} "{path}")')
    return " ".join(found)
