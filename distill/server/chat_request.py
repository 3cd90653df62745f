"""The chat completion's request, in OpenAI's shape.

In: the body of POST /v1/chat/completions. Out: a `Generation` for each choice, or an `ApiError` naming the parameter.
Parameters that are left out mean what they mean at OpenAI (temperature 1, no top-k). One that cannot be honored is
refused and never ignored, except for those that change nothing about the answer (`user`, `service_tier` and the like).

`metadata` without `store` is accepted, as OpenAI accepts it, and kept nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from distill.server.errors import ApiError, from_validation
from distill.server.generation import Generation

UNSUPPORTED = frozenset(
    {
        "audio",
        "function_call",
        "functions",
        "logit_bias",
        "modalities",
        "moderation",
        "parallel_tool_calls",
        "prediction",
        "reasoning_effort",
        "tool_choice",
        "tools",
        "verbosity",
        "web_search_options",
    }
)
"""OpenAI's parameters that exist and that no engine here can honor."""

_WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "logit_bias": ({},),
    "modalities": (["text"],),
}
"""Values that ask for nothing, of parameters that are otherwise unsupported."""


Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]
"""What OpenAI's platform lets be attached to its objects."""


def _refuse(kind: str, message: str) -> PydanticCustomError:
    return PydanticCustomError(kind, "{message}", {"message": message})


def _join_parts(content: Any) -> Any:
    """A message's content as one string: it may come as a list of text parts."""
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise _refuse("unsupported_content", "only parts of type 'text' are supported, with their text as a string")
        texts.append(part["text"])
    return "".join(texts)


def _as_list(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ChatMessage(_Strict):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_join_parts)]
    name: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_empty_fields(cls, data: Any) -> Any:
        """An assistant's message that is sent back holds `refusal: null`, `annotations: []` and more of the kind."""
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if key in cls.model_fields or value not in (None, [])}


class JsonSchema(_Strict):
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")
    strict: bool | None = None


class ResponseFormat(_Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _schema_where_it_belongs(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise _refuse("json_schema", "'json_schema' has to be given when the type is 'json_schema', and only then")
        return self


class StreamOptions(_Strict):
    include_usage: bool = False
    include_obfuscation: bool = False


class ChatRequest(_Strict):
    """POST /v1/chat/completions."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, ge=0, le=1)
    n: int = Field(default=1, ge=1, le=128)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: Annotated[
        list[Annotated[str, Field(min_length=1)]], BeforeValidator(_as_list), Field(default_factory=list, max_length=4)
    ]
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=20)
    response_format: ResponseFormat | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    store: bool = False
    metadata: Metadata = Field(default_factory=dict)
    user: str | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_what_asks_for_nothing(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {
            key: value for key, value in data.items() if value is not None and value not in _WITHOUT_EFFECT.get(key, ())
        }

    def generations(self) -> list[Generation]:
        """One for each choice; each has a seed of its own, so that sampled choices differ and repeat."""
        shape = self.response_format
        base = Generation(
            messages=tuple(
                {"role": "system" if message.role == "developer" else message.role, "content": message.content}
                for message in self.messages
            ),
            temperature=self.temperature,
            top_p=self.top_p,
            longest=self.max_completion_tokens or self.max_tokens,
            stop=tuple(self.stop),
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
            top_logprobs=self.top_logprobs if self.logprobs else None,
            response_format=None
            if shape is None or shape.type == "text"
            else shape.model_dump(by_alias=True, exclude_none=True),
        )
        return [replace(base, seed=None if self.seed is None else self.seed + index) for index in range(self.n)]


def parse(data: Any) -> ChatRequest:
    """A request body that has been read as JSON. Raises `ApiError` (400) for the first thing that is wrong with it."""
    if not isinstance(data, dict):
        raise ApiError(400, "The request body has to be a JSON object.", code="invalid_type")
    try:
        request = ChatRequest.model_validate(data)
    except ValidationError as error:
        raise from_validation(error, UNSUPPORTED) from None
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise ApiError(400, message, param="max_tokens", code="invalid_parameter_combination")
    if request.top_logprobs and not request.logprobs:
        message = "'top_logprobs' can only be given when 'logprobs' is true."
        raise ApiError(400, message, param="top_logprobs", code="invalid_parameter_combination")
    if request.stream_options is not None and not request.stream:
        message = "'stream_options' can only be given when 'stream' is true."
        raise ApiError(400, message, param="stream_options", code="invalid_parameter_combination")
    return request
