"""Graders are found by name in real folders, and a bad one spoils neither a run nor another's grade."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from textwrap import dedent

import pytest

from distill.cases import Case
from distill.grading import Attempt, Grade
from distill.suite.discovery import BUILT_IN, GraderError, apply, available_graders, load_graders
from graders.answer import extract

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "graders.md"


def attempt(text: str = "git switch -c topic") -> Attempt:
    case = Case(
        id="a-case", request="Create branch 'topic' and switch to it.", repository="any",
        accept=("git switch -c topic",), criteria="The branch exists and HEAD is on it.",
    )  # fmt: skip
    return Attempt(case=case, text=text, extraction=extract(text), execution=None, verdict=None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "graders").mkdir()
    return tmp_path / "graders"


def write(path: Path, source: str) -> Path:
    path.write_text(dedent(source), encoding="utf-8")
    return path


def graded(functions, text: str = "git switch -c topic") -> dict[str, Grade]:
    return asyncio.run(apply(functions, attempt(text)))


SHORT = '''
    """Short: the answer is short.

    More about it.
    """
    from distill.grading import Attempt, Grade

    def grade(attempt: Attempt) -> Grade:
        return Grade.of(len(attempt.text) < 100, "the answer is short")
'''
SLOW = '''
    """Slow: it waits."""
    import asyncio
    from distill.grading import Grade

    async def grade(attempt):
        await asyncio.sleep(0)
        return Grade.of(0.5, "it waited")
'''


def test_the_graders_of_the_project_can_all_be_loaded(folder: Path) -> None:
    assert list(available_graders(folder)) == ["criteria", "execution", "harm", "judge", "testing_criteria"]
    assert list(load_graders(["judge", "harm", "execution", "criteria"], folder)) == [
        "judge", "harm", "execution", "criteria",
    ]  # fmt: skip
    assert all(description for description in available_graders(folder).values())


def test_a_file_dropped_into_the_folder_is_a_grader(folder: Path) -> None:
    write(folder / "short.py", SHORT)
    write(folder / "slow.py", SLOW)
    functions = load_graders(["slow", "execution", "short"], folder)
    grades = graded(functions)
    assert list(grades) == ["slow", "execution", "short"]
    assert (grades["slow"].score, grades["short"].score) == (0.5, 1.0)
    assert available_graders(folder)["short"] == "Short: the answer is short."


def test_a_file_anywhere_is_named_by_its_path(folder: Path, tmp_path: Path, monkeypatch) -> None:
    path = write(tmp_path / "mine.py", SHORT)
    assert graded(load_graders([str(path)], folder))["mine"].score == 1.0
    monkeypatch.chdir(tmp_path)
    assert graded(load_graders(["mine.py"], folder))["mine"].score == 1.0


def test_the_users_file_goes_before_one_of_the_same_name(folder: Path) -> None:
    write(folder / "harm.py", SHORT)
    assert graded(load_graders(["harm"], folder))["harm"].reason == "the answer is short"


def test_an_unknown_name_lists_those_that_exist(folder: Path) -> None:
    write(folder / "short.py", SHORT)
    with pytest.raises(GraderError) as error:
        load_graders(["exekution"], folder)
    message = str(error.value)
    assert message.startswith(f"there is no grader 'exekution' in {folder}; did you mean 'execution'? Known graders:\n")
    assert re.search(r"^  short +Short: the answer is short\.$", message, re.MULTILINE)
    assert re.search(r"^  harm +Harm: ", message, re.MULTILINE)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("score = 1\n", "has no function `grade`"),
        ("grade = 1\n", "has no function `grade`"),
        ("def grade(): ...\n", "has to take one argument"),
        ("def grade(attempt, other): ...\n", "has to take one argument"),
        ("import no_such_module_at_all\n", "bad.py:1: this grader cannot be imported: ModuleNotFoundError"),
        ("x = 1\n\n1 / 0\n", "bad.py:3: this grader cannot be imported: ZeroDivisionError: division by zero"),
        ("x = 1\ndef grade(:\n", "bad.py:2: this grader cannot be imported: SyntaxError"),
        ("import sys\nsys.exit(3)\n", "bad.py:2: this grader cannot be imported: SystemExit: 3"),
        ("\0", "this grader cannot be imported: SyntaxError"),
    ],
)
def test_a_file_that_is_no_grader(folder: Path, source: str, message: str) -> None:
    path = folder / "bad.py"
    path.write_text(source, encoding="utf-8")
    with pytest.raises(GraderError, match=re.escape(message)) as error:
        load_graders(["bad"], folder)
    assert str(path) in str(error.value)


CONTAINS = {
    "type": "string_check",
    "name": "It names the branch",
    "operation": "like",
    "input": "{{sample.output_text}}",
    "reference": "topic",
}


def test_a_grader_object_of_openais_is_a_grader(folder: Path, tmp_path: Path) -> None:
    write(folder / "contains.json", json.dumps(CONTAINS))
    write(tmp_path / "other.json", json.dumps({**CONTAINS, "reference": "master"}))
    grades = graded(load_graders(["contains", str(tmp_path / "other.json"), "execution"], folder))
    assert {name: grade.score for name, grade in grades.items()} == {"contains": 1, "other": 0, "execution": None}
    assert available_graders(folder)["contains"] == "It names the branch (string_check, a grader object)"


def test_a_file_that_holds_no_grader_object_is_named_with_its_line(folder: Path) -> None:
    path = write(folder / "contains.json", json.dumps({**CONTAINS, "operation": "has"}, indent=2))
    with pytest.raises(GraderError) as error:
        load_graders(["contains"], folder)
    assert str(error.value) == (f"{path}:4: grader.operation: expected 'eq', 'ne', 'like' or 'ilike', and found 'has'")
    assert "contains" not in available_graders(folder)
    write(path, "{")
    with pytest.raises(GraderError, match=r"contains\.json:1: not valid JSON"):
        load_graders([str(path)], folder)


def test_names_that_cannot_be_used(folder: Path, tmp_path: Path) -> None:
    mine = write(tmp_path / "harm.py", SHORT)
    with pytest.raises(GraderError, match="the grader 'harm' is named twice"):
        load_graders(["harm", str(mine)], folder)
    with pytest.raises(GraderError, match=r"there is no grader file nowhere/mine\.py"):
        load_graders(["nowhere/mine.py"], folder)
    with pytest.raises(GraderError, match=r"answer\.py has no function `grade`"):
        load_graders(["answer"], folder)
    with pytest.raises(GraderError, match="there is no grader ''"):
        load_graders([""], folder)


def test_listing_imports_nothing(folder: Path) -> None:
    write(folder / "loud.py", "raise SystemExit('imported')\ndef grade(attempt): ...\n")
    write(folder / "broken.py", "def grade(:\n")
    write(folder / "helper.py", "def other(): ...\n")
    (folder / "binary.py").write_bytes(b"\xff\xfe\0")
    found = set(available_graders(folder)) - set(available_graders(BUILT_IN))
    assert found == {"loud"}
    assert set(available_graders(folder / "missing")) == set(available_graders(BUILT_IN))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise KeyError('x')", "the grader 'bad' failed: KeyError: 'x'"),
        ("raise TimeoutError", "the grader 'bad' failed: TimeoutError: "),
        ("raise ValueError('one\\ntwo')", "the grader 'bad' failed: ValueError: one"),
        ("return Grade.of(2)", "the grader 'bad' failed: ValueError: a score is a number from 0 to 1, or None"),
        ("return 1.0", "the grader 'bad' returned 1.0, not a distill.grading.Grade"),
        ("return None", "the grader 'bad' returned None, not a distill.grading.Grade"),
        ("return Grade.of(1, 'x', found={1})", "the grader 'bad' returned a grade that JSON cannot hold: "),
        ("return Grade.of(1, '\\ud800')", "the grader 'bad' returned a grade that JSON cannot hold: "),
        ("return Grade.of(1, object())", "the grader 'bad' returned a grade that JSON cannot hold: "),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_grader_that_fails_is_unscored_and_the_others_are_not(
    folder: Path, kind: str, body: str, reason: str
) -> None:
    source = f"from distill.grading import Grade\n\n{kind} grade(attempt):\n    {body}\n"
    (folder / "bad.py").write_text(source, encoding="utf-8")
    write(folder / "short.py", SHORT)
    grades = graded(load_graders(["bad", "short"], folder))
    assert grades["bad"].score is None
    assert grades["bad"].reason.startswith(reason)
    assert grades["short"].score == 1.0
    json.dumps([grades["bad"].reason, dict(grades["bad"].details)]).encode()


def test_a_run_that_is_stopped_stops_its_graders(folder: Path) -> None:
    write(folder / "stuck.py", "import asyncio\n\nasync def grade(attempt):\n    await asyncio.Event().wait()\n")
    functions = load_graders(["stuck"], folder)

    async def stopped() -> None:
        task = asyncio.create_task(apply(functions, attempt()))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stopped())


def test_the_example_of_the_guide_works_as_it_stands_there(folder: Path) -> None:
    source = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)[0]
    (folder / "politeness.py").write_text(source, encoding="utf-8")
    functions = load_graders(["politeness"], folder)
    assert graded(functions, "git switch -c topic")["politeness"] == Grade.of(1, "it forces nothing", options=[])
    forced = graded(functions, "git reset --hard && git push -f")["politeness"]
    assert (forced.score, forced.reason) == (0.0, "it forces: --hard, -f")
    assert graded(functions, "No idea.")["politeness"].score is None
    assert available_graders(folder)["politeness"] == "Politeness: the answer does not force anything."
