"""`python -m distill.trainer FOLDER`: do what FOLDER/job.json says, or go on with it.

Exit status: 0 when the job has succeeded, 1 when it has failed, 3 when it was asked to stop and can be gone on with, 2
when the command line is wrong.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from filelock import FileLock, Timeout

from distill.trainer.events import Events, Failure, take_standard_output
from distill.trainer.job import read_task
from distill.trainer.stopping import Stopped, Stopping

_SUCCEEDED, _FAILED, _WRONG_USAGE, _STOPPED = range(4)
_LOCK = ".working.lock"
_PATIENCE = 60.0  # seconds for a trainer that was asked to stop
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate", "bad_alloc")


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m distill.trainer FOLDER", file=sys.stderr)
        return _WRONG_USAGE
    stopping = Stopping()
    stopping.listen()
    events = take_standard_output()
    _prepare_environment()
    folder = Path(arguments[0]).absolute()
    try:
        with FileLock(folder / _LOCK, timeout=_PATIENCE):
            return _train(folder, events, stopping)
    except Timeout:
        return _fail(events, Failure("already_running", f"Another trainer is at work in {folder}."))
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            return _fail(events, Failure("storage_error", f"{folder} cannot be worked in: {error.strerror}."))
        return _STOPPED  # nobody reads any more, so nobody would know
    except Stopped:
        return _STOPPED


def _train(folder: Path, events: Events, stopping: Stopping) -> int:
    try:
        task = read_task(folder)
        try:
            from distill.trainer.run import run
        except ImportError as error:
            raise Failure(
                "trainer_not_installed",
                f"Training needs the package {error.name}; `pip install 'distill[train]'` installs all that it needs.",
            ) from error
        run(folder, task, events, stopping)
    except Failure as failure:
        return _fail(events, failure)
    except BrokenPipeError:
        raise
    except MemoryError:
        return _fail(events, _out_of_memory())
    except OSError as error:
        traceback.print_exc()
        return _fail(events, Failure("storage_error", f"A file could not be read or written: {error}."))
    except Exception as error:
        traceback.print_exc()
        if any(phrase in str(error).lower() for phrase in _NO_MEMORY):
            return _fail(events, _out_of_memory())
        return _fail(events, Failure("training_failed", f"Training failed: {type(error).__name__}: {error}"))
    return _SUCCEEDED


def _fail(events: Events, failure: Failure) -> int:
    events.fail(failure)
    return _FAILED


def _out_of_memory() -> Failure:
    return Failure(
        "out_of_memory",
        "There was not enough memory. A smaller batch_size, shorter examples or a smaller base model need less.",
        "batch_size",
    )


def _prepare_environment() -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait leave the cores to others,
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # but not at once: to be woken takes longer than most products
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # one is enough, and the library wants to be told


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
