"""The docker tier: the worker as the first process of a container, talked to over the engine's own pipes.

The container has no network, no capabilities, a root that is read-only, two memory file systems of a fixed size for
the case, limits on processes and memory, and an ordinary user. The worker puts its system call filter, and Landlock
where the engine and the kernel have it, on top. It is process 1, with no other init above it: so a case cannot signal
it, and when it ends, which it does as soon as its input ends, the kernel ends all the rest. No file of this machine
is mounted, so the engine may be elsewhere, as on macOS and Windows it is. `podman` does as well as `docker`.

In: limits. Out: the command line that starts a worker. Nothing is started here but questions to the engine and, once,
the building of the image.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distill.sandbox.confinement import Settings
from distill.sandbox.container_image import ContainerImage, Engine
from distill.sandbox.execution import Limits
from distill.sandbox.image import ROOT
from distill.sandbox.tiers import Launch, TierName, worker_command

ENGINE = "DISTILL_DOCKER"
"""The environment variable with the program to use, by name or path; by default docker, or else podman."""
ENGINES = ("docker", "podman")

_SCRATCH = "/scratch"
_HARNESS = Path("/harness")
_MEBIBYTE = 1024 * 1024
_OWN_MEMORY = 1024 * _MEBIBYTE
"""For the worker and the images that it keeps, beside the case; a case is looked at before it comes that far."""
_OWN_TASKS = 32
_FIRST_USER, _USERS = 20000, 40000
"""Below 65536, which is all that an engine without root has; above what people and services have."""
_PASSED_ON = (
    *("PATH", "HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR"),
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION"),
    *("CONTAINER_HOST", "CONTAINER_CONNECTION", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF"),
)
"""What an engine's client reads of the environment. None of it goes into the container."""
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
"""A client puts these, with any password in them, into every container, if its configuration holds them."""
_VERSION = ("version", "--format", "{{if .Server}}{{.Server.Version}}{{else}}{{.Client.Version}}{{end}}")
"""Asks docker's daemon; podman has none, and answers itself."""
_slots = itertools.count()


@dataclass(frozen=True)
class DockerTier:
    """Docker or podman, here or elsewhere."""

    build: bool = True
    """Whether to build the image when it is missing; without it a missing image is a problem."""
    abi: int | None = None
    """The most of Landlock's ABI to use; by default, all that is to be had."""
    name: TierName = "docker"

    @property
    def description(self) -> str:
        engine = _engine()
        name = f"{Path(engine.program).name} {engine.ask(*_VERSION).stdout.strip()}"
        return f"{name}, no network, no capabilities, seccomp, Landlock where engine and kernel allow it"

    def problem(self) -> str | None:
        program = engine_program()
        if program is None:
            wanted = os.environ.get(ENGINE)
            if wanted:
                return f"{ENGINE} names `{wanted}`, and there is no such program"
            return "there is neither `docker` nor `podman` on PATH; install Docker Engine, Docker Desktop or podman"
        try:
            asked = _engine().ask(*_VERSION)
            if asked.returncode != 0 or not asked.stdout.strip():
                words = (asked.stderr.strip() or asked.stdout.strip()).splitlines()
                return f"`{program}` does not reach its engine: {words[-1] if words else 'it does not say why':.300}"
            if not self.build and not ContainerImage(_engine()).built():
                return "its image is not built yet; the first run with `--sandbox docker` does it, over the network"
        except OSError as error:
            return str(error)
        return None

    def launch(self, channel: int, limits: Limits) -> Launch:  # noqa: ARG002 # it becomes standard input and output
        engine = _engine()
        image = ContainerImage(engine)
        if self.build:
            image.build()
        container = f"distill-{os.getpid()}-{secrets.token_hex(6)}"
        settings = Settings(
            tier=self.name, channel=None, root=ROOT, scratch=_SCRATCH, abi=self.abi, first=True, memory=True
        )
        python, *arguments = worker_command(_HARNESS, settings, python="python3")
        return Launch(
            command=(
                *(engine.program, "run", *_options(container, limits)),
                *("--entrypoint", python, image.name, *arguments),
            ),
            shared_user=None,
            folder=None,
            standard=True,
            environment=engine.environment,
            patience=10.0,
            clear=(engine.program, "rm", "--force", container),
            explain=explain,
        )


def engine_program() -> str | None:
    """The path of the client to use; None when there is none."""
    wanted = os.environ.get(ENGINE)
    return next(filter(None, map(shutil.which, [wanted] if wanted else ENGINES)), None)


def _engine() -> Engine:
    return Engine(engine_program() or ENGINES[0], client_environment())


def client_environment() -> dict[str, str]:
    """What an engine's client gets: where its engine is, and no key of anybody's."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"LC_ALL": "C.UTF-8"}


def explain(words: str) -> str:
    """What an engine's client says when a container did not start: the reason, without its advice on `--help`."""
    lines = [line for line in words.splitlines() if line.strip() and "--help" not in line]
    return lines[-1].strip().removeprefix("docker: ") if lines else ""


def _options(container: str, limits: Limits) -> Iterator[str]:
    size = 2 * limits.file_bytes + 16 * _MEBIBYTE
    memory = str(limits.memory_bytes + 2 * size + _OWN_MEMORY)
    user = _FIRST_USER + (os.getpid() * 32 + next(_slots)) % _USERS
    yield from ("--rm", "--interactive", "--pull", "never", "--name", container, "--label", "distill=sandbox")
    yield from ("--log-driver", "none", "--hostname", "sandbox", "--workdir", "/", "--user", f"{user}:{user}")
    yield from ("--network", "none", "--ipc", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    yield from ("--read-only", "--pids-limit", str(limits.processes + _OWN_TASKS))
    yield from ("--memory", memory, "--memory-swap", memory)
    yield from ("--ulimit", "msgqueue=0:0")  # what is left in a queue would outlive its case
    for name in (ROOT, _SCRATCH):
        yield from ("--tmpfs", f"{name}:rw,exec,nosuid,nodev,size={size},mode=0777")
    for name in _PROXIES:
        yield from ("--env", f"{name}=", "--env", f"{name.upper()}=")
