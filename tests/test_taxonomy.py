"""The table of categories: what it counts, where it goes, and that the committed one is true."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.cases import Case, OutputFacts, load_cases
from distill.taxonomy import BEGIN, END, taxonomy_table, update_taxonomy

PROJECT = Path(__file__).parents[1]
ENGLISH = "category: tag\ncases:\n- {id: one, request: Tag it., repository: any, accept: [git tag x], criteria: %s}\n"


def a_case(category: str, *tags: str, question: bool = False) -> Case:
    return Case(
        id="any",
        request="Do it.",
        repository="anywhere",
        accept=("git status",),
        criteria="It was done.",
        output=OutputFacts(must=("x",)) if question else None,
        tags=tags,
        category=category,
    )


def cells(table: str) -> dict[str, list[str]]:
    """The rows below the headers: category → the counts."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {name: counts for name, *counts in rows}


def a_document(folder: Path, between: str = "") -> Path:
    path = folder / "page.md"
    path.write_text(f"# Page\n\n{BEGIN}{between}{END}\n\nThe énd.\n", encoding="utf-8")
    return path


def test_a_row_counts_cases_questions_and_tags_of_a_category() -> None:
    cases = [
        a_case("tag", "hard", "trained-operation"),
        a_case("branch", "unseen-operation", question=True),
        a_case("tag", "multi-step", "hard"),
    ]

    table = taxonomy_table(cases)

    assert " ".join(table.splitlines()[0].split()) == "| category | cases | questions | hard | multi-step | unseen |"
    assert cells(table) == {
        "branch": ["1", "1", "0", "0", "1"],
        "tag": ["2", "0", "2", "1", "0"],
        "**all**": ["3", "1", "2", "1", "1"],
    }


some_cases = st.lists(
    st.builds(
        lambda category, tags, question: a_case(category, *tags, question=question),
        st.sampled_from(["branch", "log-queries", "tag"]),
        st.lists(st.sampled_from(["hard", "multi-step", "unseen-operation", "fr"]), unique=True),
        st.booleans(),
    ),
    min_size=1,
)


@given(some_cases)
def test_the_last_row_is_the_sum_of_the_others_whatever_their_order(cases: list[Case]) -> None:
    table = taxonomy_table(cases)
    *categories, everything = cells(table).values()

    assert [str(sum(map(int, column))) for column in zip(*categories, strict=True)] == everything
    assert taxonomy_table(reversed(cases)) == table


def test_no_case_makes_no_table() -> None:
    with pytest.raises(ValueError, match="there is no case to count"):
        taxonomy_table([])


def test_only_what_stands_between_the_comments_is_replaced(tmp_path: Path) -> None:
    path = a_document(tmp_path, "\n\nan old table\n\n")
    cases = [a_case("tag")]

    assert update_taxonomy(path, cases)

    table = taxonomy_table(cases)
    assert path.read_text(encoding="utf-8") == f"# Page\n\n{BEGIN}\n\n{table}\n\n{END}\n\nThe énd.\n"


def test_a_document_that_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    path = a_document(tmp_path)
    update_taxonomy(path, [a_case("tag")])
    before = path.stat().st_mtime_ns

    assert not update_taxonomy(path, [a_case("tag")])
    assert path.stat().st_mtime_ns == before
    assert update_taxonomy(path, [a_case("tag"), a_case("tag")])


@pytest.mark.parametrize(
    "text", ["", BEGIN, END, f"{END}\n{BEGIN}", f"{BEGIN}{END}{END}", f"{BEGIN}{BEGIN}{END}", f"{END}{BEGIN}{END}"]
)
def test_a_document_without_a_place_for_the_table_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(text)

    with pytest.raises(ValueError, match=r"page\.md: expected the line <!-- taxonomy: .*, each of them once"):
        update_taxonomy(path, [a_case("tag")])

    assert path.read_text() == text


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "distill.taxonomy", *arguments]
    return subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True)


def test_the_command_writes_the_document_and_says_so(tmp_path: Path) -> None:
    path = a_document(tmp_path)
    (tmp_path / "tag.yaml").write_text(ENGLISH % "The tag x exists.")
    arguments = ("--document", "page.md", "--cases", "tag.yaml")

    first, second = run(*arguments, folder=tmp_path), run(*arguments, folder=tmp_path)

    assert (first.returncode, first.stdout) == (0, "page.md is now up to date\n")
    assert (second.returncode, second.stdout) == (0, "page.md is already up to date\n")
    assert cells(path.read_text().split(BEGIN)[1].split(END)[0].strip())["tag"] == ["1", "0", "0", "0", "0"]


def test_the_command_says_what_is_wrong_with_a_case(tmp_path: Path) -> None:
    a_document(tmp_path)
    (tmp_path / "tag.yaml").write_text(ENGLISH % "short")

    done = run("--document", "page.md", "--cases", "tag.yaml", folder=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith("tag.yaml:3: case 'one': criteria: ")


def test_the_committed_table_counts_the_committed_cases(tmp_path: Path) -> None:
    copy = tmp_path / "cases.md"
    copy.write_bytes((PROJECT / "docs" / "cases.md").read_bytes())

    changed = update_taxonomy(copy, load_cases([PROJECT / "evals" / "cases"]))

    assert not changed, "docs/cases.md is out of date: run `python -m distill.taxonomy`"
