"""The pool: answers, lost workers, and what is left behind when it ends, whichever way it ends."""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import TypeVar

import pytest

import distill
from distill.sandbox import pool as pool_module
from distill.sandbox.bubblewrap import BubblewrapTier
from distill.sandbox.environment import GLOBAL_CONFIG
from distill.sandbox.execution import Limits, Outcome, SandboxUnavailable
from distill.sandbox.image import Entry, Image, Kind
from distill.sandbox.pool import Pool, open_pool, open_tier, tiers_for
from distill.sandbox.tiers import LandlockTier, NoTier, Tier

Found = TypeVar("Found")
TIERS: list[Tier] = [tier for tier in (BubblewrapTier(), LandlockTier(), NoTier()) if tier.problem() is None]
START = Image(
    {
        "home": Entry(Kind.DIRECTORY, 0o755),
        "home/.gitconfig": Entry(Kind.FILE, 0o644, GLOBAL_CONFIG.encode()),
        "repo": Entry(Kind.DIRECTORY, 0o755),
        "repo/old": Entry(Kind.FILE, 0o644, b"old\n"),
    }
)


@pytest.fixture(scope="module", params=TIERS, ids=lambda tier: tier.name)
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with Pool(request.param, workers=2) as pool:
        yield pool


def test_a_run_reports_everything_and_sends_back_what_changed(pool: Pool) -> None:
    run = pool.run(START, "pwd; echo new > new; rm old; chmod 700 ../home; echo oh >&2; exit 3")
    assert (run.outcome, run.exit_code, run.stdout, run.stderr) == (Outcome.FINISHED, 3, b"/case/repo\n", b"oh\n")
    assert not run.truncated and run.detail == "" and 0 < run.seconds < 10
    assert run.image is not None
    assert run.image.entries == {
        "home": Entry(Kind.DIRECTORY, 0o700),
        "home/.gitconfig": START.entries["home/.gitconfig"],
        "repo": Entry(Kind.DIRECTORY, 0o755),
        "repo/new": Entry(Kind.FILE, 0o644, b"new\n"),
    }


def test_cases_do_not_see_each_other(pool: Pool) -> None:
    pool.run(START, "echo x > left; git config --global user.name Eve; echo y > $TMPDIR/left")
    for _ in range(pool.size):
        run = pool.run(START, "ls -A $TMPDIR; ls; git config user.name")
        assert run.stdout == b"old\nAda Example\n"


def test_git_works_with_a_root_of_any_name(pool: Pool) -> None:
    command = (
        "git init -q && git add . && git commit -qm One && git clone -q --bare . ../origin.git && "
        "git remote add origin /case/origin.git 2>&1; git remote -v"
    )
    first = pool.run(START, command)
    assert first.image is not None
    text = first.image.entries["repo/.git/config"].data
    assert b"url = /case/origin.git" in text
    # `/case/origin.git` in a starting image means the root, wherever that is.
    second = pool.run(first.image, "git fetch origin && git branch -r && git remote -v")
    assert second.stdout.splitlines() == [
        b"  origin/main",
        b"origin\t/case/origin.git (fetch)",
        b"origin\t/case/origin.git (push)",
    ], second.stderr


def test_identity_and_editor_can_be_set_by_an_answer(pool: Pool) -> None:
    run = pool.run(
        START,
        "git init -q; git config user.name Eve; git config core.editor 'echo edited >'; git add .; git commit -q; "
        "git log --format='%an %s %at %ct'; git config --global -l | head -1; git commit --amend --no-edit -q; "
        "git config --unset core.editor; git commit --allow-empty; echo $?",
    )
    assert run.stdout == b"Eve edited 1748854800 1748854800\nuser.name=Ada Example\n1\n", run.stderr


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("echo \0", "NUL"),
        ("echo " + "x" * 70_000, "bytes long"),
        ("echo \ud800", "half of a character"),
    ],
)
def test_what_cannot_be_run_is_refused_without_a_worker(pool: Pool, command: str, word: str) -> None:
    run = pool.run(START, command)
    assert run.outcome is Outcome.REFUSED and word in run.detail and run.image is None


def test_many_threads_share_the_workers(pool: Pool) -> None:
    with ThreadPoolExecutor(8) as threads:
        runs = list(threads.map(lambda number: pool.run(START, f"echo {number}"), range(60)))
    assert [run.stdout for run in runs] == [b"%d\n" % number for number in range(60)]


@pytest.mark.slow
def test_more_images_than_a_worker_keeps(pool: Pool) -> None:
    images = [
        Image({"repo": Entry(Kind.DIRECTORY, 0o755), "repo/n": Entry(Kind.FILE, 0o644, b"%d\n" % number)})
        for number in range(150)
    ]
    for image in [*images, *images[:3]]:
        assert pool.run(image, "cat n").stdout == image.entries["repo/n"].data


def test_a_killed_worker_is_replaced_and_its_case_answered_once(pool: Pool) -> None:
    mark = f"60.{secrets.randbelow(10**9):09d}"
    starts = []

    def kill_when_it_runs() -> None:
        victim = _wait_for(lambda: _process(mark))
        starts.append(victim)
        for member in list(pool._members):
            os.kill(_worker(member.process_id), signal.SIGKILL)

    thread = threading.Thread(target=kill_when_it_runs)
    thread.start()
    run = pool.run(START, f"timeout 1.5 sleep {mark}; echo answered")
    thread.join()
    assert len(starts) == 1
    assert (run.outcome, run.stdout) == (Outcome.FINISHED, b"answered\n")
    assert _process(mark) is None
    assert all(pool.run(START, "echo on").stdout == b"on\n" for _ in range(3))


def test_a_case_whose_workers_die_twice_is_broken(pool: Pool) -> None:
    done = threading.Event()

    def kill_all_busy() -> None:
        while not done.wait(0.01):
            for member in list(pool._members):
                with contextlib.suppress(OSError):
                    os.kill(_worker(member.process_id), signal.SIGKILL)

    thread = threading.Thread(target=kill_all_busy)
    thread.start()
    run = pool.run(START, "sleep 30")
    done.set()
    thread.join()
    assert run.outcome is Outcome.BROKEN and run.image is None and "worker" in run.detail
    assert pool.run(START, "echo on").stdout == b"on\n"


def test_an_interrupt_in_the_middle_of_a_run_leaves_a_working_pool(pool: Pool) -> None:
    mark = f"60.{secrets.randbelow(10**9):09d}"

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            pool.run(START, f"sleep {mark}", limits=Limits(seconds=60))
    finally:
        signal.signal(signal.SIGALRM, old)
    assert _process(mark) is None
    assert [pool.run(START, "echo on").stdout for _ in range(3)] == [b"on\n"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
@pytest.mark.parametrize("how", ["close", "error", "garbage"])
def test_nothing_is_left_when_a_pool_ends(tier: Tier, how: str) -> None:
    handles = _handles()
    pool: Pool | None = Pool(tier, workers=2)
    assert pool is not None
    processes = [member.process_id for member in pool._members]
    folders = [member._folder for member in pool._members if member._folder is not None]
    assert len(folders) == (0 if tier.name == "bubblewrap" else 2) and all(folder.is_dir() for folder in folders)
    pool.run(START, "(setsid sleep 61.5 &) ; echo x > x")
    if how == "close":
        pool.close()
        pool.close()
        with pytest.raises(RuntimeError, match="closed"):
            pool.run(START, "true")
    elif how == "error":
        with pytest.raises(ZeroDivisionError), pool:
            raise ZeroDivisionError
    pool = None
    gc.collect()
    assert not any(Path(f"/proc/{process}").exists() for process in processes)
    assert not any(folder.exists() for folder in folders)
    _wait_for(lambda: _handles() <= handles or None)


@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
def test_nothing_is_left_when_the_harness_is_killed(tier: Tier) -> None:
    mark = f"60.{secrets.randbelow(10**9):09d}"
    program = (
        f"import sys; sys.path.insert(0, {str(Path(distill.__file__).parents[1])!r})\n"
        "from distill.sandbox.execution import Limits\n"
        "from distill.sandbox.image import Entry, Image, Kind\n"
        "from distill.sandbox.pool import Pool, tiers_for\n"
        f"pool = Pool(tiers_for({tier.name!r})[0], workers=2)\n"
        "print(*(member._folder for member in pool._members), flush=True)\n"
        "image = Image({'repo': Entry(Kind.DIRECTORY, 0o755)})\n"
        f"pool.run(image, '(setsid sleep {mark} &); sleep {mark}', limits=Limits(seconds=300))\n"
    )
    harness = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert harness.stdout is not None
    try:
        _wait_for(lambda: _process(mark))
    finally:
        harness.kill()
        folders = [Path(name) for name in harness.communicate()[0].split() if name != "None"]
    _wait_for(lambda: _process(mark) is None or None)
    assert len(folders) == (0 if tier.name == "bubblewrap" else 2)
    _wait_for(lambda: not any(folder.exists() for folder in folders) or None)


def test_limits_above_the_pool_are_a_mistake_of_the_caller(pool: Pool) -> None:
    with pytest.raises(ValueError, match="file_bytes is"):
        pool.run(START, "true", limits=Limits(file_bytes=2 * pool.limits.file_bytes))


def test_an_old_kernel_is_refused_from_outside_and_from_inside() -> None:
    for abi, reason in ((0, "has no Landlock"), (5, "does not confine signals")):
        with pytest.raises(SandboxUnavailable, match=f"^landlock: .*{reason}.*Linux 6.12"):
            open_tier(LandlockTier(abi=abi), workers=1)
        with pytest.raises(SandboxUnavailable, match=f"^landlock: .*{reason}.*Linux 6.12"):
            Pool(LandlockTier(abi=abi), workers=1)


def test_when_no_tier_can_be_had_the_message_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(pool_module, "tiers_for", lambda sandbox: (BubblewrapTier(), LandlockTier(abi=3)))
    with pytest.raises(SandboxUnavailable) as caught:
        open_pool("auto")
    message = str(caught.value)
    for words in (
        "nothing was run",
        "bubblewrap: there is no `bwrap`",
        "apt install bubblewrap",
        "landlock: this kernel",
    ):
        assert words in message
    assert "`--sandbox none` has to be typed" in message


def test_a_tier_that_does_not_hold_is_not_used() -> None:
    with pytest.raises(SandboxUnavailable, match=r"landlock: the self-test got through: .*read outside"):
        open_tier(NoTier(name="landlock"), workers=2)


def test_auto_goes_on_to_the_next_tier_and_never_to_none() -> None:
    assert [tier.name for tier in tiers_for("auto")] == ["bubblewrap", "landlock", "docker"]
    with pytest.raises(ValueError, match="no sandbox 'chroot'"):
        tiers_for("chroot")


def test_none_has_to_be_named_and_says_what_it_lets_through() -> None:
    with open_pool("none", workers=1) as pool:
        assert pool.tier == "none"
        held = {probe.name: probe.held for probe in pool.probes}
    assert not any(held[name] for name in ("read outside", "write outside", "TCP", "UDP", "unix sockets", "signals"))
    assert not held["change metadata outside"] and not held["environment"] and not held["tracing"]


def _process(mark: str) -> int | None:
    """A process called `sleep` with `mark` as its argument."""
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and (process / "cmdline").read_bytes() == b"sleep\0" + mark.encode() + b"\0":
                return int(process.name)
    return None


def _worker(started: int) -> int:
    """The worker below a guardian or `bwrap`."""
    children = Path(f"/proc/{started}/task/{started}/children").read_text().split()
    return int(children[0]) if children else started


def _handles() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def _wait_for(look: Callable[[], Found | None]) -> Found:
    """What `look` finds, once it finds something; fails after a time that no machine needs."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = look()
        if found is not None:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen")
