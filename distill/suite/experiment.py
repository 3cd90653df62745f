"""An experiment in full: settings, contenders, and the questions they are asked.

In: validated settings and what was said on the command line. Out: one `Question` per (contender, case, sample),
with the identifier that its test has. Plain data; nothing is asked or run here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from distill.cases import Case
from distill.config import Config
from distill.models.completion import Message, ModelError, Prompt


@dataclass(frozen=True, slots=True)
class Contender:
    """A model in a role. The role is unique within a run, and stands in every test's identifier."""

    role: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is compared, and how."""

    settings: Config
    root: Path
    """The project's folder: where `graders/` and the cache are."""
    contenders: tuple[Contender, ...]
    min_scores: dict[str, float] = field(default_factory=dict)
    offline: bool = False
    report: Path | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One case put to one contender, once."""

    contender: Contender
    case: Case
    sample: int = 0

    @property
    def key(self) -> tuple[str, str, int]:
        """(role, case id, sample number): the key of its row in `results.jsonl`."""
        return (self.contender.role, self.case.id, self.sample)


def questions(experiment: Experiment, cases: Sequence[Case]) -> list[Question]:
    """Every question of an experiment: contender by contender, case by case, sample by sample."""
    return [
        Question(contender, case, sample)
        for contender in experiment.contenders
        for case in cases
        for sample in range(samples_of(experiment, contender))
    ]


def samples_of(experiment: Experiment, contender: Contender) -> int:
    """How often a contender is asked; the reference has one answer, however often it is asked."""
    return 1 if contender.name == "reference" else experiment.settings.samples


def identifier(experiment: Experiment, question: Question) -> str:
    """The stable part of a test's name, such as `student-branch-create-switch` or `student-tag-list-s2`."""
    suffix = f"-s{question.sample}" if samples_of(experiment, question.contender) > 1 else ""
    return f"{question.contender.role}-{question.case.id}{suffix}"


def prompt_for(experiment: Experiment, question: Question, system_prompt: str) -> Prompt:
    """What a contender is sent: the system prompt, then the request, or the case's own messages in their place; and
    nothing about the case."""
    prompt = prompt_of(experiment.settings, question.case.request, system_prompt, sample=question.sample)
    own: list[Message] = [{"role": one.role, "content": one.content} for one in question.case.messages]
    return replace(prompt, messages=tuple(own)) if own else prompt


def prompt_of(
    settings: Config,
    request: str,
    system_prompt: str,
    *,
    sample: int = 0,
    metadata: Mapping[str, str] | None = None,
) -> Prompt:
    """A request as every model is asked it, in evaluation and in training alike. `metadata` goes beside the
    experiment's own."""
    messages: list[Message] = [
        {"role": "system", "content": system_prompt},
        {"role": "user", "content": request},
    ]
    return Prompt(
        messages=tuple(messages),
        parameters=dict(settings.sampling),
        metadata={**settings.metadata, **(metadata or {})},
        sample=sample,
    )


def read_system_prompt(path: Path) -> str:
    """Raises `ModelError` for a file that cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"The system prompt {path} cannot be read ({error}): correct `system_prompt` in distill.yaml.", fatal=True
        ) from None


def assign_roles(texts: Sequence[str], settings: Config) -> tuple[Contender, ...]:
    """Read `--model [ROLE=]NAME`. Without a role: `reference` and the experiment's teacher are the teacher, its
    baseline is the baseline, and anything else is the student. Raises `ValueError` when two share a role."""
    contenders: list[Contender] = []
    for text in texts:
        role, separator, name = text.partition("=")
        if not separator:
            role, name = _usual_role(text, settings), text
        if not name or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]*", role):
            raise ValueError(
                f"--model {text}: expected NAME or ROLE=NAME, where a role is letters, digits, `_` and `.`"
            )
        taken = next((other for other in contenders if other.role == role), None)
        if taken is not None:
            raise ValueError(
                f"--model {text}: {taken.name!r} already is the {role}; give each its own role, "
                f"as in --model first={taken.name} --model second={name}"
            )
        contenders.append(Contender(role, name))
    return tuple(contenders)


def _usual_role(name: str, settings: Config) -> str:
    if name in ("reference", settings.teacher):
        return "teacher"
    return "baseline" if name == settings.baseline else "student"
