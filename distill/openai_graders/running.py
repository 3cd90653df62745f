"""Running a grader over one item and one sample.

In: a checked `Grader`, the two namespaces and `Tools`. Out: a `GraderResult`, always: whatever an item, an answer, a
model or a source does is a score or an error flag. A score that comes with an error is 0.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distill.openai_graders.definitions import (
    Grader,
    LabelModel,
    Multi,
    PythonSource,
    ScoreModel,
    Simple,
    StringCheck,
    TextSimilarity,
    threshold_of,
)
from distill.openai_graders.embeddings import cosine
from distill.openai_graders.formula import FormulaError
from distill.openai_graders.model_graders import messages_of, parameters_of, read_label, read_number
from distill.openai_graders.results import GraderErrors, GraderResult, TokenUsage
from distill.openai_graders.similarity import SimilarityError, TextTooLong, check_lengths, similarity
from distill.openai_graders.templates import VariableMissing, render
from distill.openai_graders.tools import ModelFailed, Reply, Tools

_LONGEST_DETAIL = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a grader, and for `multi` any of its graders, needs of its `Tools`."""

    models: frozenset[str] = frozenset()
    """The models that it asks."""
    sandbox: bool = False
    embeddings: bool = False


def requirements(grader: Grader) -> Requirements:
    """What has to be there for this grader to give a score."""
    parts: list[Grader] = [*grader.parts.values()] if isinstance(grader, Multi) else [grader]
    return Requirements(
        models=frozenset(part.model for part in parts if isinstance(part, LabelModel | ScoreModel)),
        sandbox=any(isinstance(part, PythonSource) for part in parts),
        embeddings=any(isinstance(part, TextSimilarity) and part.evaluation_metric == "cosine" for part in parts),
    )


async def run(grader: Grader, *, item: Mapping[str, Any], sample: Mapping[str, Any], tools: Tools) -> GraderResult:
    """Grade `sample`, as `sample_of` makes it, against `item`. Raises nothing for what either of them holds."""
    started = time.monotonic()
    try:
        result = await _run(grader, item, sample, tools)
    except VariableMissing as missing:
        errors = GraderErrors(sample_parse_error=missing.needs_json, invalid_variable_error=not missing.needs_json)
        result = _failed(grader, errors, str(missing))
    return dataclasses.replace(result, seconds=time.monotonic() - started)


async def _run(grader: Grader, item: Mapping[str, Any], sample: Mapping[str, Any], tools: Tools) -> GraderResult:
    match grader:
        case StringCheck():
            return _scored(grader, float(_compare(grader, item, sample)))
        case TextSimilarity():
            return await _similar(grader, item, sample, tools)
        case LabelModel() | ScoreModel():
            return await _asked(grader, item, sample, tools)
        case PythonSource():
            return await _sourced(grader, item, sample, tools)
        case Multi():
            return await _several(grader, item, sample, tools)


def _compare(grader: StringCheck, item: Mapping[str, Any], sample: Mapping[str, Any]) -> bool:
    text = render(grader.input, item=item, sample=sample)
    reference = render(grader.reference, item=item, sample=sample)
    match grader.operation:
        case "eq":
            return text == reference
        case "ne":
            return text != reference
        case "like":
            return reference in text
        case "ilike":
            return reference.casefold() in text.casefold()


async def _similar(
    grader: TextSimilarity, item: Mapping[str, Any], sample: Mapping[str, Any], tools: Tools
) -> GraderResult:
    text = render(grader.input, item=item, sample=sample)
    reference = render(grader.reference, item=item, sample=sample)
    try:
        if grader.evaluation_metric != "cosine":
            return _scored(grader, await asyncio.to_thread(similarity, text, reference, grader.evaluation_metric))
        check_lengths(text, reference)
        if tools.embed is None:
            raise SimilarityError("cosine compares embeddings, and there is no model for those here")
        return _scored(grader, cosine(*await tools.embed([text, reference])))
    except TextTooLong as error:
        return _failed(grader, GraderErrors(truncated_observation_error=True), str(error))
    except (SimilarityError, ModelFailed, ValueError) as error:
        return _failed(grader, GraderErrors(other_error=True), str(error))


async def _asked(
    grader: LabelModel | ScoreModel, item: Mapping[str, Any], sample: Mapping[str, Any], tools: Tools
) -> GraderResult:
    messages = messages_of(grader.input, item, sample)
    if tools.ask is None:
        return _unanswered(grader, f"there is no model to ask here, and this grader asks {grader.model!r}")
    try:
        reply = await tools.ask(grader.model, messages, parameters_of(grader))
    except ModelFailed as error:
        return _unanswered(grader, str(error))
    if reply.refusal is not None:
        refused = _failed(grader, GraderErrors(model_grader_refusal_error=True), f"the model refused: {reply.refusal}")
        return _with_reply(refused, reply)
    if isinstance(grader, LabelModel):
        label = read_label(reply.text, grader.labels)
        if label is not None:
            score = float(label in grader.passing_labels)
            return _with_reply(dataclasses.replace(_scored(grader, score), label=label), reply)
        missing = "none of the labels"
    else:
        number = read_number(reply.text)
        if number is not None:
            low, high = grader.bounds
            return _with_reply(_scored(grader, min(max(number, low), high)), reply)
        missing = "no number"
    unread = _failed(grader, GraderErrors(model_grader_parse_error=True), f"the model's reply holds {missing}")
    return _with_reply(unread, reply)


async def _sourced(
    grader: PythonSource, item: Mapping[str, Any], sample: Mapping[str, Any], tools: Tools
) -> GraderResult:
    unavailable = "there is no sandbox to run a source in, and it is not run without one"
    if tools.sandbox is not None:
        outcome = await tools.sandbox(grader.source, sample, item)
        if outcome.score is not None:
            return _scored(grader, outcome.score)
        if not outcome.unavailable:
            details = outcome.problem[-_LONGEST_DETAIL:]
            errors = GraderErrors(python_grader_runtime_error=True, python_grader_runtime_error_details=details)
            return _failed(grader, errors, f"grade() gave no score: {_last_line(outcome.problem)}")
        unavailable = outcome.unavailable
    errors = GraderErrors(python_grader_server_error=True, python_grader_server_error_type="sandbox_unavailable")
    return _failed(grader, errors, unavailable)


async def _several(grader: Multi, item: Mapping[str, Any], sample: Mapping[str, Any], tools: Tools) -> GraderResult:
    parts: dict[str, Simple] = grader.parts
    runs = (run(part, item=item, sample=sample, tools=tools) for part in parts.values())
    results = dict(zip(parts, await asyncio.gather(*runs), strict=True))
    errors = GraderErrors.merged(result.errors for result in results.values())
    problems = tuple(f"{name}: {problem}" for name, result in results.items() for problem in result.problems)
    scores = {name: result.score for name, result in results.items()}
    usage: dict[str, TokenUsage] = {}
    for result in results.values():
        for model, used in result.usage.items():
            usage[model] = usage.get(model, TokenUsage()) + used
    total = _failed(grader, errors, *problems)
    if not errors.any:
        try:
            score = grader.formula.compute({variable: scores[name] for variable, name in grader.variables.items()})
            total = _scored(grader, score)
        except FormulaError as error:
            total = _failed(grader, GraderErrors(formula_parse_error=True), str(error))
    return dataclasses.replace(total, sub_scores=scores, usage=usage)


def _scored(grader: Grader, score: float) -> GraderResult:
    return GraderResult(name=grader.name, type=grader.type, score=score, passed=score >= threshold_of(grader))


def _failed(grader: Grader, errors: GraderErrors, *problems: str) -> GraderResult:
    return GraderResult(
        name=grader.name, type=grader.type, score=0.0, passed=False, errors=errors, problems=tuple(problems)
    )


def _unanswered(grader: LabelModel | ScoreModel, reason: str) -> GraderResult:
    errors = GraderErrors(model_grader_server_error=True, model_grader_server_error_details=reason[:_LONGEST_DETAIL])
    return _failed(grader, errors, f"the model gave no answer: {reason}")


def _with_reply(result: GraderResult, reply: Reply) -> GraderResult:
    return dataclasses.replace(result, reply=reply.text, model=reply.model, usage={reply.model: reply.usage})


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:500] if lines else "it said nothing"
