"""One item of a run: asked if it has to be, graded by every criterion, and written down.

In: a row of the data source. Out: OpenAI's output item, and whether it passed. What goes wrong with one item (a model
that gives no answer, a template that names what is not there) is that item's error and ends nothing else.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distill.openai_graders import Grader, GraderResult, sample_of
from distill.openai_graders.templates import VariableMissing, parse_template, render, value_of
from distill.server import completions, graders_api
from distill.server.errors import ApiError
from distill.server.evals.requests import CompletionsData, DataSource, ItemReference, Template
from distill.server.evals.sources import Row
from distill.server.ids import new_id
from distill.server.platform import Platform

_SEED = 42  # OpenAI's default for evals


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an item."""

    id: str
    status: str
    """pass, fail or error."""
    results: list[tuple[str, bool]]
    """Each criterion's name and whether the item met it."""
    object: dict[str, Any]


async def process(
    platform: Platform, run: dict[str, str], source: DataSource, graders: Sequence[Grader], row: Row
) -> Outcome:
    """Ask and grade one row. `run`: the ids `run_id` and `eval_id`. Raises nothing for what is the item's own fault."""
    answer, asked, problem = row.sample, None, None
    longest = platform.settings.engine.context
    shown = _shown(row.completion, row.item.get("input") if row.completion else None, longest)
    if isinstance(source, CompletionsData) and (source.model or row.sample is None):
        try:
            body = _request(source, row)
            shown = _shown(None, body["messages"], longest, source)
            asked = await completions.complete(platform, body)
        except (ApiError, VariableMissing, _Unusable) as error:
            problem = getattr(error, "message", str(error))
            shown["error"] = {"code": getattr(error, "code", None) or "invalid_item", "message": problem}
        else:
            answer = sample_of(asked["choices"][0]["message"].get("content") or "", asked)
            shown = _shown(asked, body["messages"], longest, source)
    results: list[GraderResult] = []
    if problem is None:
        results = [await graders_api.grade(platform, grader, item=row.item, sample=answer or {}) for grader in graders]
    met = [(grader.name, result.passed) for grader, result in zip(graders, results, strict=False)]
    broken = problem is not None or any(result.errors.any for result in results)
    status = "error" if broken else "pass" if all(passed for _, passed in met) else "fail"
    item_id = new_id("outputitem", dash=False)
    return Outcome(
        id=item_id,
        status=status,
        results=met,
        object={
            "object": "eval.run.output_item",
            "id": item_id,
            **run,
            "created_at": int(time.time()),
            "status": status,
            "datasource_item_id": row.number,
            "datasource_item": row.item,
            "results": [_result(grader, result) for grader, result in zip(graders, results, strict=False)],
            "sample": shown,
        },
    )


class _Unusable(Exception):
    """An item from which no messages can be made."""


def _request(source: CompletionsData, row: Row) -> dict[str, Any]:
    """The chat completion that an item asks for. Raises `VariableMissing` and `_Unusable`."""
    sampling = source.sampling_params.model_dump(exclude_none=True) if source.sampling_params else {}
    return {"model": source.model, "messages": _messages(source, row), "seed": _SEED, **sampling}


def _messages(source: CompletionsData, row: Row) -> list[dict[str, Any]]:
    match source.input_messages:
        case Template(template=messages):
            return [
                {"role": message.role, "content": render(message.text, item=row.item, sample={})}
                for message in messages
            ]
        case ItemReference(item_reference=path):
            (variable,) = parse_template("{{" + path + "}}")
            assert not isinstance(variable, str)  # noqa: S101 - the request's pattern allows nothing else
            found = value_of(variable, row.item)
        case None:
            path, found = "item.input", row.item.get("input")
    if isinstance(found, str):
        return [{"role": "user", "content": found}]
    if not isinstance(found, list) or not found:
        raise _Unusable(f"{path} holds no messages")
    return found


def _shown(
    completion: dict[str, Any] | None, messages: Any, longest: int, source: CompletionsData | None = None
) -> dict[str, Any]:
    """The `sample` of an output item. `longest`: tokens that an answer may have where nobody set a limit."""
    choice = completion["choices"][0] if completion else None
    usage = (completion or {}).get("usage") or {}
    sampling = source.sampling_params if source and source.sampling_params else None
    given = completion or {}
    return {
        "input": [_message(message) for message in messages or []],
        "output": [{"role": "assistant", "content": choice["message"].get("content") or ""}] if choice else [],
        "finish_reason": choice["finish_reason"] if choice else "",
        "model": given.get("model") or (source.model if source else None) or "",
        "usage": {
            "total_tokens": usage.get("total_tokens", 0),
            "completion_tokens": usage.get("completion_tokens", 0),
            "prompt_tokens": usage.get("prompt_tokens", 0),
            "cached_tokens": (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0),
        },
        "error": None,
        "temperature": _first(sampling and sampling.temperature, given.get("temperature"), 1),
        "max_completion_tokens": _first(
            sampling and sampling.max_completion_tokens, given.get("max_completion_tokens"), longest
        ),
        "top_p": _first(sampling and sampling.top_p, given.get("top_p"), 1),
        "seed": _first(sampling and sampling.seed, given.get("seed"), _SEED),
    }


def _message(message: Any) -> dict[str, str]:
    content = message.get("content") if isinstance(message, dict) else message
    role = message.get("role") if isinstance(message, dict) else "user"
    return {"role": str(role), "content": content if isinstance(content, str) else json.dumps(content)}


def _first(*values: Any) -> Any:
    return next((value for value in values[:-1] if value is not None), values[-1])


def _result(grader: Grader, result: GraderResult) -> dict[str, Any]:
    problems = list(result.problems)
    return {
        "name": grader.name,
        "type": grader.type,
        "score": result.score,
        "passed": result.passed,
        "sample": {"problems": problems} if problems else None,
    }
