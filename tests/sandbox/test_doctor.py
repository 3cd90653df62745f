"""What this machine can do, and which git is good enough."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from distill.sandbox.docker import DockerTier
from distill.sandbox.doctor import examine_tiers
from distill.sandbox.execution import Execution, Limits, Outcome, SandboxUnavailable
from distill.sandbox.git_version import working_git
from distill.sandbox.image import Image
from distill.sandbox.pool import tiers_for


@pytest.mark.slow
def test_every_tier_is_reported_with_what_it_holds_or_what_it_lacks() -> None:
    reports = examine_tiers()
    assert [report.name for report in reports] == ["bubblewrap", "landlock", "docker", "seatbelt", "none"]
    names = [probe.name for probe in reports[-1].probes]
    assert len(names) == len(set(names)) == 12
    for report in reports:
        (tier,) = [DockerTier(build=False)] if report.name == "docker" else tiers_for(report.name)
        if tier.problem() is None:
            assert report.available, report.problem
            assert [probe.name for probe in report.probes] == names
            assert report.name == "none" or all(probe.held for probe in report.probes), report.probes
            assert re.fullmatch(r"\d+\.\d+.*", report.git_version) and report.description and not report.problem
        else:
            assert not report.available and report.problem == tier.problem() and not report.probes


@dataclass
class Machine:
    """A machine whose git says one thing, and then fails or works."""

    version: str
    exit_code: int = 0
    asked: int = 0

    def run(self, image: Image, command: str, *, limits: Limits | None = None) -> Execution:
        self.asked += 1
        first = self.asked == 1
        return Execution(
            outcome=Outcome.FINISHED,
            exit_code=0 if first else self.exit_code,
            stdout=self.version.encode() if first else b"",
            stderr=b"" if first and self.version else b"bash: git: says why",
            truncated=False,
            seconds=0.0,
            image=None,
        )


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (Machine(""), r"git 2\.34 or newer is needed on /usr/local/bin:/usr/bin:/bin.*says why.*apt install git"),
        (Machine("git version 2.25.1\n"), r"git 2\.25\.1 is too old: 2\.34 or newer is needed"),
        (Machine("git version 1.9\n"), r"git 1\.9 is too old"),
        (
            Machine("git version 2.40.0\n", exit_code=128),
            r"git 2\.40\.0 cannot work in the sandbox: bash: git: says why",
        ),
    ],
)
def test_a_git_that_is_missing_too_old_or_broken_is_refused(machine: Machine, words: str) -> None:
    with pytest.raises(SandboxUnavailable, match=words):
        working_git(machine)


@pytest.mark.parametrize(
    ("said", "version"), [("git version 2.34.1\n", "2.34.1"), ("git version 3.0.rc1 (x)\n", "3.0.rc1")]
)
def test_a_git_that_works_is_named(said: str, version: str) -> None:
    assert working_git(Machine(said)) == version
