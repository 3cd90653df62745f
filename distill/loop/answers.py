"""A teacher's answers as a file: what was asked, what came back, and from where.

In and out: JSON lines, one `TeacherAnswer` each. The file is what `distill collect` leaves and `distill verify` reads;
an answer is kept as it came, right or wrong, since deciding is another step.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from distill.runs import write_whole

Source = Literal["asked", "completion store", "stored completions", "export", "reference"]


class AnswersError(Exception):
    """A file of answers that cannot be read. The message names the line and what to do."""


class TeacherAnswer(BaseModel):
    """One answer to one training request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    """The training request's id."""
    request: str
    model: str
    sample: int = 0
    text: str | None
    """The answer as it came; None where there was none."""
    error: str = ""
    """Why there is no answer."""
    source: Source
    completion: str | None = None
    """The server's id of it."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def write_answers(answers: Iterable[TeacherAnswer], path: Path) -> int:
    """Write the file whole or not at all, and say how many answers are in it. Raises `OSError`."""
    lines = [answer.model_dump_json(exclude_defaults=True) + "\n" for answer in answers]
    write_whole(path, "".join(lines))
    return len(lines)


def read_answers(path: Path) -> tuple[TeacherAnswer, ...]:
    """Raises `AnswersError`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise AnswersError(f"There is no {path}: collect answers first, with `distill collect`.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise AnswersError(f"{path} cannot be read: {error}.") from None
    answers = []
    for number, line in enumerate(lines, start=1):
        try:
            answers.append(TeacherAnswer.model_validate_json(line))
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(map(str, problem["loc"])) or "the line"
            raise AnswersError(
                f"{path}:{number}: {where}: {problem['msg']}; make the file anew with `distill collect`."
            ) from None
    return tuple(answers)
