"""Promptfoo's templates, which are Nunjucks, as grader templates: `{{name.part}}` becomes `{{item.name.part}}`.

Only variables are taken over. A filter, a condition, a loop or an environment variable is refused with `NoEqual`: it
would have to be executed, and nothing in an imported file is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from distill.migration.imported import NoEqual
from distill.openai_graders.templates import TemplateError, Variable, parse_template

_BRACES = re.compile(r"\{\{-?(.*?)-?\}\}", re.DOTALL)
_PATH = re.compile(r"""\s*[A-Za-z_$][\w$]*\s*(?:\.\s*[\w$]+\s*|\[\s*(?:\d+|"[^"]*"|'[^']*')\s*\]\s*)*""")
_SHOWN = 60


def as_grader_template(text: str) -> str:
    """The same text as a template over `item`. Raises `NoEqual` for anything but variables."""
    for opening, name in (("{%", "a block"), ("{#", "a comment")):
        if opening in text:
            place = text[text.index(opening) :][:_SHOWN]
            raise NoEqual(f"{place!r} is {name} of a template; only variables such as {{{{name}}}} are taken over")
    rest = _BRACES.sub("", text)
    if "{{" in rest:
        raise NoEqual(f"{rest[rest.index('{{') :][:_SHOWN]!r} is a variable that is never closed")
    return _BRACES.sub(lambda match: f"{{{{item.{_path(match[1])}}}}}", text)


def variables_of(template: str) -> Iterator[Variable]:
    """The variables of a grader template, as often as they stand there."""
    try:
        yield from (piece for piece in parse_template(template) if isinstance(piece, Variable))
    except TemplateError as error:
        raise NoEqual(str(error)) from None


def python_expression(template: str) -> str:
    """A Python expression with the value of a grader template. It calls `_text(item, *steps)`, see `PRELUDE`."""
    pieces = [
        f"_text(item, *{piece.steps!r})" if isinstance(piece, Variable) else repr(piece)
        for piece in parse_template(template)
    ]
    return " + ".join(pieces) or "''"


PRELUDE = """\
import json


def _text(value, *steps):
    for step in steps:
        value = value[int(step)] if isinstance(value, list) else value[str(step)]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
"""
"""What a generated source needs to read the item."""


def _path(text: str) -> str:
    path = text.strip()
    if not _PATH.fullmatch(path):
        raise NoEqual(f"{{{{{path[:_SHOWN]}}}}} is more than a variable, and would have to be computed")
    if re.match(r"(env|_conversation)\b", path):
        raise NoEqual(f"{{{{{path[:_SHOWN]}}}}} is no variable of the test; environment and history are not read")
    return path
