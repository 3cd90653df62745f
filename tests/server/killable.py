"""A platform in a process of its own that a test may kill at any moment, and the real client to ask it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai

_PROGRAM = Path(__file__).with_name("instant_server.py")


@contextmanager
def killable(data: Path) -> Iterator[tuple[openai.OpenAI, subprocess.Popen[str]]]:
    """Serve the model `small`, which says again what it was asked, on a data folder; killed at the end."""
    with subprocess.Popen([sys.executable, str(_PROGRAM), str(data)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
            with openai.OpenAI(base_url=address, api_key="a-key", max_retries=0, timeout=20) as client:
                yield client, process
        finally:
            process.kill()
