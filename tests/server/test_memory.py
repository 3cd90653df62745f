"""Reckoning what a model will take, against what one that is loaded does take."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from distill.models.registry import EMBEDDED
from distill.server import memory
from distill.server.memory import SHARE, default_limit, needed
from distill.server.settings import EngineSettings, ModelFiles
from distill.server.weights import locate


def test_a_file_that_cannot_be_read_needs_nothing_yet(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"this is not a model")

    assert needed(ModelFiles(gguf=tmp_path / "bad.gguf"), EngineSettings()) == 0
    assert needed(ModelFiles(gguf=tmp_path / "gone.gguf"), EngineSettings()) == 0


@pytest.mark.parametrize("text", ["max\n", "?", str(2**62)])
def test_the_limit_is_a_share_of_the_machine(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text(text)
    monkeypatch.setattr(memory, "_CGROUP_LIMIT", tmp_path / "memory.max")
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    assert default_limit() == int(machine * SHARE)


def test_the_limit_is_a_share_of_the_control_group_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    monkeypatch.setattr(memory, "_CGROUP_LIMIT", tmp_path / "memory.max")

    assert default_limit() == 500_000


MEASURE = """
import sys
from pathlib import Path
from distill.server.engine import LlamaEngine
from distill.server.settings import EngineSettings, ModelFiles

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))

before = resident()
engine = LlamaEngine(ModelFiles(gguf=Path(sys.argv[1])), EngineSettings(slots=int(sys.argv[2])))
print(resident() - before)
engine.close()
"""


@pytest.mark.model
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not say what a process takes")
@pytest.mark.parametrize("slots", [4, 32])
def test_what_is_reckoned_is_what_it_takes(slots: int) -> None:
    files = locate(EMBEDDED)
    command = [sys.executable, "-c", MEASURE, str(files.gguf), str(slots)]
    measured = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert 0.9 < needed(files, EngineSettings(slots=slots)) / measured < 1.4
