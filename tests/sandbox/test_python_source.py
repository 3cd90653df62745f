"""A Python grader's source in the real sandbox: what it can return, what it cannot reach, and when nothing is run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distill.sandbox import python_program
from distill.sandbox.execution import Limits, SandboxUnavailable
from distill.sandbox.pool import Pool
from distill.sandbox.python_source import LIMITS, SourceSandbox


@pytest.fixture(scope="module")
def box() -> Iterator[SourceSandbox]:
    with SourceSandbox() as sandbox:
        yield sandbox


def called(box: SourceSandbox, source: str, sample: Any = None, item: Any = None) -> Any:
    return asyncio.run(box(source, sample or {}, item or {}))


@pytest.mark.parametrize(
    ("source", "score"),
    [
        ("def grade(sample, item):\n    return 0.25", 0.25),
        ("def grade(sample, item):\n    return len(sample['output_text']) + item['more']", 7),
        ("def grade(sample, item):\n    return sample['output_text'] == 'Größe'", 1),
        ("import fractions\ngrade = lambda s, i: fractions.Fraction(1, 4)", 0.25),
        ("def grade(s, i):\n    print('1.0')\n    import sys; print('2.0', file=sys.stderr)\n    return 0.5", 0.5),
        ("import os\nos.close(1); os.close(2)\ndef grade(s, i):\n    return 0.5", 0.5),
        ("def grade(s, i):\n    return -3", -3),
        ("from rapidfuzz import fuzz\ndef grade(s, i):\n    return fuzz.ratio('ab', 'ab')", 100),
        ("from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\ndef grade(s, i):\n    return A(1).x", 1),
        ("import threading, time\nthreading.Thread(target=time.sleep, args=[9]).start()\ndef grade(s, i): return 1", 1),
        ("import atexit, os\natexit.register(os._exit, 3)\ndef grade(s, i):\n    return 1", 1),
        ("def grade(s, i):\n    with open('scratch', 'w') as file:\n        file.write('x')\n    return 1", 1),
    ],
)  # fmt: skip
def test_the_number_that_grade_returns_is_the_score(source: str, score: float, box: SourceSandbox) -> None:
    outcome = called(box, source, {"output_text": "Größe"}, {"more": 2})
    assert (outcome.score, outcome.problem, outcome.unavailable) == (score, "", "")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("x = 1", "the source has no function grade(sample, item)"),
        ("grade = 1", "the source has no function grade(sample, item)"),
        ("def grade(s, i): return '1'", "grade() returned str, and not a number"),
        ("def grade(s, i): return None", "grade() returned NoneType, and not a number"),
        ("def grade(s, i): return [1]", "grade() returned list, and not a number"),
        ("def grade(s, i): return float('nan')", "grade() returned nan, and not a finite number"),
        ("def grade(s, i): return float('inf')", "grade() returned inf, and not a finite number"),
        ("def grade(s, i): return 10 ** 400", "OverflowError"),
        ("def grade(s): return 1", "TypeError: grade() takes 1 positional argument but 2 were given"),
        ("def grade(s, i) return 1", "SyntaxError"),
        ("def grade(s, i):\n    return s['none']", "File \"grader.py\", line 2, in grade\n    return s['none']"),
        ("import numpy_is_not_here", "ModuleNotFoundError: No module named 'numpy_is_not_here'"),
        ("import distill", "ModuleNotFoundError: No module named 'distill'"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("def grade(s, i): raise ValueError('\\ud800')", "ValueError: \\ud800"),
        ("import os\nos._exit(0)", "the source ended its process, with exit code 0"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "the source ended its process, with exit code 137"),
        ("def grade(s, i): return grade(s, i)", "RecursionError"),
        ("(" * 100_000, "too many nested parentheses"),
    ],
)
def test_everything_else_is_a_problem_of_the_source(source: str, problem: str, box: SourceSandbox) -> None:
    outcome = called(box, source)
    assert outcome.score is None
    assert problem in outcome.problem
    assert outcome.unavailable == ""
    assert "run.py" not in outcome.problem, "a traceback is of the source alone"


@pytest.mark.parametrize(
    "attempt",
    [
        "__import__('socket').create_connection(('127.0.0.1', 1), 1)",
        "__import__('socket').socketpair()[0].bind('\\0x')",
        "open('/etc/passwd').read()",
        "open('/proc/self/environ').read()",
        f"open({str(Path(__file__))!r}).read()",
        "open('/tmp/distill-was-here', 'w')",
        "open('/usr/distill-was-here', 'w')",
        "bytearray(3 * 1024 ** 3)",
    ],
)
def test_nothing_outside_can_be_reached(attempt: str, box: SourceSandbox) -> None:
    source = f"def grade(s, i):\n    try: {attempt}\n    except (OSError, MemoryError): return 1\n    return 0"
    assert called(box, source).score == 1


def test_a_result_that_is_forged_without_the_token_is_none(box: SourceSandbox) -> None:
    source = """
import json, os
folder = os.path.join(os.environ["HOME"], "..", "grader")
with open(os.path.join(folder, "result.json"), "w") as file:
    json.dump({"token": "0" * 32, "score": 1.0}, file)
os._exit(0)
"""
    assert called(box, source).problem == "the source ended its process, with exit code 0"


def test_nothing_stays_from_one_run_to_the_next(box: SourceSandbox) -> None:
    source = """
import os
def grade(s, i):
    seen = sum(len(files) for folder in (".", os.environ["HOME"]) for _, _, files in os.walk(folder))
    for folder in (".", os.environ["HOME"]):
        open(os.path.join(folder, "left"), "w").close()
    return seen
"""
    assert [called(box, source).score for _ in range(4)] == [0] * 4


def test_time_memory_and_disk_are_limited() -> None:
    assert (LIMITS.seconds, LIMITS.memory_bytes, LIMITS.file_bytes) == (120, 2 * 1024**3, 1024**3)
    limits = replace(LIMITS, seconds=1.0, file_bytes=32 * 1024**2, kept_bytes=1024**2)
    with SourceSandbox(limits=limits) as box:
        forever = called(box, "while True: pass")
        full = called(box, "while True: open('big', 'ab').write(b'x' * 2 ** 20)")
        kept = called(
            box, "import os\nopen(os.environ['HOME'] + '/big', 'wb').write(b'x' * 2 ** 21)\ndef grade(s, i): return 1"
        )
        assert called(box, "def grade(s, i): return 1").score == 1, "the next one is not harmed"
    assert "time limit" in forever.problem
    assert full.score is None and full.problem
    assert "left more than 1048576 bytes" in kept.problem
    assert not any(outcome.unavailable for outcome in (forever, full, kept))


def test_a_source_is_checked_without_being_run(box: SourceSandbox) -> None:
    assert asyncio.run(box.check("raise SystemExit(3)")) == ""
    assert "SyntaxError" in asyncio.run(box.check("def grade(s, i) return 1"))


def test_without_a_sandbox_nothing_is_run(tmp_path: Path) -> None:
    tries = []

    def opened() -> Pool:
        tries.append(1)
        raise SandboxUnavailable("no sandbox can be had on this machine")

    mark = tmp_path / "ran"
    with SourceSandbox(opened=opened) as box:
        for _ in range(2):
            outcome = called(box, f"open({str(mark)!r}, 'w')\ndef grade(s, i): return 1")
            assert (outcome.score, outcome.problem) == (None, "")
            assert outcome.unavailable == "no sandbox can be had on this machine"
        assert asyncio.run(box.check("(")) == ""
    assert not mark.exists()
    assert len(tries) == 1, "it is not tried again for every source"


def test_a_closed_sandbox_says_so() -> None:
    box = SourceSandbox()
    box.close()
    assert called(box, "def grade(s, i): return 1").unavailable == "the sandbox is closed"
    box.close()


def test_the_program_runs_without_anything_of_this_project() -> None:
    text = Path(python_program.__file__).read_text(encoding="utf-8")
    assert "import distill" not in text and "from distill" not in text


def test_kept_bytes_default_to_what_may_be_written() -> None:
    assert Limits(file_bytes=10).capture_bytes == 10
    assert Limits(file_bytes=10, kept_bytes=4).capture_bytes == 4
    assert Limits(file_bytes=10, kept_bytes=40).capture_bytes == 10
