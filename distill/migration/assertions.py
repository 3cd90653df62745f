"""One Promptfoo assertion as a criterion of grader objects, or the reason why it has no equal here.

In: an assertion as data, and what stands around it (`Surroundings`). Out: a `Criterion`, or `NoEqual` with the reason.
Values are templates over the test's variables, and become templates over `item`.
Thresholds that an assertion leaves out are Promptfoo's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from distill.migration import judges, sources
from distill.migration.assertion import Assertion, Found, Surroundings, number
from distill.migration.beside import path_beside
from distill.migration.criteria import Criterion, step
from distill.migration.imported import NoEqual, plain

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
    found = make(Assertion(base, assertion, threshold, around))
    if not negated:
        return found.criterion
    return found.criterion.negated(found.threshold)


def _equals(it: Assertion) -> Found:
    value = it.value
    if isinstance(value, dict | list):
        return it.python(sources.equals_value(_without_templates(value)))
    return it.simple(type="string_check", operation="eq", input=OUTPUT, reference=it.text())


def _contains(it: Assertion) -> Found:
    operation = "ilike" if it.kind == "icontains" else "like"
    return it.simple(type="string_check", operation=operation, input=OUTPUT, reference=it.text())


def _contains_several(it: Assertion) -> Found:
    source = sources.contains(
        it.texts(), all_of=it.kind.endswith("-all"), ignoring_case=it.kind.startswith("icontains")
    )
    return it.python(source)


def _json(it: Assertion) -> Found:
    value = it.value
    if isinstance(value, str):
        try:
            value = plain(yaml.safe_load(value))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise NoEqual(f"its schema cannot be read: {str(error).splitlines()[0]}") from None
    if value is not None and not isinstance(value, dict | bool):
        raise NoEqual("its value has to be a JSON Schema")
    return it.python(sources.is_json(_without_templates(value), anywhere=it.kind == "contains-json"))


def _levenshtein(it: Assertion) -> Found:
    return it.python(sources.levenshtein(it.text(), it.threshold if it.threshold is not None else 5))


def _word_count(it: Assertion) -> Found:
    value = it.value
    if isinstance(value, dict) and set(value) <= {"min", "max"} and value:
        return it.python(sources.word_count(number(value.get("min")), number(value.get("max"))))
    return it.python(sources.word_count(number(value), number(value)))


def _alike(it: Assertion) -> Found:
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
        return Found(Criterion(name=it.name, graders=parts), threshold)
    best = f"max({', '.join(f'{{{place}}}' for place in range(len(parts)))})"
    passes = step(f"{best} - {threshold:.12g}")
    return Found(Criterion(name=it.name, graders=parts, score=best, passes=passes), threshold)


def _python(it: Assertion) -> Found:
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
    return Found(it.python(source, pass_threshold=least).criterion, least)


def _rubric(it: Assertion) -> Found:
    made = judges.rubric(it.text(), it.judge(), it.threshold)
    return Found(it.simple(**made).criterion, it.threshold)


def _closed_question(it: Assertion) -> Found:
    return it.simple(**judges.closed_question(it.text(), it.judge()))


def _quality(it: Assertion) -> Found:
    threshold = 0.7 if it.threshold is None else it.threshold
    return Found(it.simple(**judges.quality(it.text(), it.judge(), threshold)).criterion, threshold)


def _factuality(it: Assertion) -> Found:
    options = it.data.get("options")
    given = options.get("factuality") if isinstance(options, Mapping) else None
    given = given if given is not None else it.data.get("factuality")
    scores = {name: float(number(score) or 0) for name, score in (given or {}).items() if name in judges.FACTUALITY}
    return it.simple(**judges.factuality(it.text(), it.judge(), scores))


_MAKERS: dict[str, Callable[[Assertion], Found]] = {
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
    return None if given is None else number(given)


def _without_templates(value: Any) -> Any:
    if any(opening in json.dumps(value, ensure_ascii=False) for opening in ("{{", "{%")):
        raise NoEqual("a template inside of an object is not taken over; write it as a `python` grader")
    return value
