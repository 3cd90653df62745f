"""What this machine can do: every tier, tried and attacked, for a person to read.

In: nothing. Out: a `TierReport` for each tier, best first. Nothing is run but the self-test.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from distill.sandbox.docker import DockerTier
from distill.sandbox.execution import Probe, SandboxUnavailable
from distill.sandbox.pool import SelfTestFailed, open_tier, tiers_for
from distill.sandbox.tiers import Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class TierReport:
    """How one tier did."""

    name: str
    available: bool
    """Whether it can be used: for "none", that it runs, since it has to be asked for by name anyway."""
    description: str
    """What keeps a case in; empty when the tier cannot be had."""
    problem: str
    """What is missing, and how to get it; empty when nothing is."""
    probes: tuple[Probe, ...]
    git_version: str
    seconds: float
    """Wall clock to start one worker and attack it."""


def examine_tiers() -> tuple[TierReport, ...]:
    """Try each tier with one worker. The image of docker is not built for this: that takes minutes and the network."""
    tiers = [tier for choice in ("bubblewrap", "landlock", "docker", "seatbelt", "none") for tier in tiers_for(choice)]
    return tuple(_examine(DockerTier(build=False) if tier.name == "docker" else tier) for tier in tiers)


def _examine(tier: Tier) -> TierReport:
    started = time.monotonic()
    try:
        with open_tier(tier, workers=1) as pool:
            return TierReport(
                name=tier.name,
                available=True,
                description=pool.description,
                problem="",
                probes=pool.probes,
                git_version=pool.git_version,
                seconds=time.monotonic() - started,
            )
    except SandboxUnavailable as error:
        return TierReport(
            name=tier.name,
            available=False,
            description="",
            problem=str(error).removeprefix(f"{tier.name}: "),
            probes=error.probes if isinstance(error, SelfTestFailed) else (),
            git_version="",
            seconds=time.monotonic() - started,
        )
