"""`distill doctor`: what this machine can do, in words, and what to install where something is missing.

Every sandbox tier is really started and attacked; the rest is looked up. A key is reported as set or not, never shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from distill.cache import cache_folder
from distill.models.registry import OPENAI_URL, without_credentials
from distill.runs import machine_facts
from distill.sandbox.doctor import TierReport, examine_tiers
from distill.server.wheel_file import SMOLLM2

_GREEN, _RED, _DIM, _END = "\x1b[32m", "\x1b[31m", "\x1b[2m", "\x1b[0m"
_MARKS = {True: ("ok", _GREEN), False: ("no", _RED)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was found."""

    tiers: tuple[TierReport, ...]
    environ: Mapping[str, str]

    @property
    def chosen(self) -> TierReport | None:
        """The tier that `--sandbox auto` takes; None when no tier that confines can be had."""
        return next((tier for tier in self.tiers if tier.available and tier.name != "none"), None)

    @property
    def usable(self) -> bool:
        """Whether answers can be executed at all."""
        return self.chosen is not None

    def text(self, *, color: bool = False) -> str:
        """The findings, a line each."""
        return "\n".join(self._lines(color))

    def _lines(self, color: bool) -> Iterator[str]:
        machine = machine_facts()
        memory = f", {machine.memory_bytes / 2**30:.0f} GiB" if machine.memory_bytes else ""
        yield f"machine   {machine.cpu}, {machine.cores} cores{memory}, {machine.os}, Python {machine.python}"
        git = self.chosen.git_version if self.chosen else ""
        yield f"git       {git or 'not found in a sandbox'}"
        yield f"engine    {_package('xllamacpp')}; weights of the embedded model {_weights()}"
        yield f"endpoint  {_endpoint(self.environ)}"
        for tier in self.tiers:
            yield ""
            yield from _tier_lines(tier, color)
        yield ""
        if self.chosen is not None:
            yield f"`--sandbox auto` uses {self.chosen.name}."
        else:
            yield "No sandbox tier passes, so nothing can be executed. Install what is named above, then ask again."


def diagnose() -> Diagnosis:
    """Look at everything; takes a few seconds, because every tier is attacked."""
    return Diagnosis(tiers=examine_tiers(), environ=os.environ)


def _tier_lines(tier: TierReport, color: bool) -> Iterator[str]:
    if tier.name == "none":
        state = "only when it is typed: `--sandbox none` confines nothing"
        yield f"sandbox none: {state}"
        return
    mark = _mark(tier.available, color)
    held = sum(probe.held for probe in tier.probes)
    count = f" · {held} of {len(tier.probes)} probes held" if tier.probes else ""
    yield f"sandbox {tier.name}: {mark}{count} · {tier.seconds:.1f} s"
    if tier.description:
        yield _dim(f"    {tier.description}", color)
    if tier.problem:
        yield f"    {tier.problem}"
    width = max((len(probe.name) for probe in tier.probes), default=0)
    for probe in tier.probes:
        detail = _dim(f"  {probe.detail}", color) if probe.detail else ""
        yield f"    {_mark(probe.held, color)}  {probe.name:<{width}}{detail}".rstrip()


def _mark(good: bool, color: bool) -> str:
    word, code = _MARKS[good]
    return f"{code}{word}{_END}" if color else word


def _dim(text: str, color: bool) -> str:
    return f"{_DIM}{text}{_END}" if color else text


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} is missing: pip install {name}"


def _weights() -> str:
    path = cache_folder() / SMOLLM2.name
    return f"at {path}" if path.exists() else "are fetched when they are first needed (93 MB)"


def _endpoint(environ: Mapping[str, str]) -> str:
    url = environ.get("OPENAI_BASE_URL", "").strip() or OPENAI_URL
    key = "set" if environ.get("OPENAI_API_KEY", "").strip() else "not set"
    return f"{without_credentials(url)}, OPENAI_API_KEY is {key}"
