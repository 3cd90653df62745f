"""Doors that a platform has closed, and what to do instead.

In: an error of the `openai` client while training. Out: a `ModelError` whose sentence says what happened and names the
ways on.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import openai

from distill.models.completion import ModelError

HERE = "train on this machine instead: `training: {base: smollm2-135m-instruct}` in distill.yaml needs no key"


def explained(error: openai.OpenAIError, doing: str) -> ModelError:
    """`doing` completes the sentence "… while <doing>"."""
    if isinstance(error, openai.APIStatusError):
        code = error.code or ""
        said = _message(error)
        if code == "training_not_available" or (error.status_code == 403 and "fine-tun" in said.lower()):
            return ModelError(
                f"This organization can create no fine-tuning jobs any more (HTTP "
                f"{error.status_code}, {code or said}): "
                f"{HERE}; or point OPENAI_BASE_URL at a platform that still trains.",
                kind="authentication",
                fatal=True,
            )
        if error.status_code in (401, 403):
            return ModelError(
                f"The API key was refused while {doing} (HTTP {error.status_code}: {said}). Check "
                f"OPENAI_API_KEY and its "
                f"permissions, or {HERE}.",
                kind="authentication",
                fatal=True,
            )
        if error.status_code in (404, 405) and "model" not in code:
            return ModelError(
                f"This server does not know what was asked of it while {doing} (HTTP {error.status_code}): it does not "
                f"train models. {HERE[0].upper()}{HERE[1:]}.",
                kind="not_found",
                fatal=True,
            )
        return ModelError(f"It was refused while {doing} (HTTP {error.status_code}): {said}", kind="invalid_request")
    if isinstance(error, openai.APIConnectionError):
        return ModelError(f"The server could not be reached while {doing}. Run it again; nothing is done twice.")
    return ModelError(f"It failed while {doing}: {error}")


def past_shutdown(client: openai.OpenAI, model: str, *, today: date | None = None) -> str:
    """A sentence for a model whose provider has announced its end; empty for one without, or where it is not said."""
    try:
        found = client.models.retrieve(model)
    except openai.OpenAIError:
        return ""
    end = getattr(found, "shutdown_date", None)
    if not end:
        return ""
    try:
        day = date.fromisoformat(str(end)[:10])
    except ValueError:
        return ""
    today = today or datetime.now(UTC).date()
    if day <= today:
        return f"{model} was shut down on {day}: choose another base, or {HERE}."
    return f"{model} will be shut down on {day}, and with it what is trained from it."


def _message(error: openai.APIStatusError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return str(body.get("message") or error.message).splitlines()[0][:300]
