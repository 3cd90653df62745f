"""The six types of grader as data: what each consists of, and what is checked before one is run.

In: plain JSON values. Out: frozen pydantic models. What cannot work for any item or answer is refused here: a template
without a variable in its braces, a formula outside of the grammar, labels that do not exist. `parsing` turns refusals
into sentences.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from distill.openai_graders.formula import FUNCTIONS, NAME, Formula, FormulaError, parse_formula
from distill.openai_graders.templates import parse_template

LARGEST_SOURCE = 256 * 1024
"""Bytes of a Python grader's source, as at OpenAI."""
MOST_GRADERS = 50
DEFAULT_THRESHOLD = 0.5
_KEYWORDS = frozenset(("and", "as", "if", "in", "is", "not", "or", "for", "else", "lambda", "None", "True", "False"))
_OTHER = re.compile(r"[^A-Za-z0-9]+")

Metric = Literal[
    "cosine",
    "fuzzy_match",
    "bleu",
    "gleu",
    "meteor",
    "rouge_1",
    "rouge_2",
    "rouge_3",
    "rouge_4",
    "rouge_5",
    "rouge_l",
]


def _checked_template(text: str) -> str:
    parse_template(text)
    return text


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("expected a finite number")
    return number


def _short_source(source: str) -> str:
    if "\0" in source:
        raise ValueError("a Python source holds no NUL character")
    if (size := len(source.encode("utf-8", "surrogatepass"))) > LARGEST_SOURCE:
        raise ValueError(f"a source has at most {LARGEST_SOURCE:,} bytes, and this one has {size:,}")
    return source


Template = Annotated[str, AfterValidator(_checked_template)]
Number = Annotated[float, AfterValidator(_finite)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Named(_Strict):
    name: str = Field(min_length=1, max_length=500)
    id: str | None = None
    """OpenAI's own, in criteria that come from an eval there. It means nothing here."""


class TextPart(_Strict):
    """A text; also one that a model wrote."""

    type: Literal["input_text", "output_text"]
    text: Template


class ImagePart(_Strict):
    """An image by its address."""

    type: Literal["input_image"]
    image_url: Template
    detail: Literal["high", "low", "auto"] | None = None
    file_id: None = None


class Sound(_Strict):
    """Sound as base64."""

    data: Template
    format: Literal["mp3", "wav"]


class AudioPart(_Strict):
    """Sound in the message."""

    type: Literal["input_audio"]
    input_audio: Sound


def _part_tag(value: Any) -> str | None:
    if isinstance(value, str):
        return "type:text"
    kind = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    known = {"input_text": "text part", "output_text": "text part", "input_image": "image", "input_audio": "audio"}
    return f"type:{known[kind]}" if isinstance(kind, str) and kind in known else None


def _content_tag(value: Any) -> str | None:
    return "type:list" if isinstance(value, list) else _part_tag(value)


_CONTENT = "content"
"""The error type for content of no known type; `parsing` has its sentence."""
Part = Annotated[
    Annotated[Template, Tag("type:text")]
    | Annotated[TextPart, Tag("type:text part")]
    | Annotated[ImagePart, Tag("type:image")]
    | Annotated[AudioPart, Tag("type:audio")],
    Discriminator(
        _part_tag,
        custom_error_type=_CONTENT,
        custom_error_message="expected a text, or an object of type input_text, output_text, input_image or "
        "input_audio",
    ),
]
Content = Annotated[
    Annotated[Template, Tag("type:text")]
    | Annotated[TextPart, Tag("type:text part")]
    | Annotated[ImagePart, Tag("type:image")]
    | Annotated[AudioPart, Tag("type:audio")]
    | Annotated[list[Part], Tag("type:list"), Field(min_length=1)],
    Discriminator(
        _content_tag,
        custom_error_type=_CONTENT,
        custom_error_message="expected a text, an object of type input_text, output_text, input_image or input_audio, "
        "or a list of those",
    ),
]


class PromptMessage(_Strict):
    """One message to the model that grades; its texts are templates."""

    role: Literal["user", "assistant", "system", "developer"]
    content: Content
    type: Literal["message"] | None = None


class SamplingParams(_Strict):
    """How the model that grades is sampled. `max_completions_tokens` is OpenAI's spelling."""

    seed: int | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_completions_tokens: Annotated[int, Field(ge=1)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None


class StringCheck(_Named):
    """Two texts compared: `like` is "input contains reference", `ilike` the same whatever the case."""

    type: Literal["string_check"]
    input: Template
    reference: Template
    operation: Literal["eq", "ne", "like", "ilike"]


class TextSimilarity(_Named):
    """How alike two texts are, from 0 to 1."""

    type: Literal["text_similarity"]
    input: Template
    reference: Template
    evaluation_metric: Metric
    pass_threshold: Number | None = None


class LabelModel(_Named):
    """A model chooses one of the labels."""

    type: Literal["label_model"]
    model: str = Field(min_length=1)
    input: list[PromptMessage] = Field(min_length=1)
    labels: list[str] = Field(min_length=1)
    passing_labels: list[str]

    @model_validator(mode="after")
    def _subset(self) -> LabelModel:
        unknown = [label for label in self.passing_labels if label not in self.labels]
        if unknown:
            raise ValueError(f"passing_labels holds {unknown[0]!r}, which is none of the labels")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels holds the same label twice")
        return self


class ScoreModel(_Named):
    """A model gives a number within `range`."""

    type: Literal["score_model"]
    model: str = Field(min_length=1)
    input: list[PromptMessage] = Field(min_length=1)
    range: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    pass_threshold: Number | None = None
    sampling_params: SamplingParams | None = None

    @model_validator(mode="after")
    def _ordered(self) -> ScoreModel:
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError(f"range goes from {self.range[0]:g} to {self.range[1]:g}; the first has to be the smaller")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """The range, from 0 to 1 where none was given."""
        return (self.range[0], self.range[1]) if self.range is not None else (0.0, 1.0)


class PythonSource(_Named):
    """Python with a function `grade(sample, item)` that returns a number."""

    type: Literal["python"]
    source: Annotated[str, AfterValidator(_short_source)] = Field(min_length=1)
    image_tag: str | None = None
    """Taken and not used: there is one set of packages here."""
    pass_threshold: Number | None = None


Simple = StringCheck | TextSimilarity | LabelModel | ScoreModel | PythonSource
"""Every type but `multi`: what a multi grader may hold."""
_SIMPLE_TYPES = ("string_check", "text_similarity", "label_model", "score_model", "python")


def _kind(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    return f"type:{kind}" if isinstance(kind, str) else None


_TYPE = "grader_type"
"""The error type for no type, or one that does not exist; `parsing` has its sentence."""
_SimpleKinds = (
    Annotated[StringCheck, Tag("type:string_check")]
    | Annotated[TextSimilarity, Tag("type:text_similarity")]
    | Annotated[LabelModel, Tag("type:label_model")]
    | Annotated[ScoreModel, Tag("type:score_model")]
    | Annotated[PythonSource, Tag("type:python")]
)


def _by_type(types: Iterable[str]) -> Discriminator:
    return Discriminator(
        _kind,
        custom_error_type=_TYPE,
        custom_error_message=f"expected an object whose type is one of {', '.join(types)}",
    )


_Simple = Annotated[_SimpleKinds, _by_type(_SIMPLE_TYPES)]


def _arrangement(value: Any) -> str:
    if isinstance(value, list):
        return "type:list"
    single = isinstance(value, BaseModel) or (isinstance(value, Mapping) and isinstance(value.get("type"), str))
    return "type:one" if single else "type:named"


_Several = Annotated[
    Annotated[_Simple, Tag("type:one")]
    | Annotated[list[_Simple], Tag("type:list"), Field(min_length=1, max_length=MOST_GRADERS)]
    | Annotated[dict[str, _Simple], Tag("type:named"), Field(min_length=1, max_length=MOST_GRADERS)],
    Discriminator(_arrangement),
]


class Multi(_Named):
    """Several graders, and a formula over their scores.

    `graders` is an object whose keys are the names in the formula, as in OpenAI's guide. OpenAI's specification has a
    single grader there and its example a list; both are taken, and a grader is then called by its name with `_` for
    everything else than letters and digits and, where that is clear, by its type with `_score` behind it.
    """

    type: Literal["multi"]
    graders: _Several
    calculate_output: str = Field(min_length=1)

    @model_validator(mode="after")
    def _computable(self) -> Multi:
        try:
            self.formula  # noqa: B018 # reads it, which finds what is wrong with it
        except FormulaError as error:
            raise ValueError(f"calculate_output: {error}") from None
        return self

    @cached_property
    def formula(self) -> Formula:
        """The formula, over `variables`."""
        return parse_formula(self.calculate_output, self._indexes)

    @property
    def parts(self) -> dict[str, Simple]:
        """The graders, each by one name."""
        if isinstance(self.graders, dict):
            return dict(self.graders)
        several = self.graders if isinstance(self.graders, list) else [self.graders]
        names: dict[int, str] = {}
        for variable, index in self._indexes.items():
            names.setdefault(index, variable)
        return {names[index]: grader for index, grader in enumerate(several)}

    @property
    def variables(self) -> dict[str, str]:
        """Every name that the formula may use, and under which name of `parts` that grader stands."""
        names = list(self.parts)
        return {variable: names[index] for variable, index in self._indexes.items()}

    @cached_property
    def _indexes(self) -> dict[str, int]:
        """The variables, and the number of the grader that each stands for."""
        if isinstance(self.graders, dict):
            for key in self.graders:
                if not NAME.fullmatch(key) or key in FUNCTIONS or key in _KEYWORDS:
                    raise ValueError(
                        f"graders: {key!r} cannot stand in a formula; a name has letters, digits and '_', begins with "
                        "no digit, and is no function's"
                    )
            return {key: index for index, key in enumerate(self.graders)}
        several = self.graders if isinstance(self.graders, list) else [self.graders]
        variables: dict[str, int] = {}
        for index, grader in enumerate(several):
            variable = _variable(grader.name)
            if variable in variables:
                raise ValueError(f"graders: two of them are called {variable!r} in the formula; give each its own name")
            variables[variable] = index
        types = [grader.type for grader in several]
        for index, kind in enumerate(types):
            if types.count(kind) == 1:
                variables.setdefault(f"{kind}_score", index)
        return variables


Grader = Simple | Multi
AnyGrader = Annotated[_SimpleKinds | Annotated[Multi, Tag("type:multi")], _by_type((*_SIMPLE_TYPES, "multi"))]


def threshold_of(grader: Grader) -> float:
    """The score from which on a grader passes: its `pass_threshold`, and without one the middle of its range."""
    match grader:
        case StringCheck() | LabelModel():
            return 1.0
        case TextSimilarity(pass_threshold=float() as given) | PythonSource(pass_threshold=float() as given):
            return given
        case ScoreModel(pass_threshold=given):
            return given if given is not None else sum(grader.bounds) / 2
        case _:
            return DEFAULT_THRESHOLD


def _variable(name: str) -> str:
    variable = _OTHER.sub("_", name).strip("_").lower()
    if not variable or variable[0].isdigit() or variable in FUNCTIONS or variable in _KEYWORDS:
        variable = f"grader_{variable}"
    return variable
