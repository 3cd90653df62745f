"""What an attack is after: files, secrets, sockets and processes of the harness, laid out and looked at from outside.

In: nothing but two folders to lay it out in. Out: the names that a command line needs to find it, and afterwards the
`effects` that it had. Whether one fired is decided here alone, on the harness's side: by the file, the socket and the
process themselves. What an attack prints is only searched for secrets.

Standard library only: it is also used by a user who cannot read this one's packages.
"""

from __future__ import annotations

import base64
import contextlib
import os
import resource
import secrets
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

EFFECTS = ("written", "changed", "read", "reached", "alive", "harmed", "exceeded")
"""A file outside written or made · its metadata changed · a secret read · a listener reached · a process alive after
the case · the harness, its worker or the next case harmed · more time, space, processes or memory used than allowed."""

_UNTOUCHED = b"untouched\n"
_INFLATED = 1 << 20
_LOOKED_AT = 1 << 18
"""Bytes of a file in which compressed secrets are looked for; every lure is far smaller."""


class World:
    """Everything that one attack may not get at. Use as a context manager."""

    def __init__(self, beside: Path, repository: str, repository_secret: str) -> None:
        """`beside`: a folder on the file system that cases are written to. `repository`: a bare one that all may
        read, with a secret in it."""
        self._stack = contextlib.ExitStack()
        self._beside, self._repository = beside, repository
        self._tokens = [secrets.token_hex(12) for _ in range(3)]
        self._secrets = [*self._tokens, repository_secret]
        self.mark = f"77.{secrets.randbelow(10**15):015d}"

    def __enter__(self) -> World:
        with contextlib.ExitStack() as stack:
            self.outside = self._folder(stack, Path(tempfile.gettempdir()))
            self._near = self._folder(stack, self._beside)
            in_file, in_name, in_process = self._tokens
            self._canaries = []
            for folder in (self.outside, self._near):
                canary, secret = folder / "canary", folder / "secret"
                canary.write_bytes(_UNTOUCHED)
                canary.chmod(0o666)
                secret.write_text(f"[secret]\n\tvalue = {in_file}\n")
                (folder / f"name-{in_name}").touch()
                self._canaries.append(canary)
            self._listen(stack)
            self._busy = self.outside / "busy"
            self._busy.mkdir()
            self._decoy = subprocess.Popen(
                ["sleep", "3600"], env={"DECOY_SECRET": in_process, "PATH": os.defpath}, stdin=subprocess.DEVNULL
            )
            stack.callback(self._end_decoy)
            self._before = [self._metadata(path) for path in self._watched()]
            self._decoy_before = self._decoy_settings()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def names(self) -> dict[str, str]:
        """What stands for what in a command line."""
        return {
            "@CANARY@": str(self._canaries[0]),
            "@SECRET@": str(self.outside / "secret"),
            "@OUTSIDE@": str(self.outside),
            "@BESIDE@": str(self._near),
            "@BUSY@": str(self._busy),
            "@REPOSITORY@": self._repository,
            "@TCP@": str(self._tcp.getsockname()[1]),
            "@UDP@": str(self._udp.getsockname()[1]),
            "@UNIX@": str(self.outside / "stream"),
            "@DATAGRAM@": str(self.outside / "datagram"),
            "@ABSTRACT@": self._abstract,
            "@VICTIM@": str(self._decoy.pid),
            "@MARK@": self.mark,
        }

    @contextlib.contextmanager
    def coming_and_going(self) -> Iterator[None]:
        """While this lasts, a file whose name is a secret comes and goes in `@BUSY@`."""
        done = threading.Event()

        def busy() -> None:
            file = self._busy / f"name-{self._tokens[1]}"
            while not done.wait(0.02):
                file.touch()
                file.unlink()

        thread = threading.Thread(target=busy)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def effects(self, printed: Iterable[bytes], files: Mapping[str, bytes]) -> dict[str, str]:
        """What the attack did, by the words of `EFFECTS`. `files`: what it left in its case, by path."""
        found = {}
        for canary in self._canaries:
            content = canary.read_bytes() if canary.is_file() else b""
            if content != _UNTOUCHED or _names(canary.parent) != {"canary", "secret", f"name-{self._tokens[1]}"}:
                found["written"] = f"in {canary.parent.parent} a file was written, made or removed"
        if [self._metadata(path) for path in self._watched()] != self._before and "written" not in found:
            found["changed"] = "times, permissions, links or attributes of a file outside were changed"
        if self._holds_secret(printed, files):
            found["read"] = "a secret stands in the output or in what was left"
        listeners = {
            "TCP": self._tcp,
            "UDP": self._udp,
            "unix stream": self._stream,
            "unix datagram": self._datagram,
            "abstract": self._hidden,
        }
        reached, _, _ = select.select(list(listeners.values()), [], [], 0)
        if reached:
            names = ", ".join(name for name, listener in listeners.items() if listener in reached)
            found["reached"] = f"something arrived by {names}"
        if self.processes():
            found["alive"] = "a process of it still runs"
        if self._decoy.poll() is not None:
            found["harmed"] = f"a process outside was ended by signal {-self._decoy.returncode}"
        elif self._decoy_settings() != self._decoy_before:
            found["harmed"] = "a process outside was stopped or its settings were changed"
        return found

    def processes(self) -> list[int]:
        """Processes on this machine that have the mark among their arguments."""
        return [process for process in process_ids() if self.mark.encode() in _arguments(process)]

    def end_processes(self) -> None:
        """Kill what was left alive."""
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    @staticmethod
    def _folder(stack: contextlib.ExitStack, place: Path) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="distill-outside-", dir=place)).resolve()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o777)
        return folder

    def _listen(self, stack: contextlib.ExitStack) -> None:
        def listener(family: int, kind: int, address: Any) -> socket.socket:
            found = stack.enter_context(socket.socket(family, kind))
            found.bind(address)
            if kind == socket.SOCK_STREAM:
                found.listen(8)
            if family == socket.AF_UNIX and isinstance(address, str) and not address.startswith("\0"):
                Path(address).chmod(0o777)
            return found

        self._abstract = f"distill-{secrets.token_hex(8)}"
        self._tcp = listener(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        self._udp = listener(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        self._stream = listener(socket.AF_UNIX, socket.SOCK_STREAM, str(self.outside / "stream"))
        self._datagram = listener(socket.AF_UNIX, socket.SOCK_DGRAM, str(self.outside / "datagram"))
        self._hidden = listener(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self._abstract}")

    def _watched(self) -> list[Path]:
        return [path for canary in self._canaries for path in (canary, canary.parent, canary.parent / "secret")]

    @staticmethod
    def _metadata(path: Path) -> tuple[object, ...]:
        try:
            found = path.stat()
            return found.st_mode, found.st_uid, found.st_mtime_ns, found.st_nlink, sorted(os.listxattr(path))
        except OSError:
            return ()

    def _decoy_settings(self) -> tuple[object, ...]:
        process = self._decoy.pid
        try:
            stopped = _read(f"/proc/{process}/stat").rpartition(b")")[2].split()[0] in (b"T", b"t")
            return (
                stopped,
                os.getpriority(os.PRIO_PROCESS, process),
                os.sched_getaffinity(process),
                resource.prlimit(process, resource.RLIMIT_NOFILE),
            )
        except OSError:
            return ()

    def _end_decoy(self) -> None:
        self._decoy.kill()
        self._decoy.wait()

    def _holds_secret(self, printed: Iterable[bytes], files: Mapping[str, bytes]) -> bool:
        wanted = [form for secret in self._secrets for form in _forms(secret)]
        texts = [*printed, *(path.encode(errors="surrogateescape") for path in files)]
        texts += [text for path, data in files.items() for text in _unpacked(path, data)]
        return any(form in text for text in texts for form in wanted)


def process_ids() -> list[int]:
    """Every process that can be seen from here."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def _arguments(process: int) -> bytes:
    """What it was started with. A process that is changing into another program has the program for a moment, and no
    arguments yet; one that has ended, or belongs to the kernel, has neither."""
    for _ in range(100):
        found = _read(f"/proc/{process}/cmdline")
        if found or not _has_program(process):
            return found
        time.sleep(0.001)
    return b""


def _has_program(process: int) -> bool:
    with contextlib.suppress(OSError):
        return bool(Path(f"/proc/{process}/exe").readlink())
    return False


def _forms(secret: str) -> Iterator[bytes]:
    """A secret as it is, backwards, in hexadecimal digits, and in base64 at any offset."""
    plain = secret.encode()
    yield from (plain, plain[::-1], plain.hex().encode())
    for offset in range(3):
        yield base64.b64encode(b"\0" * offset + plain)[(offset * 8 + 5) // 6 + 1 : -4]


def _unpacked(path: str, data: bytes) -> Iterator[bytes]:
    """The bytes of a file, and what they hold compressed: git objects, packs, archives."""
    yield data
    if "/objects/" in path or b"PACK" in data[:4096] or data[:2] in (b"\x1f\x8b", b"PK"):
        view = memoryview(data)[:_LOOKED_AT]
        for start, form in ((b"\x78", zlib.MAX_WBITS), (b"\x1f\x8b", 31)):
            position = data.find(start, 0, _LOOKED_AT)
            while position >= 0:
                with contextlib.suppress(zlib.error):
                    yield zlib.decompressobj(form).decompress(view[position:], _INFLATED)
                position = data.find(start, position + 1, _LOOKED_AT)


def _names(folder: Path) -> set[str]:
    """What stands in a folder, without this side's own sockets."""
    try:
        return {path.name for path in folder.iterdir()} - {"stream", "datagram", "busy"}
    except OSError:
        return set()


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
