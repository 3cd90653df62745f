"""A Python 3.11 that an ordinary user can start, where the one that runs the tests is readable by its owner alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

_TEST = "import sys, ctypes, json, select, socket; sys.exit(sys.version_info < (3, 11))"


def readable_python(folder: Path, options: dict[str, Any]) -> str:
    """One that is there, or a copy of this one in `folder`.

    `options`: those of `subprocess.run` that make it the ordinary user; a copy needs one more in their environment.
    """
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            subprocess.run([python, "-I", "-c", _TEST], check=True, capture_output=True, cwd="/", **options)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    prefix = folder / "python"
    unneeded = shutil.ignore_patterns("site-packages", "test", "tests", "idlelib", "__pycache__", "config-*", "*.a")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copytree(sysconfig.get_path("stdlib"), prefix / "lib" / version, ignore=unneeded)
    for library in Path(sysconfig.get_config_var("LIBDIR")).glob(f"libpython{version[6:]}*.so*"):
        shutil.copy(library, prefix / "lib")
    (prefix / "bin").mkdir()
    python = str(prefix / "bin" / version)
    shutil.copy(Path(sys.executable).resolve(), python)
    for path in [prefix, *prefix.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    options["env"]["LD_LIBRARY_PATH"] = str(prefix / "lib")
    subprocess.run([python, "-I", "-c", _TEST], check=True, cwd="/", **options)
    return python
