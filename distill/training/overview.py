"""What the training set holds, in figures, for docs/training-data.md.

In: training cases and patterns. Out: the text between the two markers of that page: how many cases there are of each
operation. They are read from the commands alone, so that a tag that is pushed by its name counts as `push-branch`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from distill.cases import Case
from distill.training.candidates import family_of
from distill.training.patterns import Patterns

BEGIN = "<!-- begin: written by distill.training.overview -->"
END = "<!-- end -->"


def overview(cases: Sequence[Case], patterns: Patterns) -> str:
    """Figures in a sentence, then one line a category with the operations of its cases."""
    operations: Counter[str] = Counter()
    by_category: dict[str, Counter[str]] = {}
    for case in cases:
        families = family_of(patterns.match(case.accept[0]) or (), case.accept[0])
        by_category.setdefault(case.category, Counter())[families] += 1
        operations.update(families.split(" + "))
    phrasings = sum(len(pattern.requests) for pattern in patterns.all)
    lines = [
        f"{len(cases)} cases in {len(by_category)} categories use {len(operations)} operations. The patterns know "
        f"{len(patterns.families)} operations, in {phrasings} phrasings.",
        "",
        "| category | cases | operations (number of cases, where there are several) |",
        "| --- | ---: | --- |",
    ]
    for category, counts in sorted(by_category.items()):
        named = ", ".join(f"{family} ({count})" if count > 1 else family for family, count in sorted(counts.items()))
        lines.append(f"| {category} | {counts.total()} | {named} |")
    return "\n".join(lines)


def refresh(page: Path, cases: Sequence[Case], patterns: Patterns) -> bool:
    """Write the overview into a page, between its markers; whether that changed anything.

    Raises `ValueError` when the page lacks a marker.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} lacks the line {BEGIN!r} or, below it, {END!r}")
    written = f"{before}{BEGIN}\n{overview(cases, patterns)}\n{END}{after}"
    page.write_text(written, encoding="utf-8", newline="\n")
    return written != text
