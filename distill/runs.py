"""The facts of a run: what was asked of whom, on which machine, under which sandbox.

A run is a folder of two files: `run.json` (here) and `results.jsonl` (`distill.results`). In: facts that the suite
gathered. Out: a frozen `RunFacts`, written whole or not at all, and read back with an error that names file and
field. It holds no key: endpoints lose their credentials and the command line its secrets when the facts are made.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

RUN_FILE = "run.json"
RESULTS_FILE = "results.jsonl"
REPORT_FILE = "report.md"
REFERENCE = "reference"
"""The model that is no model: it answers with the case's own first accepted command."""

_SECRET_OPTION = re.compile(r"(?is)^(--?[\w-]*(?:key|token|secret|password|authorization)[\w-]*)(=.*)?$")
_SECRET_SETTING = re.compile(r"(?is)^(\w*(?:key|token|secret|password)\w*)=.*$")
_SECRET_VALUE = re.compile(r"(?i)\b(?:sk|pk|gsk|hf|xai|ghp|github_pat)[-_][\w-]{8,}|\bBearer\s+\S+")
_CREDENTIALS = re.compile(r"(\w+://)[^/@\s]*@")
_HIDDEN = "[hidden]"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MachineFacts(_Frozen):
    """Where a run took place; figures of speed mean nothing without it."""

    cpu: str
    cores: int
    """Cores that this process may use, which can be fewer than the machine has."""
    memory_bytes: int | None
    os: str
    python: str


class ProbeFacts(_Frozen):
    """One attack of the sandbox's self-test. `held` is True when the sandbox stopped it."""

    name: str
    held: bool
    detail: str = ""


class SandboxFacts(_Frozen):
    """How the answers were contained."""

    tier: str
    """e.g. bubblewrap, landlock, or none."""
    probes: tuple[ProbeFacts, ...] = ()
    unsafe: bool = False
    """Answers ran without a sandbox, because someone typed `--sandbox none`."""


class CaseSetFacts(_Frozen):
    """What was asked."""

    hash: str
    """`distill.cases.case_set_hash`: runs with equal hashes asked the same things."""
    cases: int = Field(ge=0)
    """Cases selected for this run, after `-k` and its like."""
    categories: int = Field(ge=0)


class ModelFacts(_Frozen):
    """Who was asked."""

    role: str
    name: str
    kind: str = "remote"
    """reference, local or remote."""
    endpoint: str | None = None
    """The base URL without credentials and query; None where nothing was called."""
    dropped: tuple[str, ...] = ()
    """Parameters that the endpoint refused, so that they were left out."""

    @field_validator("endpoint")
    @classmethod
    def _without_credentials(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class RunFacts(_Frozen):
    """Everything about a run that is not a row."""

    started: AwareDatetime
    finished: AwareDatetime | None = None
    """None while it runs, and for good when it was cut short."""
    command: tuple[str, ...] = ()
    """The command line; values that look like keys are hidden."""
    machine: MachineFacts
    versions: dict[str, str] = Field(default_factory=dict)
    """Package versions by name."""
    git: str
    """Git's version, e.g. 2.39.5."""
    sandbox: SandboxFacts
    case_set: CaseSetFacts
    models: tuple[ModelFacts, ...]
    samples: int = Field(default=1, ge=1)
    """Answers per case."""
    sampling: dict[str, Any] = Field(default_factory=dict)
    system_prompt: str = ""
    """SHA-256 of the system prompt; empty when there was none."""
    graders: tuple[str, ...]
    """In the order of the run; the first decides whether an answer passes."""
    judge: str | None = None
    thresholds: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Per role: floors for graders; ceilings for harm, unscored, latency (seconds) and cost (US dollars)."""
    min_scores: dict[str, float] = Field(default_factory=dict)
    """Floors by grader, from `--min-score`."""

    @field_validator("command")
    @classmethod
    def _without_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return without_keys(value)


def write_run(folder: Path, facts: RunFacts) -> Path:
    """Write `run.json` into `folder` (made if missing), whole or not at all; the path of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RUN_FILE
    write_whole(path, facts.model_dump_json(indent=2) + "\n")
    return path


def read_run(folder: Path) -> RunFacts:
    """The facts of a run folder. Raises `ValueError` with a sentence when there are none that can be used."""
    path = folder / RUN_FILE
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{folder} is not the folder of a run: it has no {RUN_FILE}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return RunFacts.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(str(step) for step in problem["loc"])
        raise ValueError(f"{path}: {field + ': ' if field else ''}{problem['msg']}") from None


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step: a reader, or a crash in the middle, sees the old text or the new, never half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with temporary.open("x", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def without_keys(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """A command line with the values of key-like options, settings and URLs hidden."""
    shown: list[str] = []
    hide_next = False
    for argument in arguments:
        option = _SECRET_OPTION.match(argument)
        if hide_next and not argument.startswith("-"):
            shown.append(_HIDDEN)
        elif option:
            shown.append(f"{option[1]}={_HIDDEN}" if option[2] else argument)
        elif setting := _SECRET_SETTING.match(argument):
            shown.append(f"{setting[1]}={_HIDDEN}")
        else:
            shown.append(_CREDENTIALS.sub(rf"\1{_HIDDEN}@", _SECRET_VALUE.sub(_HIDDEN, argument)))
        hide_next = bool(option) and not (option and option[2])
    return tuple(shown)


def machine_facts() -> MachineFacts:
    """This machine, from what the operating system says without starting a program."""
    return MachineFacts(
        cpu=_cpu(), cores=_cores(), memory_bytes=_memory(), os=_system(), python=platform.python_version()
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.lower().startswith(("model name", "hardware")))
    return next((name for name in named if name), "") or platform.machine() or "unknown"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _system() -> str:
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.system()} {platform.release()}"
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"
