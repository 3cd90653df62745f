"""The Seatbelt tier as far as it can be tested without macOS: its profile, its command line, whom it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from distill.sandbox.confinement import Confinement, Settings
from distill.sandbox.darwin import end_case
from distill.sandbox.execution import Limits
from distill.sandbox.running import Place, run_command
from distill.sandbox.seatbelt import SeatbeltTier, profile, settings

READ = (
    '(subpath "/usr") (subpath "/bin") (subpath "/sbin") (subpath "/System") (subpath "/Library/Apple") '
    '(subpath "/Library/Developer/CommandLineTools") (subpath "/private/etc/ssl") (subpath "/private/var/db/timezone") '
    '(subpath "/private/var/select") (subpath "/private/var/db/dyld") (subpath "/opt/homebrew") '
    '(subpath "/Applications/Xcode.app/Contents/Developer")'
)
PROFILE = f"""\
(version 1)
(deny default)
(allow process-fork)
(allow process-exec {READ} (subpath "/d/case") (subpath "/d/scratch"))
(allow signal (target same-sandbox))
(allow sysctl-read)
(allow file-read-metadata (literal "/") (subpath "/private") (subpath "/tmp") (subpath "/var"))
(allow file-read* (literal "/"))
(allow file-read* {READ} (literal "/dev/null") (literal "/dev/zero") (literal "/dev/random") (literal "/dev/urandom") \
(subpath "/d/case") (subpath "/d/scratch"))
(allow file-write* (subpath "/d/case") (subpath "/d/scratch"))
(allow file-write-data (literal "/dev/null") (literal "/dev/zero"))
(deny network*)
(deny file-write-setugid)"""


def test_the_exact_profile() -> None:
    assert profile(["/d/case", "/d/scratch"]) == PROFILE


@pytest.mark.parametrize("path", ["case", '/a"b', "/a\\b", "/a\nb", ""])
def test_a_path_that_would_change_the_profile_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="an absolute path without quotes"):
        profile([path])


def test_the_worker_puts_every_case_into_the_sandbox() -> None:
    assert settings(Path("/d"), 7) == Settings(
        tier="seatbelt",
        channel=7,
        root="/d/case",
        scratch="/d/scratch",
        folder="/d",
        wrapper=("/usr/bin/sandbox-exec", "-p", PROFILE, "--"),
        confined=False,
    )


def test_the_exact_command_line() -> None:
    launch = SeatbeltTier().launch(7, Limits())
    try:
        *command, said = launch.command
        assert command[1:-1] == ["-I", "-S", "-B", "-X", "utf8", "-c"]
        assert launch.folder is not None and launch.folder.name.startswith("distill-case-")
        assert json.loads(said)["wrapper"][3] == "--" and Settings(**json.loads(said)).folder == str(launch.folder)
        assert launch.shared_user == os.getuid() and not launch.standard
    finally:
        if launch.folder is not None:
            launch.folder.rmdir()


def test_it_is_a_problem_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert SeatbeltTier().problem() == "Seatbelt is part of macOS; on Linux use bubblewrap or landlock"
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("os.getuid", lambda: 0)
    assert "not as root" in (SeatbeltTier().problem() or "")
    monkeypatch.setattr("os.getuid", lambda: 501)
    monkeypatch.setattr("distill.sandbox.seatbelt.PROGRAM", "/nowhere/sandbox-exec")
    assert "there is no /nowhere/sandbox-exec" in (SeatbeltTier().problem() or "")


def test_only_what_is_in_the_sandbox_of_this_case_is_ended() -> None:
    inside, free, other = (subprocess.Popen(["sleep", "60"]) for _ in range(3))
    try:
        writes = {inside.pid: ["/d/"], free.pid: ["/d"], other.pid: ["/e/"]}
        asked = [inside, free, other]

        def processes() -> list[int]:
            return [each.pid for each in asked if each.poll() is None]

        def check(process: int, path: str) -> bool:
            return any(path.startswith(start) for start in writes[process])

        end_case("/d", check, processes)
        assert inside.wait(10) == -signal.SIGKILL
        assert free.poll() is None and other.poll() is None
    finally:
        for each in (inside, free, other):
            each.kill()
            each.wait()


def test_a_case_is_started_through_its_wrapper(tmp_path: Path) -> None:
    (tmp_path / "case").mkdir()
    (tmp_path / "scratch").mkdir()
    place = Place(  # noqa: S604 # the shell's path, not a switch
        root=str(tmp_path / "case"),
        scratch=str(tmp_path / "scratch"),
        shell="/bin/bash",
        environment={"PATH": os.defpath},
        private=False,
        memory=False,
        wrapper=("/usr/bin/env", "WRAPPED=yes"),
    )
    ended: list[int] = []
    here, there = os.pipe()
    try:
        confinement = Confinement(None, False, lambda: ended.append(1))
        done = run_command("echo $WRAPPED $0", place, confinement, Limits(), tasks=2000, harness=here)
    finally:
        os.close(here)
        os.close(there)
    assert (done.exit_code, done.stdout) == (0, b"yes /bin/bash\n") and ended
