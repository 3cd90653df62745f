"""One Promptfoo assertion as it stands in a config, and how to read it: its value, its threshold, its judge.

In: an assertion as data, and what stands around it. Out: texts as grader templates over `item`, numbers, and the model
that grades. What is not of the shape that is asked for raises `NoEqual`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill.migration.beside import read_beside
from distill.migration.criteria import Criterion, single
from distill.migration.imported import NoEqual, Remarks
from distill.migration.nunjucks import as_grader_template, variables_of
from distill.migration.providers import model_of

DEFAULT_JUDGE = "gpt-6-luna"
"""The model in a grader object where the config names none; `--judge` asks another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an assertion needs to know of its config."""

    folder: Path
    """Where the config is: the only place that `file://` may name."""
    judge: str | None = None
    """The model that grades, where the assertion names none."""
    rubric_prompt: bool = False
    """Whether model-graded assertions have a prompt of their own."""
    remarks: Remarks = field(default_factory=Remarks)
    named: set[str] = field(default_factory=set)
    """The test's variables that assertions name, gathered while they are read."""

    def template(self, text: str) -> str:
        """Promptfoo's template as one over `item`. Raises `NoEqual`."""
        template = as_grader_template(text)
        self.named.update(str(variable.steps[0]) for variable in variables_of(template) if variable.steps)
        return template


@dataclass(frozen=True, slots=True)
class Found:
    """A criterion; `threshold` where its score is not just 0 or 1, so that its opposite needs it."""

    criterion: Criterion
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Assertion:
    """An assertion with what every kind of it asks for."""

    kind: str
    data: Mapping[str, Any]
    threshold: float | None
    around: Surroundings

    @property
    def name(self) -> str:
        return name_of(self.data).removeprefix("not-")

    @property
    def value(self) -> Any:
        """The value; what `file://` names in its place, when that is in the config's folder."""
        value = self.data.get("value")
        return (
            read_beside(self.around.folder, value) if isinstance(value, str) and value.startswith("file://") else value
        )

    def text(self) -> str:
        """The value as a grader template."""
        value = self.value
        if value is None or isinstance(value, dict | list):
            raise NoEqual(f"its value has to be a text, and is {'missing' if value is None else 'a list or object'}")
        return self.around.template(as_text(value))

    def texts(self) -> list[str]:
        """The value as one or more grader templates."""
        value = self.value
        if isinstance(value, list) and value and not any(isinstance(one, dict | list) for one in value):
            return [self.around.template(as_text(one)) for one in value]
        return [self.text()]

    def judge(self) -> str:
        """The model to grade with."""
        if self.around.rubric_prompt or "rubricPrompt" in self.data:
            raise NoEqual(
                "its own `rubricPrompt` asks for a reply of its own shape; write it as a `score_model` grader"
            )
        named = model_of(self.data.get("provider")) or self.around.judge
        if named is None:
            self.around.remarks.change(
                "model-graded assertions",
                f"the config names no model to grade with: {DEFAULT_JUDGE} stands there, and --judge NAME asks another",
            )
        self.around.remarks.change(
            f"{self.kind} assertions",
            "the judge is asked in other words than Promptfoo's: check it before you rely on it",
        )
        return named or DEFAULT_JUDGE

    def simple(self, **fields: Any) -> Found:
        return Found(single(self.name, fields))

    def python(self, source: str, **fields: Any) -> Found:
        return self.simple(type="python", source=source, **fields)


def name_of(assertion: Mapping[str, Any]) -> str:
    """A short name for a person: its metric, or its type and value."""
    metric = assertion.get("metric")
    if isinstance(metric, str) and metric.strip():
        return " ".join(metric.split())[:80]
    value = assertion.get("value")
    shown = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(f"{assertion.get('type', 'assertion')} {shown}".split())[:80]


def number(value: Any) -> float | None:
    """A number, or None for none. Raises `NoEqual` for anything else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NoEqual(f"expected a number, and found {value!r}")
    return float(value)


def as_text(value: Any) -> str:
    """A value as a template shows it: true and false in lower case, 4.0 as 4."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value)
