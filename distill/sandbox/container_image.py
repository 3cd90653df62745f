"""The image that the docker tier's containers are made of: built on first use, and again when what is in it changes.

In: an engine (docker or podman). Out: the image's name; its tag is the hash of all that goes into it, so an image of
that name is right. What goes in is sent to the engine with the order to build, which so works with an engine on
another machine as well: the Dockerfile beside this file, and the code of the worker. Nothing of the user's is in it.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from distill.sandbox.tiers import package_folder

NAME = "distill-sandbox"
BASE = "DISTILL_DOCKER_BASE"
"""The environment variable with another image to build on: one of a mirror, or one that has all that is needed."""

_DOCKERFILE = Path(__file__).with_name("Dockerfile")
_BUILD_SECONDS = 1800.0
_ASK_SECONDS = 30.0
_KEPT_LINES = 3
_OFFLINE = ("dial tcp", "no such host", "failure resolving", "could not resolve", "i/o timeout", "network is unreach")
_building = threading.Lock()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Engine:
    """Docker or podman."""

    program: str
    """The client, by its path."""
    environment: Mapping[str, str]
    """All variables that it gets."""

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What it answers. Raises `OSError` with a sentence when it cannot be started or does not answer in time."""
        try:
            return subprocess.run(
                [self.program, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                env=dict(self.environment),
                timeout=_ASK_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            sentence = f"`{self.program} {arguments[0]}` did not answer within {_ASK_SECONDS:.0f} seconds"
            raise OSError(sentence) from None


@dataclass(frozen=True)
class ContainerImage:
    """The image, as one engine has it."""

    engine: Engine
    base: str = field(default_factory=lambda: os.environ.get(BASE, ""))
    """What to build on; by default, what the Dockerfile says."""

    @property
    def name(self) -> str:
        """With its tag."""
        content = hashlib.sha256(self.base.encode())
        for path, data in _files():
            content.update(f"\0{path}\0{len(data)}\0".encode() + data)
        return f"{NAME}:{content.hexdigest()[:16]}"

    def built(self) -> bool:
        """Whether the engine has it. Raises `OSError` with a sentence when the engine cannot be asked."""
        return self.engine.ask("image", "inspect", self.name).returncode == 0

    def build(self, say: Callable[[str], None] = _say) -> None:
        """Build it if the engine does not have it; `say` hears of every step. Raises `OSError` with a sentence."""
        with _building:
            if self.built():
                return
            say(
                f"Building the sandbox's image {self.name} with {self.engine.program}, once. The very first time it "
                "loads some 200 MB from the network and takes a minute or two; later, some seconds."
            )
            base = ["--build-arg", f"BASE={self.base}"] if self.base else []
            process = subprocess.Popen(
                [self.engine.program, "build", "--tag", self.name, "--label", "distill=sandbox", *base, "-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(self.engine.environment),
            )
            clock = threading.Timer(_BUILD_SECONDS, process.kill)
            clock.start()
            try:
                lines = list(_feed(process, say))
            finally:
                clock.cancel()
                process.kill()
                process.wait()
            if not self.built():
                raise OSError(_failure(lines[-_KEPT_LINES:]))


def build_context() -> bytes:
    """The archive that is sent to the engine, the same bytes for the same content."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, data in _files():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
    return archive.getvalue()


def _files() -> Iterator[tuple[str, bytes]]:
    """What goes into the image, by its place in the archive."""
    package = package_folder() / "distill"
    yield "Dockerfile", _DOCKERFILE.read_bytes()
    for path in (package / "__init__.py", *sorted((package / "sandbox").glob("*.py"))):
        yield str(path.relative_to(package.parent)), path.read_bytes()


def _feed(process: subprocess.Popen[bytes], say: Callable[[str], None]) -> Iterator[str]:
    """Send the archive, and hand on what is said, line by line."""
    assert process.stdin is not None and process.stdout is not None  # noqa: S101 # both were asked for

    def send(stream: io.BufferedIOBase) -> None:
        try:
            with stream:
                stream.write(build_context())
        except OSError:
            return  # the engine ended; what it said tells why

    sender = threading.Thread(target=send, args=(process.stdin,))
    sender.start()
    with process.stdout:
        for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            if line:
                say(f"  {line}")
                yield line
    sender.join()


def _failure(lines: list[str]) -> str:
    words = " / ".join(lines) or "nothing was said why"
    if any(sign in words.lower() for sign in _OFFLINE):
        return (
            f"its image could not be built, because the network was not there: {words:.600}. The first use loads "
            f"a base image and packages; after that none is needed. Without a network, set {BASE} to an image that the "
            "engine has already, with bash, git, perl and Python 3.11 in it"
        )
    return f"its image could not be built: {words:.600}"
