"""What is asked, by category, as a table that stands in a document and is written by this code.

In: cases. Out: a Markdown table with one row a category, and, in a document, that table between two HTML comments,
so that a reader sees counts that are true. Nothing outside of the two comments is ever changed.

    python -m distill.taxonomy     # brings docs/cases.md up to date
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from tabulate import tabulate

from distill.cases import Case, load_cases
from distill.sources import SourceError

BEGIN = "<!-- taxonomy: written by `python -m distill.taxonomy` -->"
END = "<!-- end of taxonomy -->"
HEADERS = ("category", "cases", "questions", "hard", "multi-step", "unseen")


def taxonomy_table(cases: Iterable[Case]) -> str:
    """A GitHub-flavored Markdown table: a row a category in alphabetical order, then one for all of them.

    `questions` are cases that are decided by what is printed; the other columns count the tags `hard`, `multi-step`
    and `unseen-operation`. Raises `ValueError` when there is no case.
    """
    by_category: dict[str, list[Case]] = {}
    for case in cases:
        by_category.setdefault(case.category, []).append(case)
    if not by_category:
        raise ValueError("there is no case to count")
    everything = [case for group in by_category.values() for case in group]
    rows = [_row(category, by_category[category]) for category in sorted(by_category)]
    rows.append(_row("**all**", everything))
    return tabulate(rows, headers=HEADERS, tablefmt="github")


def update_taxonomy(path: Path, cases: Iterable[Case]) -> bool:
    """Put the table between the two comments of a Markdown file; whether that changed anything.

    A file that is up to date is not written. Raises `ValueError` when the file does not have each comment once, in
    their order, and `OSError` when it cannot be read or written.
    """
    before = path.read_text(encoding="utf-8")
    head, begin, rest = before.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in head + tail:
        raise ValueError(f"{path}: expected the line {BEGIN} and, below it, the line {END}, each of them once")
    after = f"{head}{BEGIN}\n\n{taxonomy_table(cases)}\n\n{END}{tail}"
    if after != before:
        path.write_text(after, encoding="utf-8")
    return after != before


def _row(name: str, cases: list[Case]) -> list[str | int]:
    def tagged(tag: str) -> int:
        return sum(tag in case.tags for case in cases)

    questions = sum(case.question for case in cases)
    return [name, len(cases), questions, tagged("hard"), tagged("multi-step"), tagged("unseen-operation")]


def main(
    document: Annotated[Path, typer.Option(help="The Markdown file with the two comments.")] = Path("docs/cases.md"),
    cases: Annotated[Path, typer.Option(help="The case file, or folder of them, to count.")] = Path("evals/cases"),
) -> None:
    """Write how many cases there are of each category into a document."""
    try:
        changed = update_taxonomy(document, load_cases([cases]))
    except (SourceError, ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{document} is {'now' if changed else 'already'} up to date")


if __name__ == "__main__":
    typer.run(main)
