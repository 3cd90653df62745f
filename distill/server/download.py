"""Download one wheel with pip, and show how far it is.

In: a package and a version. Out: the wheel's path in the folder given. pip alone knows this machine's package index,
proxies, certificates and credentials, so it does the work, in a process of its own whose environment holds what pip
needs and no other program's keys.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

_WANTED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_.*|PIP_.*|XDG_.*|NETRC|SYSTEMROOT|APPDATA|LOCALAPPDATA|USERPROFILE"
    r"|SSL_CERT_.*|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|(?i:https?_proxy|no_proxy|all_proxy)"
)
_LOOK_EVERY = 0.2  # seconds
_UNPRINTABLE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[^\x20-\x7e]")


class DownloadError(Exception):
    """Nothing usable came. The message is a sentence about why."""


def wheel(package: str, version: str, folder: Path, *, expected: int, label: str, console: Console) -> Path:
    """The wheel in `folder`, where pip's temporary files go too. `expected` is its size in bytes, for the progress bar.

    Raises `DownloadError`.
    """
    if find_spec("pip") is None:
        raise DownloadError(
            f"they are downloaded with pip, which this Python ({sys.executable}) does not have. `python -m ensurepip` "
            "or, in an environment made by uv, `uv pip install pip` adds it."
        )
    destination, temporary, log = folder / "wheel", folder / "tmp", folder / "pip.log"
    destination.mkdir()
    temporary.mkdir()
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--no-color"]
    command += ["--dest", str(destination), f"{package}=={version}"]
    # pip writes what it has so far into the temporary folder, under a name of its own: its size is the progress.
    environment = pip_environment(os.environ) | {"TMPDIR": str(temporary), "TEMP": str(temporary)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            _show_progress(process, lambda: _largest_file(folder), expected, label, console)
        finally:
            process.kill()  # nothing, once it has ended by itself
            process.wait()
    wheels = list(destination.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        raise DownloadError(f"pip could not download {package} {version} ({_reason(log)}).")
    return wheels[0]


def pip_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What pip needs of an environment, and nothing else."""
    return {name: value for name, value in environ.items() if _WANTED.fullmatch(name)}


def _show_progress(
    process: subprocess.Popen[bytes], so_far: Callable[[], int], expected: int, label: str, console: Console
) -> None:
    if not console.is_terminal:
        console.print(f"Fetching {label} ({expected / 1e6:.0f} MB), once.", markup=False, highlight=False)
        if process.wait() == 0:
            console.print(f"Fetched {label}.", markup=False, highlight=False)
        return
    columns = (TextColumn("Fetching {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task(label, total=expected)
        while True:
            try:
                code = process.wait(timeout=_LOOK_EVERY)
            except subprocess.TimeoutExpired:
                progress.update(task, completed=min(so_far(), expected))
            else:
                progress.update(task, completed=expected if code == 0 else so_far())
                return


def _largest_file(folder: Path) -> int:
    largest = 0
    for path in folder.rglob("*"):
        try:
            largest = max(largest, path.stat().st_size if path.is_file() else 0)
        except OSError:  # pip has moved it on in the meantime
            continue
    return largest


def _reason(log: Path) -> str:
    """pip's last error, as plain text: what an index answers must not reach the terminal as control codes."""
    lines = [_UNPRINTABLE.sub("", line).strip() for line in log.read_text(errors="replace").splitlines()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines[-1:]
    return errors[-1][:300] if errors else "it said nothing"
