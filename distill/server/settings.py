"""How the local platform is set up: what it serves, where, and within which limits.

In: the values that the command line, a run, or the parent process gives. Out: `ServerSettings`, which checked that an
address other machines can reach is never served without an API key. It travels as JSON from the parent process to the
server process over a pipe, because what stands on a command line can be read by every user of the machine.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from distill.models.registry import is_loopback

_MOST_THREADS = 16
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class ModelFiles(BaseModel):
    """The files that one served model consists of; all of them are on this machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gguf: Path
    adapters: tuple[Path, ...] = ()
    """LoRA adapters in GGUF, applied in this order at full strength."""


class EngineSettings(BaseModel):
    """How one model is run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slots: int = Field(default=32, ge=1, le=256)
    """Answers generated at the same time; further requests wait."""
    context: int = Field(default=1024, ge=64)
    """Tokens that one request and its answer may have together."""
    threads: int = Field(default_factory=lambda: usable_cores(), ge=1)


class RemoteSettings(BaseModel):
    """Another server that has the models, and speaks OpenAI's protocol."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    """Up to and with `/v1`, which is added where there is no path."""
    api_key: str | None = Field(default=None, repr=False)

    @field_validator("url")
    @classmethod
    def _whole(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("has to be a URL such as http://127.0.0.1:11434/v1")
        if parts.username or parts.password:
            raise ValueError("must hold no password; the engine's key is given in DISTILL_ENGINE_API_KEY")
        return url.rstrip("/") + ("" if parts.path.strip("/") else "/v1")


class JobSettings(BaseModel):
    """How fine-tuning jobs are run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_once: int = Field(default=1, ge=0, le=8)
    """Jobs that train at the same time; further ones are queued. 0 leaves the queue to another server."""
    retries: int = Field(default=2, ge=0, le=10)
    """How often in a row, without progress between, a trainer that crashed is started again from its checkpoint."""
    trainer: str = "distill.trainer"
    """The module, or the path of the Python file, that trains. It is given the job's folder."""
    trainer_needs: tuple[str, ...] = ("torch", "transformers", "peft", "trl", "datasets", "gguf")
    """Packages without which a job fails before it is queued."""


class ServerSettings(BaseModel):
    """Everything that the server process needs to know. Raises `ValueError` for an address that needs an API key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: dict[str, ModelFiles]
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    """0 takes a free one."""
    api_key: str | None = Field(default=None, repr=False)
    """None serves everybody who reaches the address, which is allowed on a loopback address alone."""
    preload: bool = True
    """Load every model before saying ready; otherwise each is loaded when it is first asked."""
    largest_body: int = Field(default=4 * 1024 * 1024, ge=1)
    """Bytes that a request body may have."""
    data: Path | None = None
    """The folder for everything that is kept; None: a temporary one that goes with the server."""
    largest_upload: int = Field(default=512 * 1024 * 1024, ge=1)
    """Bytes that an uploaded file may have."""
    patience: float = Field(default=5.0, gt=0)
    """Seconds that a write waits for another program that has locked the database."""
    engine: EngineSettings = Field(default_factory=EngineSettings)
    memory: int | None = Field(default=None, ge=1)
    """Bytes that all loaded models may take together; None: half of the machine's, or of the control group's."""
    remote: RemoteSettings | None = None
    """Where models are asked that are not on this machine; None: nowhere."""
    jobs: JobSettings = Field(default_factory=JobSettings)

    @model_validator(mode="after")
    def _reachable_only_with_a_key(self) -> ServerSettings:
        check_access(self.host, self.api_key)
        return self

    @model_validator(mode="after")
    def _something_to_serve(self) -> ServerSettings:
        if not self.models and self.remote is None:
            raise ValueError("there is no model to serve")
        return self


def remote_engine(text: str, api_key: str | None) -> RemoteSettings:
    """Reads `openai:URL`. Raises `ValueError` with a sentence."""
    kind, _, url = text.partition(":")
    if kind != "openai" or not url:
        raise ValueError(f"--engine {text}: expected openai:URL, such as openai:http://127.0.0.1:11434/v1")
    try:
        return RemoteSettings(url=url, api_key=api_key or None)
    except ValidationError as error:
        reason = error.errors(include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise ValueError(f"--engine openai:URL: the URL {reason}") from None


def check_access(host: str, api_key: str | None) -> None:
    """Raises `ValueError` for an address that other machines reach without a key, and for a key that cannot be sent."""
    if api_key is None:
        if not is_loopback_host(host):
            raise ValueError(
                f"{host} can be reached from other machines, so serving it needs an API key; give one, or serve on "
                "127.0.0.1"
            )
    elif not (api_key and api_key.isascii() and api_key.isprintable() and " " not in api_key):
        raise ValueError("the API key has to be one or more printable ASCII characters without a space")


def is_loopback_host(host: str) -> bool:
    """Whether an address to bind, or the host part of a Host header, is this machine alone."""
    bare = host.strip("[]")
    return is_loopback(f"http://[{bare}]/" if ":" in bare else f"http://{bare}/")


def usable_cores() -> int:
    """Cores that this process may use: its affinity and its control group's quota, at most 16.

    More threads than cores stall each other at every layer, and a small model has too little work a layer to feed
    more than a few.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_QUOTA.read_text(encoding="ascii").split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no control group, or an older layout: the affinity stands
    return min(cores, _MOST_THREADS)
