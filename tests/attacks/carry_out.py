"""The program that carries attacks out: without a sandbox in a disposable place, or in one tier, as whoever runs it.

In: one JSON object on standard input: where, and which attacks. Out: one JSON line an attack, as soon as it is known,
and before them one about this process. It is started by `tests.attacks.stage` in a Python without packages.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from distill.sandbox.environment import GLOBAL_CONFIG
from distill.sandbox.execution import Limits, Outcome
from distill.sandbox.image import Entry, Image, Kind
from distill.sandbox.pool import Pool, open_tier, tiers_for
from distill.sandbox.tiers import case_folder
from tests.attacks.bare import Bare, most_tasks
from tests.attacks.world import World, process_ids

BARE = "bare"
_GRACE = 15.0
"""Seconds that a run may take beyond its limit before the harness counts as hung; this machine may be busy."""
_SPARE_MEMORY = 1024 * 1024 * 1024
_SPARE_DISK = 512 * 1024 * 1024
_PAYLOAD = """\
#!/bin/sh
echo ran >> "$HOME/ran"
echo fired > @CANARY@
cat @SECRET@
"""
"""What attacks that can run a program run: it leaves a trace inside, writes a file outside and reads another."""
_START = Image(
    {
        "home": Entry(Kind.DIRECTORY, 0o755),
        "home/.gitconfig": Entry(Kind.FILE, 0o644, GLOBAL_CONFIG.encode()),
        "repo": Entry(Kind.DIRECTORY, 0o755),
    }
)
_HISTORY = """\
git init -q && printf 'one\\n' > a.txt && printf 'two\\n' > b.txt && git add . && git commit -qm First &&
printf 'three\\n' >> a.txt && git commit -qam Second && git tag v1 &&
git switch -qc side HEAD~1 && printf 'other\\n' >> a.txt && git commit -qam Side &&
git switch -qc topic main~1 && printf 'new\\n' > c.txt && git add . && git commit -qm Topic && git switch -q main &&
git clone -q --bare . ../origin.git && git remote add origin ../origin.git && git fetch -q
"""
_NEXT = "git status --short --branch; echo x > $TMPDIR/x; echo $TMPDIR/*; echo ../* * .[a-z]*"


def main() -> None:
    """Read the order, carry it out, print results."""
    order = json.load(sys.stdin)
    about = {"user": os.getuid(), "where": order["where"]}
    if order["where"] == BARE:
        bare = Bare()
        _say(about)
        with _lure() as lure:
            start = _prepared_bare(bare, _START, _HISTORY)
            for vector in order["vectors"]:
                try:
                    _say(_bare(bare, start, vector, lure))
                except _NotPrepared as error:
                    bare.clean()
                    _say({"id": vector["id"], "effects": {}, "ran": False, "said": str(error)})
        return
    (tier,) = tiers_for(order["where"])
    with contextlib.ExitStack() as stack:
        pools = [stack.enter_context(open_tier(tier, workers=1)) for _ in range(order["workers"])]
        lure = stack.enter_context(_lure())
        free: queue.SimpleQueue[_Confined] = queue.SimpleQueue()
        for pool in pools:
            free.put(_Confined(pool))
        _say(about | {"description": pools[0].description, "git": pools[0].git_version})

        def carry_out(vector: dict[str, Any]) -> None:
            confined = free.get()
            try:
                _say(confined.carry_out(vector, lure))
            finally:
                free.put(confined)

        with ThreadPoolExecutor(len(pools)) as threads:
            list(threads.map(carry_out, order["vectors"]))


class _NotPrepared(Exception):
    """The repository that an attack starts from could not be made."""


class _Confined:
    """One worker of a tier, attacked again and again; between attacks it has to do honest work."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._start = self._prepared(_START, _HISTORY)
        self._honest = pool.run(self._start, _NEXT).stdout

    def carry_out(self, vector: dict[str, Any], lure: tuple[str, str]) -> dict[str, Any]:
        limits = Limits(**vector["limits"])
        with World(case_folder(), *lure) as world:
            start = _with_payload(self._start, world, vector)
            if vector["prepare"]:
                start = self._prepared(start, _named(vector["prepare"], world))
            lost = self._pool.lost
            peak = _Peak(self._pool)
            with peak if "exceeded" in vector["success"] else contextlib.nullcontext(), _busy(world, vector):
                begun = time.monotonic()
                run = self._pool.run(start, _named(vector["run"], world), limits=limits)
                seconds = time.monotonic() - begun
            files = _files(run.image)
            effects = world.effects([run.stdout, run.stderr], files)
            effects |= peak.exceeded(limits)
            if seconds > limits.seconds + _GRACE:
                effects["exceeded"] = f"it took {seconds:.0f} seconds, and {limits.seconds:.0f} were allowed"
            if sum(map(len, files.values())) > limits.file_bytes or len(run.stdout) > limits.output_bytes:
                effects["exceeded"] = "it left or printed more than is allowed"
            if run.outcome is Outcome.BROKEN or self._pool.lost > lost:
                effects["harmed"] = f"its worker was lost: {run.detail or 'and replaced'}"
            following = self._pool.run(self._start, _NEXT)
            if following.stdout != self._honest:
                effects["harmed"] = f"the next case found {following.stdout!r:.200} {following.stderr!r:.200}"
            world.end_processes()
        return {
            "id": vector["id"],
            "effects": effects,
            "ran": b"ran" in files.get("home/ran", b""),
            "outcome": run.outcome.value,
            "seconds": seconds,
            "said": run.stderr[-300:].decode(errors="replace"),
        }

    def _prepared(self, start: Image, command: str) -> Image:
        done = self._pool.run(start, command)
        if done.image is None:
            raise _NotPrepared(f"could not prepare with {command!r:.200}: {done.detail} {done.stderr!r:.500}")
        return done.image


class _Peak:
    """The most that a worker's case had of processes and memory, and what memory file systems grew by, as sampled."""

    def __init__(self, pool: Pool) -> None:
        (self._member,) = pool._members
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.tasks = self.memory = self.disk = 0

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def exceeded(self, limits: Limits) -> dict[str, str]:
        if self.tasks > most_tasks(limits):
            return {"exceeded": f"it ran {self.tasks} processes"}
        if self.memory > limits.memory_bytes + _SPARE_MEMORY:
            return {"exceeded": f"it held {self.memory} bytes of memory"}
        if self.disk > limits.file_bytes + _SPARE_DISK:
            return {"exceeded": f"it wrote {self.disk} bytes"}
        return {}

    def _sample(self) -> None:
        before = _shared_memory()
        while not self._done.wait(0.05):
            parents = {process: _status(process) for process in process_ids()}
            family = {self._member.process_id}
            size = 0
            while len(family) > size:
                size = len(family)
                family |= {process for process, (parent, _) in parents.items() if parent in family}
            self.tasks = max(self.tasks, len(family))
            self.memory = max(self.memory, sum(parents[process][1] for process in family if process in parents))
            self.disk = max(self.disk, _shared_memory() - before)


def _bare(bare: Bare, start: Image, vector: dict[str, Any], lure: tuple[str, str]) -> dict[str, Any]:
    limits = Limits(**vector["limits"])
    with World(case_folder(), *lure) as world:
        image = _with_payload(start, world, vector)
        if vector["prepare"]:
            image = _prepared_bare(bare, image, _named(vector["prepare"], world))
            early = world.effects([], {})
            if early:
                bare.clean()
                return {"id": vector["id"], "effects": {}, "ran": False, "said": f"fires while prepared: {early}"}
        with _busy(world, vector):
            run = bare.run(image, _named(vector["run"], world), limits, about_time=vector["success"] == "exceeded")
        files = _files(run.image)
        effects = world.effects([run.stdout, run.stderr], files) | run.effects
        if vector["success"] == "harmed" and "harmed" not in effects:
            following = bare.run(start, "echo x > $TMPDIR/x && git status --short", Limits())
            if following.stderr or following.stdout:
                effects["harmed"] = "the next case could not work"
        bare.clean()
    return {
        "id": vector["id"],
        "effects": effects,
        "ran": b"ran" in files.get("home/ran", b""),
        "said": (run.stdout[-200:] + run.stderr[-300:]).decode(errors="replace"),
    }


def _prepared_bare(bare: Bare, start: Image, command: str) -> Image:
    done = bare.run(start, command, Limits())
    if done.image is None or b"fatal" in done.stderr:
        raise _NotPrepared(f"could not prepare with {command!r:.200}: {done.stderr!r:.500}")
    return done.image


def _with_payload(start: Image, world: World, vector: Mapping[str, Any]) -> Image:
    entries = dict(start.entries)
    entries["home/pwn"] = Entry(Kind.FILE, 0o755, _named(_PAYLOAD, world).encode())
    for path, text in vector["files"].items():
        for index, letter in enumerate(path):
            if letter == "/":
                entries.setdefault(path[:index], Entry(Kind.DIRECTORY, 0o755))
        entries[path] = Entry(Kind.FILE, 0o755, _named(text, world).encode())
    return Image(entries)


def _named(text: str, world: World) -> str:
    for name, value in world.names().items():
        text = text.replace(name, value)
    return text


def _files(image: Image | None) -> dict[str, bytes]:
    return {} if image is None else {path: entry.data for path, entry in image.entries.items()}


def _busy(world: World, vector: Mapping[str, Any]) -> contextlib.AbstractContextManager[None]:
    return world.coming_and_going() if "@BUSY@" in vector["run"] else contextlib.nullcontext()


@contextlib.contextmanager
def _lure() -> Iterator[tuple[str, str]]:
    """A repository of the harness's own that all may read: its path, and the secret in it."""
    with tempfile.TemporaryDirectory(prefix="distill-lure-") as place:
        Path(place).chmod(0o755)
        secret = os.urandom(12).hex()
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": place, "GIT_CONFIG_NOSYSTEM": "1"}
        steps = (
            f"git init -q -b main work && cd work && echo {secret} > secret.txt && git add . && "
            f"git -c user.name=A -c user.email=a@b commit -qm 'holds {secret}' && "
            "cd .. && git clone -q --bare work lure"
        )
        subprocess.run(["sh", "-c", steps], cwd=place, env=environment, check=True)
        yield f"{place}/lure", secret


def _status(process: int) -> tuple[int, int]:
    """The parent of a process, and the memory that it holds in bytes."""
    parent = memory = 0
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text(errors="replace").splitlines():
            if line.startswith("PPid:"):
                parent = int(line.split()[1])
            elif line.startswith(("RssAnon:", "RssShmem:")):
                memory += int(line.split()[1]) * 1024
    return parent, memory


def _shared_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Shmem:"):
            return int(line.split()[1]) * 1024
    return 0


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)
