"""Runs a program that must not outlive whoever started it: `python -m distill.server.attended PROGRAM ARGUMENT...`.

In: the name of a module, or the path of a Python file, with its arguments; and standard input, which stays open for as
long as the parent lives. When it closes, the parent has ended in whatever way, and this process is asked to end as by
SIGTERM, so that it can still write down where it was; some time later it is ended. The program runs in this very
process, at a lower priority than the server that started it.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

_GRACE = 45.0  # seconds to write a last checkpoint
_NICENESS = 5


def main() -> None:
    """Never returns before the program has ended; its exit status is this process's."""
    os.nice(_NICENESS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = sys.argv[1:]
    program = sys.argv[0]
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(1)


if __name__ == "__main__":
    main()
