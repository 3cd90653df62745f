"""A channel made of a process's standard input and output, with a real process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import distill

_PROGRAM = f"""
import subprocess, sys; sys.path.insert(0, {str(Path(distill.__file__).parents[1])!r})
from distill.sandbox.pipes import Pipes
from distill.sandbox.protocol import receive_frame, send_frame
channel = Pipes()
print("this goes nowhere", flush=True)
subprocess.run(["sh", "-c", "cat; echo nor does this"])
while True:
    try:
        header, body = receive_frame(channel)
    except EOFError:
        break
    send_frame(channel, header, [bytes(body)])
channel.close()
"""


def test_frames_come_back_whole_and_nothing_else_does() -> None:
    header, body = b'{"op":"x"}', bytes(range(256)) * 4096
    frame = len(header).to_bytes(4, "big") + len(body).to_bytes(4, "big") + header + body
    done = subprocess.run(
        [sys.executable, "-I", "-c", _PROGRAM], input=frame * 3, capture_output=True, timeout=60, check=True
    )
    assert done.stdout == frame * 3
