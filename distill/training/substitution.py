"""Put other names into a case, everywhere or nowhere.

In: a case and what each value is to become. Out: the case with every field rewritten, or `Inconsistent` when an old
name would be left somewhere, or a command would be read otherwise. Texts are replaced as whole names: `topic` in
`origin/topic` and `refs/heads/topic`, not in `topical` or `topic-2`. Nothing is run here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import ValidationError

from distill.cases import Case
from distill.training.wording import NUMBER_WORDS
from graders.commands import parse


class Inconsistent(ValueError):
    """The names cannot be replaced throughout. The message says why, without naming the case."""


def rewrite(case: Case, change: Mapping[str, str], *, request: str, identity: str) -> Case:
    """The case about other names, asked as `request`. `change` gives the new value of each old one.

    Two values that take each other's place are exchanged in one pass. Raises `Inconsistent`.
    """
    data = case.model_dump()
    data.update(id=identity, request=request, criteria=replace_names(case.criteria, change))
    data["accept"] = [replace_names(command, change) for command in case.accept]
    data["reject"] = [replace_names(command, _both_ways(case, change)) for command in case.reject]
    if case.output is not None:
        for field in ("must", "must_not"):
            data["output"][field] = [replace_names(text, change) for text in data["output"][field]]
    if case.rules is not None:
        data["rules"]["mentions"] = [replace_names(text, change) for text in case.rules.mentions]
    for old, new in zip(case.accept, data["accept"], strict=True):
        if _word_counts(old) != _word_counts(new):
            raise Inconsistent("a new name is read as several words")
    data["accept"] = list(dict.fromkeys(data["accept"]))
    data["reject"] = [command for command in dict.fromkeys(data["reject"]) if command not in data["accept"]]
    try:
        written = Case.model_validate(data)
    except ValidationError:
        raise Inconsistent("the new names contradict the case") from None
    texts = [request, *written.accept, written.criteria, *(written.output.must if written.output else ())]
    for old in change:
        if old not in change.values() and not old.isdigit() and any(mentions(text, old) for text in texts):
            raise Inconsistent("an old name is left")
    return written


def replace_names(text: str, change: Mapping[str, str]) -> str:
    """Every whole occurrence of an old value replaced by its new one, in one pass, the longest value first."""
    if not change:
        return text
    longest = sorted(change, key=lambda value: (-len(value), value))
    expression = "|".join(_whole(value).pattern for value in longest)
    return re.sub(expression, lambda match: change[match[0]], text)


def replace_spoken(request: str, change: Mapping[str, str]) -> str:
    """The same in a request, where a count may be spelled out: "three" becomes "five" when 3 becomes 5."""
    replaced = replace_names(request, change)
    for old, new in change.items():
        if old.isdigit() and int(old) < len(NUMBER_WORDS) and int(new) < len(NUMBER_WORDS):
            word, other = NUMBER_WORDS[int(old)], NUMBER_WORDS[int(new)]
            replaced = re.sub(rf"\b{word}\b", other, replaced)
            replaced = re.sub(rf"\b{word.capitalize()}\b", other.capitalize(), replaced)
    return replaced


def mentions(text: str, value: str) -> bool:
    """Whether a value stands in a text as a whole name."""
    return _whole(value).search(text) is not None


def says(request: str, value: str) -> bool:
    """Whether a request names a value, a count perhaps spelled out."""
    if mentions(request, value):
        return True
    small = value.isdigit() and int(value) < len(NUMBER_WORDS)
    return small and re.search(rf"\b{NUMBER_WORDS[int(value)]}\b", request, re.IGNORECASE) is not None


def _whole(value: str) -> re.Pattern[str]:
    if value.isdigit():
        return re.compile(rf"(?<![\w.]){value}(?!\w|\.\d)")
    before = r"(?<![\w-])" if re.match(r"\w", value) else r"(?<!\S)(?<![\w./])|(?<=['\"`])"
    before = f"(?:{before})" if "|" in before else before
    after = r"(?![\w-])(?!\.\w)" if re.match(r"\w", value[-1]) else ""
    return re.compile(before + re.escape(value) + after)


def _both_ways(case: Case, change: Mapping[str, str]) -> dict[str, str]:
    """For near misses: a new value that stands in one already becomes the old one, so that it stays a near miss."""
    back = {new: old for old, new in change.items() if any(mentions(each, new) for each in case.reject)}
    return {**back, **change}


def _word_counts(command: str) -> tuple[int, ...]:
    return tuple(len(each.words) for each in parse(command).commands)
