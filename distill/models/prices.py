"""What an answer costs.

In: a dated price file that users edit, US dollars per million tokens. Out: dollars per answer, or None where the
model or its token counts are not known: an unknown price is never a price of nothing. Nothing is looked up online.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from distill.sources import read_yaml, validate

Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|latest)")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rate(_Strict):
    """US dollars per million tokens."""

    input: Dollars
    output: Dollars


class Price(Rate):
    """What one family of models costs."""

    fine_tuned: Rate | None = Field(default=None, description="For `ft:` models made from it.")
    training: Dollars | None = Field(default=None, description="Per million tokens trained on.")


class Prices(_Strict):
    """A price file."""

    as_of: date
    models: dict[str, Price]

    def cost(self, model: str, prompt_tokens: int | None, completion_tokens: int | None) -> float | None:
        """US dollars for one answer; None when the model or a token count is unknown."""
        rate = self.rate(model)
        if rate is None or prompt_tokens is None or completion_tokens is None:
            return None
        return (prompt_tokens * rate.input + completion_tokens * rate.output) / 1_000_000

    def rate(self, model: str) -> Rate | None:
        """The rate of a model: by its own name, as a dated snapshot of its family, or as fine-tuned from it."""
        if model in self.models:
            return self.models[model]
        if model.startswith("ft:"):
            family = self._family(model.split(":")[1])
            return family.fine_tuned if family is not None else None
        return self._family(model)

    def _family(self, model: str) -> Price | None:
        """By longest prefix, and only with a date behind it: gpt-4o-audio costs something else than gpt-4o."""
        names = [name for name in self.models if name == model or _is_snapshot(model, name)]
        return self.models[max(names, key=len)] if names else None


def load_prices(path: Path) -> Prices:
    """Read a price file. Raises `SourceError` with file and line."""
    return validate(Prices, read_yaml(path))


def _is_snapshot(model: str, family: str) -> bool:
    return model.startswith(family) and _SNAPSHOT.fullmatch(model[len(family) :]) is not None
