"""One Promptfoo assertion as a criterion of grader objects, or the reason why it has no equal here.

In: an assertion as data, and what stands around it (`Surroundings`). Out: a `Criterion`, or `NoEqual` with the reason.
Values are templates over the test's variables, and become templates over `item`.
Thresholds that an assertion leaves out are Promptfoo's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from distill.migration import judges, sources
from distill.migration.beside import path_beside, read_beside
from distill.migration.criteria import Criterion, single, step
from distill.migration.imported import NoEqual, Remarks, plain
from distill.migration.nunjucks import as_grader_template, variables_of
from distill.migration.providers import model_of

DEFAULT_JUDGE = "gpt-6-luna"
"""The model in a grader object where the config names none; `--judge` asks another."""
OUTPUT = "{{sample.output_text}}"

_SIMILARITY = {
    "rouge-n": ("rouge_1", 0.75),
    "rouge-l": ("rouge_l", 0.75),
    "bleu": ("bleu", 0.5),
    "gleu": ("gleu", 0.5),
    "meteor": ("meteor", 0.5),
    "similar": ("cosine", 0.75),
    "similar:cosine": ("cosine", 0.75),
}
"""Promptfoo's name: OpenAI's metric, and Promptfoo's threshold."""
_REASONS = (
    ({"javascript", "ruby"}, "it is code in another language; write it as a `python` grader"),
    ({"webhook"}, "it would send the answer to another machine"),
    (
        {"cost", "latency", "perplexity", "perplexity-score", "tokens-used"},
        "it limits what an answer costs, not what it "
        "says; a run has ceilings for that: `thresholds: {student: {latency: 2, cost: 1}}`",
    ),
    (
        {"select-best", "max-score"},
        "it compares several answers with each other; runs are compared by `distill compare`",
    ),
    (
        {"is-valid-function-call", "is-valid-openai-function-call", "is-valid-openai-tools-call", "tool-call-f1"},
        "it checks calls of tools, and answers are graded as text",
    ),
    (
        {"moderation", "guardrails", "classifier", "pi", "is-refusal"},
        "it asks another service or model of its own kind",
    ),
    ({"human"}, "a person decides it"),
)


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


def criterion_of(assertion: Mapping[str, Any], around: Surroundings) -> Criterion:
    """What the assertion asks for. Raises `NoEqual`."""
    kind = assertion.get("type")
    if not isinstance(kind, str):
        raise NoEqual("it has no type")
    if assertion.get("weight") == 0:
        raise NoEqual("its weight is 0: it is measured, and decides nothing")
    if "transform" in assertion or "contextTransform" in assertion:
        raise NoEqual("its `transform` is code that would have to be executed")
    negated = kind.startswith("not-")
    base = kind.removeprefix("not-")
    threshold = _threshold(assertion)
    make = _MAKERS.get(base)
    if make is None:
        raise NoEqual(_reason(base))
    found = make(_Assertion(base, assertion, threshold, around))
    if not negated:
        return found.criterion
    return found.criterion.negated(found.threshold)


def name_of(assertion: Mapping[str, Any]) -> str:
    """A short name for a person: its metric, or its type and value."""
    metric = assertion.get("metric")
    if isinstance(metric, str) and metric.strip():
        return " ".join(metric.split())[:80]
    value = assertion.get("value")
    shown = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(f"{assertion.get('type', 'assertion')} {shown}".split())[:80]


@dataclass(frozen=True, slots=True)
class _Found:
    """A criterion; `threshold` where its score is not just 0 or 1, so that its opposite needs it."""

    criterion: Criterion
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class _Assertion:
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
        return self.around.template(_as_text(value))

    def texts(self) -> list[str]:
        """The value as one or more grader templates."""
        value = self.value
        if isinstance(value, list) and value and not any(isinstance(one, dict | list) for one in value):
            return [self.around.template(_as_text(one)) for one in value]
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

    def simple(self, **fields: Any) -> _Found:
        return _Found(single(self.name, fields))

    def python(self, source: str, **fields: Any) -> _Found:
        return self.simple(type="python", source=source, **fields)


def _equals(it: _Assertion) -> _Found:
    value = it.value
    if isinstance(value, dict | list):
        return it.python(sources.equals_value(_without_templates(value)))
    return it.simple(type="string_check", operation="eq", input=OUTPUT, reference=it.text())


def _contains(it: _Assertion) -> _Found:
    operation = "ilike" if it.kind == "icontains" else "like"
    return it.simple(type="string_check", operation=operation, input=OUTPUT, reference=it.text())


def _contains_several(it: _Assertion) -> _Found:
    source = sources.contains(
        it.texts(), all_of=it.kind.endswith("-all"), ignoring_case=it.kind.startswith("icontains")
    )
    return it.python(source)


def _json(it: _Assertion) -> _Found:
    value = it.value
    if isinstance(value, str):
        try:
            value = plain(yaml.safe_load(value))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise NoEqual(f"its schema cannot be read: {str(error).splitlines()[0]}") from None
    if value is not None and not isinstance(value, dict | bool):
        raise NoEqual("its value has to be a JSON Schema")
    return it.python(sources.is_json(_without_templates(value), anywhere=it.kind == "contains-json"))


def _levenshtein(it: _Assertion) -> _Found:
    return it.python(sources.levenshtein(it.text(), it.threshold if it.threshold is not None else 5))


def _word_count(it: _Assertion) -> _Found:
    value = it.value
    if isinstance(value, dict) and set(value) <= {"min", "max"} and value:
        return it.python(sources.word_count(_number(value.get("min")), _number(value.get("max"))))
    return it.python(sources.word_count(_number(value), _number(value)))


def _alike(it: _Assertion) -> _Found:
    metric, usual = _SIMILARITY[it.kind]
    threshold = usual if it.threshold is None else it.threshold
    why = "another library computes the score, so it may differ"
    it.around.remarks.change(
        f"{it.kind} assertions", "another model computes the embeddings" if metric == "cosine" else why
    )
    parts = [
        {
            "type": "text_similarity",
            "name": it.name,
            "input": OUTPUT,
            "reference": text,
            "evaluation_metric": metric,
            "pass_threshold": threshold,
        }
        for text in it.texts()
    ]
    if len(parts) == 1:
        return _Found(Criterion(name=it.name, graders=parts), threshold)
    best = f"max({', '.join(f'{{{place}}}' for place in range(len(parts)))})"
    passes = step(f"{best} - {threshold:.12g}")
    return _Found(Criterion(name=it.name, graders=parts, score=best, passes=passes), threshold)


def _python(it: _Assertion) -> _Found:
    value, function = it.data.get("value"), None
    if not isinstance(value, str):
        raise NoEqual("it has no code")
    if value.startswith("file://"):
        reference, _, named = value.removeprefix("file://").partition(".py")
        function = named.removeprefix(":") or "get_assert"
        if not function.isidentifier():
            raise NoEqual(f"{value!r} names no function of a Python file")
        try:
            value = path_beside(it.around.folder, f"{reference}.py").read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise NoEqual(f"its file cannot be read: {error}") from None
    elif "{{" in value or "{%" in value:
        raise NoEqual("its code is a template, and variables are never put into code")
    source = sources.promptfoo_python(value, function=function, config=it.data.get("config"), threshold=it.threshold)
    least = sources.SMALLEST if it.threshold is None else it.threshold
    return _Found(it.python(source, pass_threshold=least).criterion, least)


def _rubric(it: _Assertion) -> _Found:
    made = judges.rubric(it.text(), it.judge(), it.threshold)
    return _Found(it.simple(**made).criterion, it.threshold)


def _closed_question(it: _Assertion) -> _Found:
    return it.simple(**judges.closed_question(it.text(), it.judge()))


def _quality(it: _Assertion) -> _Found:
    threshold = 0.7 if it.threshold is None else it.threshold
    return _Found(it.simple(**judges.quality(it.text(), it.judge(), threshold)).criterion, threshold)


def _factuality(it: _Assertion) -> _Found:
    options = it.data.get("options")
    given = options.get("factuality") if isinstance(options, Mapping) else None
    given = given if given is not None else it.data.get("factuality")
    scores = {name: float(_number(score) or 0) for name, score in (given or {}).items() if name in judges.FACTUALITY}
    return it.simple(**judges.factuality(it.text(), it.judge(), scores))


_MAKERS: dict[str, Callable[[_Assertion], _Found]] = {
    "equals": _equals,
    "contains": _contains,
    "icontains": _contains,
    **dict.fromkeys(("contains-all", "contains-any", "icontains-all", "icontains-any"), _contains_several),
    "starts-with": lambda it: it.python(sources.starts_with(it.text())),
    "regex": lambda it: it.python(sources.matches(it.text())),
    "is-json": _json,
    "contains-json": _json,
    "levenshtein": _levenshtein,
    "word-count": _word_count,
    **dict.fromkeys(_SIMILARITY, _alike),
    "python": _python,
    "llm-rubric": _rubric,
    "model-graded-closedqa": _closed_question,
    "g-eval": _quality,
    "factuality": _factuality,
    "model-graded-factuality": _factuality,
}


def _reason(kind: str) -> str:
    for kinds, reason in _REASONS:
        if kind in kinds:
            return reason
    return f"no grader of OpenAI's types says {kind!r}"


def _threshold(assertion: Mapping[str, Any]) -> float | None:
    given = assertion.get("threshold")
    return None if given is None else _number(given)


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NoEqual(f"expected a number, and found {value!r}")
    return float(value)


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _without_templates(value: Any) -> Any:
    if any(opening in json.dumps(value, ensure_ascii=False) for opening in ("{{", "{%")):
        raise NoEqual("a template inside of an object is not taken over; write it as a `python` grader")
    return value
