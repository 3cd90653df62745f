"""What a command line may try, and what has to come of it; in every tier, as every user.

Standard library and the sandbox only, because it is also run as a program, `attacks.py PACKAGE TIER`, by the Python of
a user who cannot read this one's packages. It then prints one line of JSON: what each attack that got through did.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEGABYTE = 1024 * 1024
MARK = f"61.{os.getpid():07}"


@dataclass(frozen=True)
class Attack:
    name: str
    command: str
    outcomes: str
    """Those allowed, by their values."""
    holds: Callable[[Any], bool]
    """Whether the execution is as it has to be."""
    limits: dict[str, Any]


def attack(name: str, command: str, outcomes: str, holds: Callable[[Any], bool], **limits: Any) -> Attack:
    return Attack(name, command, outcomes, holds, limits)


def entry(execution: Any, path: str) -> Any:
    return execution.image.entries[f"repo/{path}"]


def printed(text: bytes) -> Callable[[Any], bool]:
    return lambda execution: execution.stdout == text


ATTACKS = (
    attack("deadline", "sleep 60", "timed out", lambda run: run.seconds < 30 and run.exit_code is None, seconds=0.2),
    attack(
        "deadline that is ignored",
        "trap '' TERM INT HUP; while :; do :; done",
        "timed out",
        lambda run: run.exit_code is None,
        seconds=0.2,
    ),
    attack(
        "flood of output",
        "yes",
        "timed out",
        lambda run: run.truncated and run.stdout == b"y\n" * 500,
        seconds=0.3,
        output_bytes=1000,
    ),
    attack(
        "flood of errors that ends",
        "head -c 3000000 /dev/zero >&2; echo end",
        "finished",
        lambda run: run.truncated and len(run.stderr) == 256 * 1024 and run.stdout == b"end\n",
    ),
    attack(
        "daemon",
        f"(setsid sh -c 'sleep {MARK} & wait' >/dev/null 2>&1 &); setsid sleep {MARK} & disown; echo $?",
        "finished",
        lambda run: not running(MARK) and run.stdout == b"0\n",
    ),
    attack("one large file", "head -c 1G /dev/zero > big", "overflowed", lambda run: run.image is None),
    attack("sparse file", "truncate -s 1T big; ls -s big", "finished", lambda run: entry(run, "big").data == b""),
    attack(
        "many files",
        "for i in {1..200}; do head -c 1M /dev/zero > $i; done; echo all",
        "overflowed",
        lambda run: run.image is None,
    ),
    attack(
        "files without a name",
        'for i in 3 4 5 6; do eval "exec $i>x"; rm x; head -c 15M /dev/zero >&$i; done; sleep 9',
        "overflowed",
        lambda run: run.image is None and run.seconds < 9,
    ),
    attack("too many paths", "mkdir x; cd x; touch {1..600}", "overflowed", lambda run: True, paths=500),
    attack("fork bomb", "f() { f | f & }; f; sleep 0.5", "finished timed out", lambda run: True, seconds=1.0),
    attack("kill everything", "sleep 60 & kill -KILL -1; echo alive", "finished", lambda run: True),
    attack(
        "kill the parent", "kill -KILL $PPID; kill -STOP $PPID; kill $PPID; echo alive", "finished", printed(b"alive\n")
    ),
    attack(
        "pipe that nobody reads",
        "mkfifo pipe; ln pipe again; git status --short",
        "finished",
        lambda run: entry(run, "pipe").kind.value == "other" and entry(run, "pipe").data == b"",
    ),
    attack(
        "locked tree",
        "mkdir -p a/b; echo x > a/b/c; chmod 0 a/b/c a/b; chmod 111 a; chmod 0 ..",
        "finished",
        lambda run: (
            (entry(run, "a").mode, entry(run, "a/b").mode, entry(run, "a/b/c").mode) == (0o111, 0, 0)
            and entry(run, "a/b/c").data == b"x\n"
        ),
    ),
    attack(
        "deep tree",
        "n=$(printf 'd%.0s' {1..200}); for i in {1..60}; do mkdir $n && cd $n; done; touch x; chmod 0 .",
        "overflowed",
        lambda run: "longer" in run.detail,
    ),
    attack(
        "names that are not text",
        "echo 1 > $'\\xff\\n\"'; ln -s $'\\xfe' link",
        "finished",
        lambda run: entry(run, os.fsdecode(b'\xff\n"')).data == b"1\n" and entry(run, "link").data == b"\xfe",
    ),
    attack(
        "link to outside",
        "ln -s /etc/hostname file; ln -s / folder",
        "finished",
        lambda run: entry(run, "folder").data == b"/" and not any("folder/" in path for path in run.image.entries),
    ),
    attack(
        "long names",
        "perl -e '$n = chr(255) x 250; for (1..13) { mkdir $n; chdir $n } "
        "for (1..9000) { open F, q(>), chr(254) x 245 . $_ }'",
        "overflowed",
        lambda run: "characters in all" in run.detail,
    ),
    attack(
        "long links",
        "perl -e 'symlink q(x) x 4000, $_ for 1..9000'",
        "overflowed",
        lambda run: run.image is None,
    ),
    attack("no folder for temporary files", "chmod 500 $TMPDIR", "finished", printed(b"")),
    attack(
        "datagrams",
        "perl -MSocket -e 'socketpair(A, B, AF_UNIX, SOCK_DGRAM, 0) or print 1; "
        "socketpair(A, B, AF_UNIX, SOCK_STREAM, 0) and print 2'",
        "finished",
        printed(b"12"),
    ),
    attack(
        "core dumps", "prlimit --core --raw --noheadings -o SOFT", "finished", lambda run: run.stdout.strip() == b"1"
    ),
    attack("standard input", "cat; read -t 1 line; echo $?", "finished", printed(b"1\n")),
    attack("terminal", "(echo x > /dev/tty) 2>/dev/null || echo none", "finished", printed(b"none\n")),
    attack(
        "own permissions and times",
        "echo x > file; mkdir -p d/e; touch d/e/f; chmod 751 file; chmod -R u=rwx,go= d; touch -d @1000000000 file d; "
        'perl -e \'utime 5, 5, "d/e/f"; chmod 0640, "d/e/f"; open F, "<", "file"; chmod 0604, *F; utime 7, 7, *F\'; '
        "stat -c '%a %Y' file d d/e/f; ln -s d/e/f l; touch -h -d @9 l; stat -c %Y l; chmod 600 l; stat -c %a d/e/f; "
        "chmod 600 nothing 2>/dev/null || echo no",
        "finished",
        printed(b"604 7\n700 1000000000\n640 5\n9\n600\nno\n"),
    ),
    attack(
        "permissions of others",
        "ln -s {outside} l; chmod 700 l {outside} $(dirname {outside}) 2>/dev/null; touch -c -d @5 {outside} l; "
        "cd / && chmod 700 .{outside}; perl -e 'utime 5, 5, @ARGV; chmod 0700, @ARGV; chown -1, -1, @ARGV' {outside}; "
        "touch -c {outside}; perl -e 'utime undef, undef, @ARGV' {outside}; "
        "setfattr -n user.x -v 1 {outside}",
        "finished",
        lambda run: True,
    ),
    attack(
        "new namespaces",
        "unshare -r true || unshare -m true || unshare -n true || nsenter -t 1 -m true || echo none",
        "finished",
        printed(b"none\n"),
    ),
    attack("memory", "perl -e '$x = \"x\" x (3e9 + $$); print 1' || echo refused", "finished", printed(b"refused\n")),
    attack(
        "memory of many",
        "for i in {1..9}; do perl -e '$x = q(x) x 6e7; sleep 9' & done; wait",
        "overflowed",
        lambda run: "memory" in run.detail and run.image is None and run.seconds < 9,
        memory_bytes=256 * MEGABYTE,
    ),
    attack(
        "memory that is shared",
        "perl -e '$m = syscall($ARGV[0], 0, 6e8, 3, 0x21, -1, 0); open Z, q(</dev/zero); "
        "syscall($ARGV[1], fileno(Z), $m, 6e8); sleep 9' $([ $(uname -m) = x86_64 ] && echo 9 0 || echo 222 63)",
        "overflowed",
        lambda run: "memory" in run.detail,
        memory_bytes=256 * MEGABYTE,
    ),
    attack(
        "another's limits", "prlimit --nofile=3 --pid $PPID >/dev/null 2>&1 || echo no", "finished", printed(b"no\n")
    ),
    attack(
        "memory that stays",
        "ipcmk -Q >/dev/null 2>&1 || ipcmk -M 99 >/dev/null 2>&1 || ipcmk -S 1 >/dev/null 2>&1 || echo no",
        "finished",
        printed(b"no\n"),
    ),
    attack("signal by a pipe", "yes | head -1; echo ${PIPESTATUS[0]}", "finished", printed(b"y\n141\n")),
    attack(
        "users of this machine",
        "cat /etc/passwd /etc/shadow /proc/1/cmdline /root/.bashrc; ls /home /tmp /var",
        "finished",
        printed(b""),
    ),
)


def running(mark: str) -> bool:
    """Whether a process has `mark` in its arguments, in whichever namespace."""
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and mark.encode() in (process / "cmdline").read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


def carry_out(pool: Any, one: Attack) -> str:
    """What is wrong with how an attack ended; empty when nothing is."""
    from distill.sandbox.execution import Limits
    from distill.sandbox.image import Entry, Image, Kind

    start = Image({"repo": Entry(Kind.DIRECTORY, 0o755), "repo/kept": Entry(Kind.FILE, 0o644, b"kept\n")})
    with tempfile.TemporaryDirectory() as folder:
        outside = Path(folder) / "outside"
        outside.write_bytes(b"outside")
        outside.chmod(0o666)
        Path(folder).chmod(0o755)
        before = [(path.stat().st_mode, path.stat().st_mtime_ns) for path in (outside, Path(folder))]
        run = pool.run(start, one.command.replace("{outside}", str(outside)), limits=Limits(**one.limits))
        after = [(path.stat().st_mode, path.stat().st_mtime_ns) for path in (outside, Path(folder))]
    if before != after:
        return "metadata outside changed"
    if run.outcome.value not in one.outcomes:
        return f"the outcome is {run.outcome.value} ({run.detail}); {run.stdout!r:.200} {run.stderr!r:.300}"
    if not one.holds(run):
        return f"exit {run.exit_code}, printed {run.stdout!r:.200}, {run.stderr!r:.300}"
    again = pool.run(start, "cat kept; ls -A . ..; : > $TMPDIR/temporary")
    if again.stderr or again.stdout != b"kept\n.:\nkept\n\n..:\nrepo\n":
        return f"the next case found {again.stdout!r:.200} {again.stderr!r:.200} {again.detail}"
    return ""


def main(package: str, tier: str) -> None:
    sys.path.insert(0, package)
    from distill.sandbox.pool import open_pool

    with open_pool(tier, workers=1) as pool:  # type: ignore[arg-type]  # a name from the command line
        wrong = {one.name: problem for one in ATTACKS if (problem := carry_out(pool, one))}
        print(json.dumps({"user": os.getuid(), "probes": [probe.held for probe in pool.probes], "wrong": wrong}))


if __name__ == "__main__":
    main(*sys.argv[1:])
