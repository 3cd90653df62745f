"""Runs a Python grader's source inside of the sandbox, and brings back one number.

This file is the program that runs there, as it stands, in whatever Python 3 the sandbox has: standard library only, and
nothing of this project. It reads its request from a file and removes it, calls `grade(sample, item)` and writes what
came of it, with the request's token, into a file of its own. What the source prints goes where prints go and is not
read. The source is trusted with nothing but its own score: whatever it does, it does in the sandbox.
"""

from __future__ import annotations

import json
import linecache
import os
import sys
import traceback
import types
from typing import Any

_LONGEST = 8000
_NAME = "grader.py"


def main() -> None:
    """Run the request that lies beside this file."""
    folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    request_path, result_path = os.path.join(folder, "request.json"), os.path.join(folder, "result.json")  # noqa: PTH118
    with open(request_path, encoding="utf-8") as file:  # noqa: PTH123
        request = json.load(file)
    os.unlink(request_path)  # noqa: PTH108
    sys.path.append(os.path.join(folder, "packages"))  # noqa: PTH118
    result = {"token": request["token"], **_grade(**request["call"])}
    with open(result_path, "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(result, file)
    os._exit(0)  # threads and exit handlers of the source have no say in it any more


def _grade(source: str, sample: Any, item: Any, only_compile: bool) -> dict[str, Any]:
    try:
        module = types.ModuleType("grader")
        sys.modules["grader"] = module
        linecache.cache[_NAME] = (len(source), None, source.splitlines(keepends=True), _NAME)
        code = compile(source, _NAME, "exec")
        if only_compile:
            return {"score": 0.0}
        exec(code, module.__dict__)  # noqa: S102 # this is what the sandbox is for
        function = getattr(module, "grade", None)
        if not callable(function):
            return {"problem": "the source has no function grade(sample, item)"}
        value = function(sample, item)
        if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
            return {"problem": "grade() returned %s, and not a number" % type(value).__name__}  # noqa: UP031
        score = float(value)
        if score != score or score in (float("inf"), float("-inf")):
            return {"problem": f"grade() returned {score}, and not a finite number"}
        return {"score": score}
    except MemoryError:
        return {"problem": "it needed more memory than it may have"}
    except BaseException as error:
        told = traceback.TracebackException.from_exception(error)
        told.stack = traceback.StackSummary.from_list([frame for frame in told.stack if frame.filename != __file__])
        return {"problem": "".join(told.format())[-_LONGEST:]}


if __name__ == "__main__":
    main()
