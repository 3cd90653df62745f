"""The examples run as they are written, against the platform with the real small model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from distill.models.registry import EMBEDDED
from distill.server.process import LocalServer

ROOT = Path(__file__).parents[1]


@pytest.mark.model
def test_a_workflow_on_the_evals_api_runs_here_and_is_exported_and_imported(tmp_path: Path) -> None:
    with LocalServer([EMBEDDED], {}, data=tmp_path / "platform") as server:
        address = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": server.api_key or "none", "MODEL": EMBEDDED}

        def run(*command: str) -> str:
            done = subprocess.run(
                [sys.executable, *command],
                env={**os.environ, "PYTHONPATH": str(ROOT), **address},
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        said = run(str(ROOT / "examples" / "evals_api.py"))
        command = "import sys; from distill.cli import app; app()"
        saved = run("-c", command, "export-openai", "--output", "export")
        made = run("-c", command, "import-eval", "export", "--output", "imported")

    assert re.match(rf"{EMBEDDED}: \d of 4 passed, \d failed, 0 errors\n", said), said
    assert len(re.findall(r"^  (pass|fail)", said, re.MULTILINE)) == 4
    assert "4 output items saved" in saved
    assert "4 cases in imported" in made
    assert (tmp_path / "imported" / "graders" / "the-topic-is-named.json").is_file()
