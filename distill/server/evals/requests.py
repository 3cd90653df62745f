"""What a client may ask of evals, in OpenAI's shapes.

In: JSON. Out: an `EvalRequest` or a `RunRequest`, every part of which has been checked, or an `ApiError` that names the
parameter. What cannot be run here (responses as a data source, images) is refused and never ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from distill.server.chat_request import Metadata

UNSUPPORTED = frozenset({"reasoning_effort", "tools", "text", "modalities"})
"""Parameters of OpenAI's sampling that no engine here can honor."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class CustomConfig(_Strict):
    type: Literal["custom"]
    item_schema: dict[str, Any]
    include_sample_schema: bool = False


class StoredConfig(_Strict):
    type: Literal["stored_completions", "logs"]
    metadata: dict[str, Any] | None = None


class EvalRequest(_Strict):
    """POST /v1/evals."""

    name: str | None = Field(default=None, max_length=512)
    metadata: Metadata | None = None
    data_source_config: Annotated[CustomConfig | StoredConfig, Field(discriminator="type")]
    testing_criteria: list[dict[str, Any]] = Field(min_length=1, max_length=64)
    share_with_openai: bool | None = None


class UpdateRequest(_Strict):
    """POST /v1/evals/ID."""

    name: str | None = Field(default=None, max_length=512)
    metadata: Metadata | None = None


class _Row(_Strict):
    item: dict[str, Any]
    sample: dict[str, Any] | None = None


class FileContent(_Strict):
    type: Literal["file_content"]
    content: list[_Row] = Field(min_length=1)


class FileId(_Strict):
    type: Literal["file_id"]
    id: str


class StoredSource(_Strict):
    type: Literal["stored_completions"]
    metadata: Metadata | None = None
    model: str | None = None
    created_after: int | None = None
    created_before: int | None = None
    limit: int | None = Field(default=None, ge=1)


Source = Annotated[FileContent | FileId | StoredSource, Field(discriminator="type")]


class TextPart(_Strict):
    type: Literal["input_text", "output_text", "text"]
    text: str


class TemplateMessage(_Strict):
    role: Literal["user", "assistant", "system", "developer"]
    content: str | TextPart | list[str | TextPart]
    type: Literal["message"] = "message"

    @property
    def text(self) -> str:
        """Its content as one text, variables and all."""
        parts = self.content if isinstance(self.content, list) else [self.content]
        return "".join(part if isinstance(part, str) else part.text for part in parts)


class Template(_Strict):
    type: Literal["template"]
    template: list[TemplateMessage] = Field(min_length=1)


class ItemReference(_Strict):
    type: Literal["item_reference"]
    item_reference: str = Field(pattern=r"^item(\.[^.\s{}]+)+$")


class SamplingParams(_Strict):
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = None
    response_format: dict[str, Any] | None = None


class JsonlData(_Strict):
    type: Literal["jsonl"]
    source: Annotated[FileContent | FileId, Field(discriminator="type")]


class CompletionsData(_Strict):
    type: Literal["completions"]
    source: Source
    input_messages: Annotated[Template | ItemReference, Field(discriminator="type")] | None = None
    model: str | None = None
    sampling_params: SamplingParams | None = None


DataSource = Annotated[JsonlData | CompletionsData, Field(discriminator="type")]


class RunRequest(_Strict):
    """POST /v1/evals/ID/runs."""

    name: str | None = Field(default=None, max_length=512)
    metadata: Metadata | None = None
    data_source: DataSource
