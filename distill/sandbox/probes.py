"""The self-test: attacks on the sandbox, made by the same way as an answer, and judged from outside.

In: a `Runner`. Out: one `Probe` an attack. The attacks are real: a canary file that everyone may read and write,
listening sockets, a process to signal and to trace, a daemon, a disk to fill, a process table to fill. Whether one
got through is looked up on this side (the file, the socket, the process, /proc) wherever it can be; what the sandbox
says itself is only believed when it admits something. An attack that did not happen counts as not held. Nothing here
harms a machine without a sandbox beyond what it made itself.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from distill.sandbox.environment import case_environment
from distill.sandbox.execution import Execution, Limits, Outcome, Probe, Runner
from distill.sandbox.image import ROOT, Entry, Image, Kind
from distill.sandbox.kernel import MACHINE

_PLACE = Image({"repo": Entry(Kind.DIRECTORY, 0o755)})
_SECONDS = 10.0
_LINUX = sys.platform == "linux"
_PTRACE = {"x86_64": 101, "aarch64": 117}
_ATTACH = 16
_BY_THE_SHELL = {"PWD", "OLDPWD", "SHLVL", "_"}


def attack(runner: Runner, *, workers: int = 1) -> tuple[Probe, ...]:
    """Make every attack, as many at a time as there are workers. Raises nothing for what the sandbox lets through."""
    attacks: tuple[Callable[[Runner], list[Probe]], ...] = (
        _fill_process_table,
        _fill_disk,
        _reach_files,
        _reach_sockets,
        _reach_processes,
        _leave_daemon,
        _see_environment,
    )
    with ThreadPoolExecutor(max_workers=workers) as threads:
        results = threads.map(lambda one: one(runner), attacks)
        return tuple(probe for found in results for probe in found)


def _reach_files(runner: Runner) -> list[Probe]:
    """A file of everyone's, in the temporary folder and in the user's home."""
    probes = {"read outside": "", "write outside": "", "change metadata outside": ""}
    with contextlib.ExitStack() as stack:
        canaries = [stack.enter_context(_canary(place)) for place in _writable_places()]
        lines = []
        for canary in canaries:
            file, folder = shlex.quote(str(canary)), shlex.quote(str(canary.parent))
            lines.append(f"cat {file}; ln {file} mine; cat mine; chmod 600 {file}; touch -d 1999-12-31 {file}")
            lines.append(f"cd {folder} && touch -c -d 1999-12-31 . && chmod 700 .; cd -")
            lines.append(
                f"echo more >> {file}; echo new > {folder}/new; mkdir {folder}/made; ls -a {folder}; rm -f {file}"
            )
        before = [_state(canary) for canary in canaries]
        said = _run(runner, "\n".join(lines))
        for canary, (secret, entries, metadata) in zip(canaries, before, strict=True):
            if (
                secret in said.stdout
                or said.image is None
                or any(secret in e.data for e in said.image.entries.values())
            ):
                probes["read outside"] = f"a file in {canary.parent.parent} was read"
            after = _state(canary)
            if after[:2] != (secret, entries):
                probes["write outside"] = f"a file in {canary.parent.parent} was changed"
            if after[2] != metadata:
                probes["change metadata outside"] = f"times or permissions in {canary.parent.parent} were changed"
    return [_probe(name, detail, said) for name, detail in probes.items()]


def _reach_sockets(runner: Runner) -> list[Probe]:
    """Sockets that listen on this machine: TCP, UDP, unix by path and by abstract name."""
    abstract = f"distill-{secrets.token_hex(8)}"
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="distill-probe-")))
        folder.chmod(0o755)
        path = folder / "socket"
        tcp = _listen(stack, socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        udp = _listen(stack, socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        unix = _listen(stack, socket.AF_UNIX, socket.SOCK_STREAM, str(path))
        # Names that are no paths are Linux's own.
        hidden = _listen(stack, socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}") if _LINUX else unix
        path.chmod(0o777)
        perl = (
            'use Socket; for my $name ($ARGV[0], "\\0$ARGV[1]") { socket(my $s, PF_UNIX, SOCK_STREAM, 0) or next; '
            "connect($s, pack_sockaddr_un($name)) }"
        )
        ports = [listener.getsockname()[1] for listener in (tcp, udp)]
        said = _run(
            runner,
            f"(echo x > /dev/tcp/127.0.0.1/{ports[0]}); (echo x > /dev/udp/127.0.0.1/{ports[1]})\n"
            f"perl -e {shlex.quote(perl)} {shlex.quote(str(path))} {abstract}\n"
            f"timeout 0.3 git credential-cache --socket={shlex.quote(str(path))} exit",
        )
        reached, _, _ = select.select([tcp, udp, unix, hidden], [], [], 0)
        details = {
            "TCP": "a connection arrived" if tcp in reached else "",
            "UDP": "a packet arrived" if udp in reached else "",
            "unix sockets": "a connection arrived" if unix in reached or hidden in reached else "",
        }
    return [_probe(name, detail, said) for name, detail in details.items()]


def _reach_processes(runner: Runner) -> list[Probe]:
    """A process of this user's, to be killed and to be traced; and the worker itself."""
    victim = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        perl = f"print qq(traced\\n) if syscall({_PTRACE.get(MACHINE, 0)}, {_ATTACH}, {victim.pid}, 0, 0) == 0"
        said = _run(
            runner,
            f"(exec 3< /proc/{victim.pid}/mem) && echo traced\nperl -e {shlex.quote(perl)}\n"
            f"kill -KILL {victim.pid} $PPID\necho alive",
        )
        killed = "" if victim.poll() is None else "a process outside was killed"
        if not killed and b"alive" not in said.stdout:
            killed = "the worker was killed"
        traced = "a process outside was traced" if b"traced" in said.stdout else ""
        return [_probe("signals", killed, said), _probe("tracing", traced, said)]
    finally:
        victim.kill()
        victim.wait()


def _leave_daemon(runner: Runner) -> list[Probe]:
    """A process that leaves its session and its parent, and would outlive the case."""
    mark = f"60.{secrets.randbelow(10**12):012d}"
    said = _run(runner, f"(setsid sh -c 'sleep {mark} & echo started; wait' &) | head -1")
    if b"started" not in said.stdout:
        return [Probe("daemons", False, "the daemon could not be started, so nothing was shown")]
    return [_probe("daemons", "it still runs after the case" if _runs(mark) else "", said)]


def _fill_disk(runner: Runner) -> list[Probe]:
    """Files without end, each smaller than the largest allowed."""
    size = 1024 * 1024
    said = _run(
        runner,
        f"i=0; while head -c {size} /dev/zero > $i; do i=$((i+1)); done",
        Limits(seconds=_SECONDS, file_bytes=8 * size),
    )
    held = said.outcome is Outcome.OVERFLOWED
    return [Probe("disk quota", held, "" if held else f"the run was {said.outcome.value} instead of stopped")]


def _fill_process_table(runner: Runner) -> list[Probe]:
    """Processes without end, or so it looks from inside."""
    perl = (
        "for (1..1500) { my $p = fork; if (!defined $p) { print qq(refused\\n); exit } if (!$p) { sleep 9; exit } } "
        "print qq(allowed\\n)"
    )
    bash = "for i in {1..1500}; do sleep 9 & done; echo allowed"
    said = _run(runner, f"if type perl; then perl -e '{perl}'; else {bash}; fi", Limits(seconds=3.0, processes=16))
    held = b"allowed" not in said.stdout and (
        b"refused" in said.stdout or b"temporarily unavailable" in said.stderr or said.outcome is Outcome.TIMED_OUT
    )
    return [Probe("process quota", held, "" if held else "1500 processes could be started")]


def _see_environment(runner: Runner) -> list[Probe]:
    """The variables of this process, where keys may be: inherited, or read from /proc."""
    said = _run(runner, f"env -0; (exec 3< /proc/{os.getpid()}/environ) && echo opened")
    allowed = set(case_environment(ROOT, scratch="/")) | _BY_THE_SHELL | {"GIT_CEILING_DIRECTORIES"}
    pieces = said.stdout.split(b"\0")
    names = {piece.partition(b"=")[0].decode(errors="replace") for piece in pieces[:-1]}
    detail = "the harness's environment can be opened" if pieces[-1] else ""
    if names - allowed:
        detail = f"variables came through: {', '.join(sorted(names - allowed))}"  # names only: a value may be a key
    if "HOME" not in names:
        detail = "the environment could not be listed, so nothing was shown"
    return [_probe("environment", detail, said)]


def _run(runner: Runner, command: str, limits: Limits | None = None) -> Execution:
    return runner.run(_PLACE, command, limits=limits or Limits(seconds=_SECONDS))


def _probe(name: str, detail: str, said: Execution) -> Probe:
    """Held when there is nothing to report, and the attack ran to its end."""
    if not detail and said.outcome is not Outcome.FINISHED:
        detail = f"the attack was {said.outcome.value} before its end ({said.detail}), so nothing was shown"
    return Probe(name, not detail, detail)


def _writable_places() -> Iterator[Path]:
    for place in (Path(tempfile.gettempdir()), Path(os.path.expanduser("~"))):  # noqa: PTH111 # no error without a home
        if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
            yield place


@contextmanager
def _canary(place: Path) -> Iterator[Path]:
    """A file with a secret in it, that everyone may read and write."""
    with tempfile.TemporaryDirectory(prefix=".distill-probe-", dir=place) as folder:
        file = Path(folder) / "secret"
        file.write_text(secrets.token_hex(16))
        file.chmod(0o666)
        Path(folder).chmod(0o777)
        yield file


def _state(canary: Path) -> tuple[bytes, tuple[str, ...], tuple[int, ...]]:
    """What a canary holds, what stands beside it, and its metadata."""
    try:
        own, around = canary.stat(), canary.parent.stat()
        content = canary.read_bytes()
    except OSError:
        return b"", (), ()
    beside = tuple(sorted(os.listdir(canary.parent)))  # noqa: PTH208
    return content, beside, (own.st_mode, own.st_mtime_ns, own.st_nlink, around.st_mode, around.st_mtime_ns)


def _listen(
    stack: contextlib.ExitStack, family: socket.AddressFamily, kind: socket.SocketKind, address: str | tuple[str, int]
) -> socket.socket:
    listener = stack.enter_context(socket.socket(family, kind))
    listener.bind(address)
    if kind == socket.SOCK_STREAM:
        listener.listen(4)
    return listener


def _runs(mark: str) -> bool:
    """Whether any process of this machine has `mark` in its arguments; namespaces hide nothing downwards."""
    if not _LINUX:
        listed = subprocess.run(["/bin/ps", "-axo", "args="], capture_output=True, check=True)
        return mark.encode() in listed.stdout
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in (process / "cmdline").read_bytes():
                    return True
    return False
