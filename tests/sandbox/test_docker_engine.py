"""The docker tier with a real engine: attacked, used, and killed in every way.

The engine is the one that answers already; where none does, as root, a daemon of these tests' own that uses no network.
On Debian the image is built on a copy of what this machine has installed, so that nothing has to be loaded.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import distill
from distill.sandbox.container_image import BASE
from distill.sandbox.docker import DockerTier
from distill.sandbox.environment import GLOBAL_CONFIG
from distill.sandbox.execution import Limits, Outcome
from distill.sandbox.image import Entry, Image, Kind
from distill.sandbox.pool import Pool, open_tier

pytestmark = pytest.mark.slow

START = Image(
    {
        "home": Entry(Kind.DIRECTORY, 0o755),
        "home/.gitconfig": Entry(Kind.FILE, 0o644, GLOBAL_CONFIG.encode()),
        "repo": Entry(Kind.DIRECTORY, 0o755),
        "repo/old": Entry(Kind.FILE, 0o644, b"old\n"),
    }
)
_INSTALLED = (
    "bash",
    "dash",
    "util-linux",
    "git",
    "perl",
    "python3",
    "coreutils",
    "findutils",
    "grep",
    "sed",
    "libc-bin",
)
_UNNEEDED = re.compile(r"/(usr/share/(doc|man|locale|info|lintian|zoneinfo)|var|boot|lib/modules)(/|$)")


@pytest.fixture(scope="module", autouse=True)
def engine() -> Iterator[None]:
    """An engine, and a base image that needs no network."""
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        if DockerTier().problem() is not None:
            assert shutil.which("dockerd") and os.getuid() == 0, (
                "no container engine answers, and none can be started here: start docker, or install the daemon "
                "(on Debian, `apt install docker.io`) and run this as root"
            )
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="distill-docker-")))
            stack.callback(_end, _start_daemon(folder))
            patch.setenv("DOCKER_HOST", f"unix://{folder}/socket")
            _wait_for(lambda: DockerTier().problem() is None)
        if BASE not in os.environ and shutil.which("dpkg-query"):
            patch.setenv(BASE, "distill-test-base:latest")
            _import_base("distill-test-base:latest")
        yield


@pytest.fixture(scope="module", params=[None, 0], ids=["with Landlock where it is", "without Landlock"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with open_tier(DockerTier(abi=request.param), workers=2) as pool:
        yield pool


def test_every_attack_of_the_self_test_is_held(pool: Pool) -> None:
    assert len(pool.probes) == 12 and all(probe.held for probe in pool.probes)
    assert re.fullmatch(r"\d+\.\d+.*", pool.git_version)


def test_a_run_reports_everything_and_sends_back_what_changed(pool: Pool) -> None:
    run = pool.run(START, "pwd; echo new > new; rm old; chmod 700 ../home; echo oh >&2; exit 3")
    assert (run.outcome, run.exit_code, run.stdout, run.stderr) == (Outcome.FINISHED, 3, b"/case/repo\n", b"oh\n")
    assert run.image is not None and run.image.entries == {
        "home": Entry(Kind.DIRECTORY, 0o700),
        "home/.gitconfig": START.entries["home/.gitconfig"],
        "repo": Entry(Kind.DIRECTORY, 0o755),
        "repo/new": Entry(Kind.FILE, 0o644, b"new\n"),
    }


def test_cases_do_not_see_each_other(pool: Pool) -> None:
    pool.run(START, "echo x > left; git config --global user.name Eve; echo y > $TMPDIR/left; (setsid sleep 60 &)")
    for _ in range(pool.size):
        run = pool.run(START, "ls -A $TMPDIR; ls; git config user.name")
        assert run.stdout == b"old\nAda Example\n"


def test_nothing_outside_of_the_case_can_be_written(pool: Pool) -> None:
    folders = "/ /etc /usr /tmp /var /dev /dev/shm /dev/mqueue /harness /run /root /proc/sys /sys"
    run = pool.run(START, f"for folder in {folders}; do (echo x > $folder/x) 2>/dev/null && echo $folder; done; id -u")
    assert run.stdout.strip().isdigit() and int(run.stdout) >= 20000


def test_a_case_with_too_much_memory_is_ended(pool: Pool) -> None:
    hold = "perl -e '$x = q(x) x (300 << 20); sleep 20'"
    run = pool.run(START, f"{hold} & {hold}", limits=Limits(seconds=30, memory_bytes=400 * 1024**2))
    assert run.outcome is Outcome.OVERFLOWED and "bytes of memory" in run.detail
    assert pool.run(START, "echo on").stdout == b"on\n"


def test_a_killed_client_is_replaced_and_its_container_ends() -> None:
    before = _containers()
    with Pool(DockerTier(), workers=1) as pool:
        assert len(_containers() - before) == 1
        for member in pool._members:
            os.kill(member.process_id, signal.SIGKILL)
        assert pool.run(START, "echo on").stdout == b"on\n" and pool.lost == 1
        _wait_for(lambda: len(_containers() - before) == 1)
    _wait_for(lambda: not _containers() - before)


def test_no_container_is_left_when_the_harness_is_killed() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(Path(distill.__file__).parents[1])!r})\n"
        "from distill.sandbox.docker import DockerTier\n"
        "from distill.sandbox.execution import Limits\n"
        "from distill.sandbox.image import Entry, Image, Kind\n"
        "from distill.sandbox.pool import Pool\n"
        "pool = Pool(DockerTier(), workers=2)\n"
        "print('ready', flush=True)\n"
        "image = Image({'repo': Entry(Kind.DIRECTORY, 0o755)})\n"
        "pool.run(image, '(setsid sleep 300 &); sleep 300', limits=Limits(seconds=300))\n"
    )
    before = _containers()
    harness = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert harness.stdout is not None
    try:
        assert harness.stdout.readline() == "ready\n"
        assert len(_containers() - before) == 2
        time.sleep(0.5)  # so that the case runs
    finally:
        harness.kill()
        harness.communicate()
    _wait_for(lambda: not _containers() - before)


def _containers() -> set[str]:
    """Those of the sandbox that there are, running or not."""
    command = ["docker", "ps", "--all", "--quiet", "--filter", "label=distill=sandbox"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split())


def _start_daemon(folder: Path) -> subprocess.Popen[bytes]:
    log = (folder / "log").open("wb")
    with log:
        return subprocess.Popen(
            [
                *("dockerd", "--iptables=false", "--bridge=none", f"--host=unix://{folder}/socket"),
                *(f"--data-root={folder}/data", f"--exec-root={folder}/run", f"--pidfile={folder}/pid"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(timeout=60)


def _import_base(name: str) -> None:
    """Make an image of the installed packages that the sandbox needs."""
    command = ["docker", "import", "-", name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        with process.stdin, tarfile.open(fileobj=process.stdin, mode="w|") as tar:
            for path in _installed_files():
                tar.add(path, recursive=False)
    assert process.returncode == 0


def _installed_files() -> list[str]:
    """Every file of the packages in `_INSTALLED` and of those that they depend on."""
    query = ["dpkg-query", "--show", "--showformat", "${Package}\t${Provides}\t${Depends}, ${Pre-Depends}\n"]
    needs: dict[str, list[str]] = {}
    provided: dict[str, str] = {}
    for line in subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines():
        package, provides, depends = line.split("\t")
        needs[package] = re.findall(r"(?:^|[,|])\s*([\w.+-]+)", depends)
        for other in re.findall(r"(?:^|,)\s*([\w.+-]+)", provides):
            provided[other] = package
    wanted: set[str] = set()
    pending = list(_INSTALLED)
    while pending:
        package = pending.pop()
        package = package if package in needs else provided.get(package, "")
        if package and package not in wanted:
            wanted.add(package)
            pending += needs[package]
    listed = subprocess.run(["dpkg-query", "--listfiles", *sorted(wanted)], capture_output=True, text=True, check=True)
    found = [Path(line) for line in listed.stdout.splitlines() if line.startswith("/") and line != "/."]
    found.append(Path("/bin/sh"))  # a package's, but under another name
    files = {str(path.parent.resolve() / path.name) for path in found}
    # A folder at the top may be a link to one in /usr, which packages do not tell.
    files |= {f"/{each.name}" for each in Path("/").iterdir() if each.is_symlink()} | {"/etc/ld.so.cache"}
    return sorted(each for each in files if os.path.lexists(each) and not _UNNEEDED.match(each))


def _wait_for(look: object) -> None:
    """Until `look` finds something; fails after a time that no machine needs."""
    assert callable(look)
    end = time.monotonic() + 60
    while not look():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
