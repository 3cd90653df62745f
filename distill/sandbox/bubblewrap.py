"""The bubblewrap tier: the worker as the first process of namespaces of its own.

Nothing of the machine is there but /usr and the few links and files that programs need to start, read-only; a memory
file system of a fixed size holds the cases; there is no network, no /proc and no process but the worker's. The worker
puts its system call filter, and Landlock where the kernel has it, on top. As root no user namespace is needed: only
the right to change users is kept, until the worker has become a user that owns nothing.

In: where `bwrap` is, and limits. Out: the command line that starts a worker. Nothing is started here but `bwrap
--version`.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distill.sandbox import seccomp
from distill.sandbox.confinement import DEVICES, READABLE, Settings
from distill.sandbox.execution import Limits
from distill.sandbox.image import ROOT
from distill.sandbox.tiers import (
    NOBODY,
    Launch,
    TierName,
    interpreter,
    last_line,
    own_user,
    package_folder,
    worker_command,
)

OLDEST = (0, 5, 0)
"""Has --perms, --chmod and --as-pid-1."""
INSTALL = "install it with your package manager, e.g. `apt install bubblewrap` or `dnf install bubblewrap`"

_SCRATCH = "/scratch"
_HARNESS = Path("/harness")
_SIZED = (0, 7, 0)
_NO_FURTHER_NAMESPACES = (0, 8, 0)


@dataclass(frozen=True)
class BubblewrapTier:
    """The preferred tier on Linux."""

    name: TierName = "bubblewrap"

    @property
    def description(self) -> str:
        version = ".".join(map(str, _version()))
        return f"bubblewrap {version}, all namespaces, seccomp, Landlock where the kernel has it"

    def problem(self) -> str | None:
        if sys.platform != "linux":
            return "bubblewrap runs on Linux only; on Windows use WSL2, elsewhere a Linux container"
        if shutil.which("bwrap") is None:
            return f"there is no `bwrap` on PATH; {INSTALL}"
        if _version() < OLDEST:
            found, oldest = (".".join(map(str, version)) for version in (_version(), OLDEST))
            return f"bubblewrap {found} is too old, {oldest} or newer is needed; {INSTALL}"
        return seccomp.problem()

    def launch(self, channel: int, limits: Limits) -> Launch:
        root = os.getuid() == 0
        settings = Settings(
            tier=self.name,
            channel=channel,
            root=ROOT,
            scratch=_SCRATCH,
            user=own_user() if root else None,
            spare_user=NOBODY if root else None,
            first=True,
        )
        command = (
            shutil.which("bwrap") or "bwrap",
            *_namespaces(root),
            *_files(limits),
            "--",
            *worker_command(_HARNESS, settings),
        )
        # A user namespace counts the tasks in it from zero, since Linux 5.14.
        shared = None if root or _kernel() >= (5, 14) else os.getuid()
        return Launch(command=command, shared_user=shared, folder=None, explain=explain)


def explain(words: str) -> str:
    """What can be done about it when `bwrap` says that it could not start."""
    message = last_line(words)
    if "ermission denied" in message or "not permitted" in message:
        return (
            f"{message}. Unprivileged user namespaces are not allowed here: on Ubuntu 24.04 load the AppArmor profile "
            "bwrap-userns-restrict (package apparmor-profiles); in Docker, user namespaces are refused by default and "
            "the landlock tier is the one to use"
        )
    return message


def _namespaces(root: bool) -> Iterator[str]:
    yield from ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
    yield from ("--die-with-parent", "--as-pid-1", "--hostname", "sandbox", "--cap-drop", "ALL")
    if root:
        yield from ("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
    else:
        yield "--unshare-user"
        if _version() >= _NO_FURTHER_NAMESPACES:
            yield "--disable-userns"


def _files(limits: Limits) -> Iterator[str]:
    shown: list[Path] = []
    for name in ("/etc", "/dev"):  # other folders that lead to something shown are for the owner alone
        yield from ("--perms", "0755", "--dir", name)
    for name in READABLE:
        path = Path(name)
        if path.is_symlink() and len(path.parts) == 2:
            yield from ("--symlink", str(path.readlink()), name)
        elif path.exists():
            shown.append(path)
            yield from ("--ro-bind", name, name)
    for name in DEVICES:
        yield from ("--dev-bind", name, name)
    for path in _python():
        if not any(path.is_relative_to(other) for other in shown):
            shown.append(path)
            yield from ("--ro-bind", str(path), str(path))
    package, inside = package_folder() / "distill", _HARNESS / "distill"
    for part in ("__init__.py", "sandbox"):
        yield from ("--ro-bind", str(package / part), str(inside / part))
    for name in (ROOT, _SCRATCH):
        yield from ("--perms", "0777")
        if _version() >= _SIZED:
            yield from ("--size", str(2 * limits.file_bytes + 16 * 1024 * 1024))
        yield from ("--tmpfs", name)
    yield from ("--remount-ro", "/", "--chdir", "/")


def _python() -> Iterator[Path]:
    """What the interpreter needs of the machine: itself, the standard library, shared libraries in odd places."""
    yield Path(interpreter())
    for key in ("stdlib", "platstdlib"):
        yield Path(sysconfig.get_path(key, vars={"base": sys.base_prefix, "platbase": sys.base_exec_prefix})).resolve()
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        name = line.partition("/")[2]
        if name and ".so" in name and "site-packages" not in name:
            path = Path(f"/{name}")
            if path.exists():
                yield path


@functools.cache
def _version() -> tuple[int, ...]:
    """The version of `bwrap`; (0,) when it does not say one."""
    try:
        done = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return (0,)
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, found.groups())) if found else (0,)


def _kernel() -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return tuple(map(int, found.groups())) if found else (0,)
