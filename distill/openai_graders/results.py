"""What running a grader gives: a score, whether it passes, and OpenAI's error flags.

Out: `GraderResult`, and with `response()` the object that OpenAI's API answers. Plain data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens of one or more completions."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
        )

    def object(self) -> dict[str, int]:
        """As OpenAI's API writes it."""
        return {**dataclasses.asdict(self), "total_tokens": self.total_tokens}


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderErrors:
    """OpenAI's error flags, all of them, under OpenAI's names."""

    formula_parse_error: bool = False
    """The formula of a multi grader has no value."""
    sample_parse_error: bool = False
    """A template needs `sample.output_json`, and the answer is not JSON."""
    truncated_observation_error: bool = False
    """A text was too long to be graded."""
    unresponsive_reward_error: bool = False
    """The grader did not end in its time."""
    invalid_variable_error: bool = False
    """A template names something that the item or the sample does not have."""
    other_error: bool = False
    python_grader_server_error: bool = False
    """There was no sandbox to run a source in, or it broke."""
    python_grader_server_error_type: str | None = None
    python_grader_runtime_error: bool = False
    """The source raised, returned no number, or used up its time or memory."""
    python_grader_runtime_error_details: str | None = None
    model_grader_server_error: bool = False
    """The model gave no answer."""
    model_grader_refusal_error: bool = False
    model_grader_parse_error: bool = False
    """The model's answer holds no score, or none of the labels."""
    model_grader_server_error_details: str | None = None

    @property
    def any(self) -> bool:
        """Whether anything went wrong, so that the score says nothing about the answer."""
        return any(value is True for value in self.object().values())

    @classmethod
    def merged(cls, several: Iterable[GraderErrors]) -> Self:
        """Each flag that is set in any of them; of the details the first."""
        merged: dict[str, Any] = {}
        for one in several:
            for name, value in one.object().items():
                merged[name] = merged.get(name) or value
        return cls(**merged)

    def object(self) -> dict[str, bool | str | None]:
        """As OpenAI's API writes them."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderResult:
    """What one grader says about one sample."""

    name: str
    type: str
    score: float
    """In the grader's own range: 0 or 1 for string_check and label_model, 0 to 1 for text_similarity, `range` for
    score_model, anything finite for python and multi. 0 where `errors.any`."""
    passed: bool
    """Whether the score reaches the grader's threshold (`definitions.threshold_of`); never with an error."""
    errors: GraderErrors = field(default_factory=GraderErrors)
    problems: tuple[str, ...] = ()
    """A sentence for a person for each thing that went wrong, in the words that `errors` has no room for."""
    sub_scores: Mapping[str, float] = field(default_factory=dict)
    """Of a multi grader: the score of each of its graders, by its name in the formula."""
    label: str | None = None
    """Of a label_model grader: the label that was given."""
    reply: str | None = None
    """Of a grader that asks a model: what it answered, as it came."""
    model: str | None = None
    """The model that answered, as the server calls it."""
    usage: Mapping[str, TokenUsage] = field(default_factory=dict)
    """Tokens by model."""
    seconds: float = 0.0

    def response(self) -> dict[str, Any]:
        """OpenAI's `RunGraderResponse`."""
        total = sum(usage.total_tokens for usage in self.usage.values()) if self.usage else None
        return {
            "reward": self.score,
            "metadata": {
                "name": self.name,
                "type": self.type,
                "errors": self.errors.object(),
                "execution_time": self.seconds,
                "scores": dict(self.sub_scores),
                "token_usage": total,
                "sampled_model_name": self.model,
            },
            "sub_rewards": dict(self.sub_scores),
            "model_grader_token_usage_per_model": {model: usage.object() for model, usage in self.usage.items()},
        }
