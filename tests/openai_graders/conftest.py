"""Grader objects to begin with, and a model that says what it was told to say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from distill.openai_graders import GraderResult, ModelFailed, Reply, TokenUsage, Tools, parse, run, sample_of

PROMPT = [
    {"role": "system", "content": "Grade the answer."},
    {"role": "user", "content": [{"type": "input_text", "text": "Answer: {{sample.output_text}}"}]},
]
OBJECTS: dict[str, dict[str, Any]] = {
    "string_check": {
        "type": "string_check",
        "name": "same",
        "input": "{{sample.output_text}}",
        "reference": "{{item.answer}}",
        "operation": "eq",
    },
    "text_similarity": {
        "type": "text_similarity",
        "name": "alike",
        "input": "{{sample.output_text}}",
        "reference": "{{item.answer}}",
        "evaluation_metric": "fuzzy_match",
        "pass_threshold": 0.8,
    },
    "label_model": {
        "type": "label_model",
        "name": "tone",
        "model": "judge",
        "input": PROMPT,
        "labels": ["polite", "neutral", "rude"],
        "passing_labels": ["polite", "neutral"],
    },
    "score_model": {"type": "score_model", "name": "quality", "model": "judge", "input": PROMPT},
    "python": {"type": "python", "name": "code", "source": "def grade(sample, item):\n    return 1.0"},
    "multi": {
        "type": "multi",
        "name": "all",
        "graders": {
            "exact": {
                "type": "string_check",
                "name": "same",
                "input": "{{sample.output_text}}",
                "reference": "{{item.answer}}",
                "operation": "eq",
            },
            "close": {
                "type": "text_similarity",
                "name": "alike",
                "input": "{{sample.output_text}}",
                "reference": "{{item.answer}}",
                "evaluation_metric": "rouge_1",
            },
        },
        "calculate_output": "0.25 * exact + 0.75 * close",
    },
}


class ScriptedModel:
    """Answers with each reply in turn, the last one again and again, and keeps what it was asked."""

    def __init__(self, *replies: str | ModelFailed | Reply) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = []

    async def __call__(
        self, model: str, messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any], /
    ) -> Reply:
        self.asked.append((model, [dict(message) for message in messages], dict(parameters)))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, ModelFailed):
            raise reply
        if isinstance(reply, Reply):
            return reply
        return Reply(text=reply, model=f"{model}-2026", usage=TokenUsage(prompt_tokens=7, completion_tokens=3))


RunGrader = Callable[..., GraderResult]


@pytest.fixture
def grader_object() -> Callable[..., dict[str, Any]]:
    """A whole object of a type, with fields replaced; None takes one out."""

    def make(kind: str, **fields: Any) -> dict[str, Any]:
        return {name: value for name, value in {**OBJECTS[kind], **fields}.items() if value is not None}

    return make


@pytest.fixture
def scripted_model() -> type[ScriptedModel]:
    return ScriptedModel


@pytest.fixture
def run_grader() -> RunGrader:
    """Run a grader object on a text."""

    def grade(
        data: Mapping[str, Any], text: str, item: Mapping[str, Any] | None = None, tools: Tools | None = None
    ) -> GraderResult:
        return asyncio.run(run(parse(data), item=item or {}, sample=sample_of(text), tools=tools or Tools()))

    return grade
