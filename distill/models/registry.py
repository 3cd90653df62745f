"""What a model's name stands for, and where it is asked.

In: a name from the command line or `distill.yaml`, the local models of the configuration, and the environment.
Out: a `Target`, or a `ModelError` whose sentence names the ways on. A name is one of

    reference                  the case's own first accepted command; nothing is asked
    a local model              a name under `models:`, or the embedded `smollm2-135m-instruct`, or `ft:<local>:…`
    anything else              asked at OPENAI_BASE_URL, or at OpenAI with OPENAI_API_KEY

Nothing is started or asked here. A key never appears in a `repr`, an error or an `origin`.
"""

from __future__ import annotations

import difflib
import hashlib
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, model_validator

from distill.models.completion import ModelError
from distill.models.fine_tuned import read_folder

REFERENCE = "reference"
EMBEDDED = "smollm2-135m-instruct"
_EMBEDDED_WEIGHTS = f"{EMBEDDED}@q8_0"
OPENAI_URL = "https://api.openai.com/v1"
NO_KEY = "no-key-needed"
"""Sent where a server needs no key; the client library insists on one."""

_BLOCK = 1024 * 1024
_BLOCKS = 16


class LocalModel(BaseModel):
    """Weights that the local platform serves: a GGUF file, or one in a Hugging Face repository, and an adapter."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    gguf: Path | None = None
    """A GGUF file on this machine."""
    hub: str | None = None
    """A Hugging Face repository that holds one, such as `owner/name`."""
    file: str | None = None
    """The file's name inside `hub`."""
    adapter: Path | None = None
    """A LoRA adapter in GGUF; without `gguf` and `hub` it belongs to the base that an `ft:` name names."""
    merged: bool = False
    """Work the adapter into a copy of the base, once: it answers nearly twice as fast, and shares no memory."""

    @model_validator(mode="after")
    def _one_source(self) -> LocalModel:
        if self.gguf and self.hub:
            raise ValueError("has both `gguf` and `hub`; the weights come from one of them")
        if self.file and not self.hub:
            raise ValueError("`file` names a file inside `hub`, which is missing")
        if not (self.gguf or self.hub or self.adapter):
            raise ValueError("needs `gguf`, `hub` or `adapter`")
        if self.merged and not self.adapter:
            raise ValueError("is `merged`, and has no `adapter` to merge")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One model and where it is asked."""

    kind: Literal["reference", "local", "remote"]
    model: str
    base_url: str | None = field(default=None, repr=False)
    """None for the reference, and for a local model until `bind` says where it is served. It may hold credentials:
    what is shown and stored is `origin`."""
    api_key: str | None = field(default=None, repr=False)
    weights: str = ""
    """For a local model: what its weights are, so that new weights under an old name are asked again."""

    @property
    def origin(self) -> str:
        """Where answers come from, for the completion store: the same in every run, and without credentials.

        A local model is served on another port in each run, so there it is the weights and not the address.
        """
        if self.kind == "local":
            return f"local:{self.weights}"
        return without_credentials(self.base_url or "")


def fine_tuned(folder: Path) -> dict[str, LocalModel]:
    """The models that were fine-tuned on this machine, by name. `folder` holds a folder for each."""
    return {
        model.name: LocalModel(
            gguf=place / model.gguf if model.gguf else None, adapter=place / model.adapter if model.adapter else None
        )
        for place, model in read_folder(folder).items()
    }


def resolve(
    name: str, models: Mapping[str, LocalModel] | None = None, *, environ: Mapping[str, str] | None = None
) -> Target:
    """The target of a model name. Raises `ModelError` (fatal) when it cannot be asked as things are."""
    models = models or {}
    environ = os.environ if environ is None else environ
    if name == REFERENCE:
        return Target(kind="reference", model=name)
    if name in models:
        return Target(kind="local", model=name, weights=_weights(name, models))
    if name == EMBEDDED:
        return Target(kind="local", model=name, weights=_EMBEDDED_WEIGHTS)
    base = _base_of(name)
    if base is not None and (base in models or base == EMBEDDED):
        raise _unknown_local(name, models)
    return remote(name, environ)


def bind(target: Target, base_url: str, api_key: str | None = None) -> Target:
    """A local target with the address and the key of the server that was started for it; others unchanged."""
    if target.kind != "local":
        return target
    return replace(target, base_url=base_url, api_key=api_key or NO_KEY)


def without_credentials(url: str) -> str:
    """A URL as it may be shown and stored: no user, password, query or fragment, no slash at the end."""
    parts = urlsplit(url)
    host = (parts.netloc.rpartition("@")[2]).lower()
    return urlunsplit((parts.scheme.lower(), host, parts.path.rstrip("/"), "", ""))


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def remote(name: str, environ: Mapping[str, str] | None = None) -> Target:
    """A model at OPENAI_BASE_URL, or at OpenAI. Raises `ModelError` where the environment does not say enough."""
    environ = os.environ if environ is None else environ
    given = environ.get("OPENAI_BASE_URL", "").strip()
    key = environ.get("OPENAI_API_KEY", "").strip()
    url = given or OPENAI_URL
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ModelError(
            f"OPENAI_BASE_URL has to be a URL such as https://api.openai.com/v1 or http://127.0.0.1:8000/v1, "
            f"and {without_credentials(url) or given!r} is none.",
            kind="connection",
            fatal=True,
        )
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise ModelError(
            "OPENAI_API_KEY holds a space or a character that no key has: copy the key again.",
            kind="authentication",
            fatal=True,
        )
    if not key and parts.hostname == urlsplit(OPENAI_URL).hostname:
        raise ModelError(
            f"Asking {name!r} at {without_credentials(url)} needs a key and OPENAI_API_KEY is not set. Set it, or set "
            f"OPENAI_BASE_URL to a server that needs none; the models {REFERENCE!r} and {EMBEDDED!r} need neither.",
            kind="authentication",
            fatal=True,
        )
    return Target(kind="remote", model=name, base_url=url, api_key=key or NO_KEY)


def _base_of(name: str) -> str | None:
    prefix, _, rest = name.partition(":")
    return rest.partition(":")[0] if prefix == "ft" else None


def _unknown_local(name: str, models: Mapping[str, LocalModel]) -> ModelError:
    known = sorted(model for model in models if _base_of(model) is not None)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        hint = f"Did you mean {close[0]!r}? "
    elif known:
        hint = ""
    else:
        hint = "None has been trained yet. "
    exists = f"There are: {', '.join(known)}." if known else "Add it under `models:` in distill.yaml."
    return ModelError(f"There is no fine-tuned local model {name!r}. {hint}{exists}", kind="not_found", fatal=True)


def _weights(name: str, models: Mapping[str, LocalModel]) -> str:
    """A fingerprint of everything that a local model's answers come from."""
    model = models[name]
    parts: list[str] = []
    if model.gguf is not None:
        parts.append(_fingerprint(name, model.gguf))
    elif model.hub is not None:
        parts.append(f"{model.hub}/{model.file or ''}")
    else:
        parts.append(_base_weights(name, models))
    if model.adapter is not None:
        parts.append(_fingerprint(name, model.adapter))
    if model.merged:
        parts.append("merged")
    return "+".join(parts)


def _base_weights(name: str, models: Mapping[str, LocalModel]) -> str:
    base = _base_of(name)
    if base == EMBEDDED and EMBEDDED not in models:
        return _EMBEDDED_WEIGHTS
    if base is None or base not in models or base == name:
        known = ", ".join(sorted({EMBEDDED, *(model for model in models if _base_of(model) is None)}))
        raise ModelError(
            f"The model {name!r} is only an adapter, and its name does not say what for: call it ft:BASE:… with BASE "
            f"one of {known}, or give it `gguf` or `hub`.",
            kind="not_found",
            fatal=True,
        )
    return _weights(base, models)


def _fingerprint(name: str, path: Path) -> str:
    """SHA-256 over a file's size and evenly spaced blocks: all of a small file, 16 MiB of one of any size."""
    try:
        size = path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        step = max(_BLOCK, (size - _BLOCK) // (_BLOCKS - 1)) if size > _BLOCK else _BLOCK
        with path.open("rb") as file:
            for number in range(_BLOCKS):
                file.seek(number * step)
                digest.update(file.read(_BLOCK))
    except OSError as error:
        raise ModelError(
            f"The model {name!r} needs the file {path}, which cannot be read ({error.strerror}). Correct its path "
            "under `models:` in distill.yaml.",
            kind="not_found",
            fatal=True,
        ) from None
    return digest.hexdigest()[:32]
