"""Promptfoo's providers: which models a config was run with, and how they were sampled.

In: the `providers` of a config. Out: the names of OpenAI's models, and sampling parameters by the names of a chat
completion. Keys are never taken over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill.migration.imported import Remarks

_SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_completion_tokens",
    "response_format": "response_format",
    "reasoning_effort": "reasoning_effort",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stop": "stop",
}
_SECRET = {"apiKey", "organization", "headers", "apiKeyEnvar"}


def model_of(provider: Any) -> str | None:
    """The model that a provider names, as in `openai:chat:gpt-4o`; None where it names none of OpenAI's kind."""
    if isinstance(provider, Mapping):
        configured = provider.get("config")
        if isinstance(configured, Mapping) and isinstance(configured.get("model"), str):
            return str(configured["model"])
        provider = provider.get("id")
    if not isinstance(provider, str) or "/" in provider.partition(":")[0] or provider.startswith(("file:", "exec:")):
        return None
    vendor, separator, rest = provider.partition(":")
    if not separator:
        return provider or None
    if vendor not in ("openai", "azureopenai", "azure"):
        return None
    kind, separator, model = rest.partition(":")
    return (model if separator and kind in ("chat", "responses", "completion") else rest) or None


def models_and_sampling(providers: Any, remarks: Remarks) -> tuple[list[str], dict[str, Any]]:
    """The models, in their order, and the sampling of the first. What has no equal goes into `remarks`."""
    models: list[str] = []
    sampling: dict[str, Any] = {}
    for given in providers if isinstance(providers, list) else [providers] if providers else []:
        provider = given
        if isinstance(given, Mapping) and "id" not in given and len(given) == 1:
            ((name, rest),) = given.items()
            provider = {"id": name, **(rest if isinstance(rest, Mapping) else {})}
        model = model_of(provider)
        if model is None:
            remarks.leave_out("a provider", "it is not of OpenAI's kind; name its model with --model")
            continue
        settings = provider.get("config") if isinstance(provider, Mapping) else None
        found = _sampling(model, settings if isinstance(settings, Mapping) else {}, remarks)
        if models and found != sampling:
            remarks.change(f"the settings of {model}", "a run has one `sampling`: that of the first provider")
        sampling = sampling if models else found
        models.append(model)
    return models, sampling


def _sampling(model: str, settings: Mapping[str, Any], remarks: Remarks) -> dict[str, Any]:
    for name in settings.keys() - _SAMPLING.keys() - {"model"}:
        why = (
            "keys and accounts are taken from the environment"
            if name in _SECRET
            else "it has no equal in a run's `sampling`"
        )
        remarks.leave_out(f"the setting {name!r} of {model}", why)
    return {_SAMPLING[name]: value for name, value in settings.items() if name in _SAMPLING and value is not None}
