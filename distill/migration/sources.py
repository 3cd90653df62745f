"""Python graders in place of assertions that OpenAI's other graders cannot say: sources, as text.

In: texts and limits of an assertion. Out: a source with `grade(sample, item)`, which returns a number. Every text in it
is a Python literal, so nothing can leave its quotes; the sources run in the sandbox only, never in this process.
They are grader templates, whose variables the source reads from the item.
"""

from __future__ import annotations

import ast
import sys
import textwrap
import warnings
from collections.abc import Sequence
from typing import Any

from distill.migration.imported import NoEqual
from distill.migration.json_schema import VALIDATOR, with_python_patterns
from distill.migration.nunjucks import PRELUDE, python_expression
from distill.migration.patterns import python_pattern

SMALLEST = 1e-6
"""A score that is more than nothing: what an assertion passes with that passes whatever its score."""

_IN_THE_SANDBOX = {*sys.stdlib_module_names, "rapidfuzz"}


def contains(texts: Sequence[str], *, all_of: bool, ignoring_case: bool) -> str:
    """Whether all, or any, of the texts are in the answer."""
    lower = ".lower()" if ignoring_case else ""
    return _source(
        f"""
        def grade(sample, item):
            output = sample["output_text"]{lower}
            texts = [{_listed(texts)}]
            return float({"all" if all_of else "any"}(text{lower} in output for text in texts))
        """
    )


def starts_with(text: str) -> str:
    """Whether the answer starts with the text."""
    return _source(
        f"""
        def grade(sample, item):
            return float(sample["output_text"].startswith({python_expression(text)}))
        """
    )


def matches(pattern: str) -> str:
    """Whether a JavaScript regular expression matches anywhere in the answer. Raises `NoEqual` for what Python's
    expressions cannot say."""
    if "{{" not in pattern:
        pattern = python_pattern(pattern)
    return _source(
        f"""
        import re


        def grade(sample, item):
            return float(re.search({python_expression(pattern)}, sample["output_text"], re.ASCII) is not None)
        """
    )


def levenshtein(text: str, most: float) -> str:
    """Whether at most `most` letters have to be changed, added or taken away to make the answer the text."""
    return _source(
        f"""
        from rapidfuzz.distance import Levenshtein


        def grade(sample, item):
            return float(Levenshtein.distance(sample["output_text"], {python_expression(text)}) <= {most!r})
        """
    )


def word_count(fewest: float | None, most: float | None) -> str:
    """Whether the answer has so many words."""
    tests = [f"{fewest!r} <= words" if fewest is not None else "", f"words <= {most!r}" if most is not None else ""]
    return _source(
        f"""
        def grade(sample, item):
            words = len(sample["output_text"].split())
            return float({" and ".join(filter(None, tests))})
        """
    )


def equals_value(value: Any) -> str:
    """Whether the answer is JSON, with this value."""
    return _of_json({"const": value}, anywhere=False)


def is_json(schema: Any, *, anywhere: bool) -> str:
    """Whether the answer is JSON, or has an object or list of JSON in it (`anywhere`), which keeps the schema. Raises
    `NoEqual` for a schema that cannot be checked."""
    return _of_json(True if schema is None else with_python_patterns(schema), anywhere=anywhere)


def _of_json(schema: Any, *, anywhere: bool) -> str:
    code = f"""
        SCHEMA = {schema!r}


        def values(text):
            if not {anywhere!r}:
                yield json.loads(text)
                return
            place = 0
            while place < len(text):
                if text[place] in "{{[":
                    try:
                        value, place = json.JSONDecoder().raw_decode(text, place)
                        yield value
                        continue
                    except ValueError:
                        pass
                place += 1


        def grade(sample, item):
            try:
                return float(any(valid(value, SCHEMA) for value in values(sample["output_text"])))
            except ValueError:
                return 0.0
        """
    return f"{PRELUDE}{VALIDATOR}\n\n{textwrap.dedent(code).strip()}\n"


def promptfoo_python(code: str, *, function: str | None, config: Any, threshold: float | None) -> str:
    """Promptfoo's own Python assertion: an expression or the body of a function over `output` and `context`, or, with
    `function`, a whole file that defines it. Raises `NoEqual` when it is not Python."""
    if function is not None:
        defined = f"{code}\n\n\n_assertion = {function}\n"
    elif "\n" in code.strip():
        body = textwrap.indent(textwrap.dedent(code).strip("\n"), "    ")
        defined = f"def _assertion(output, context):\n{body}\n"
    else:
        defined = f"def _assertion(output, context):\n    return {code.strip()}\n"
    source = f"import json\nimport math\nimport re\n\n\n{defined}\n\n{_promptfoo_result(config, threshold)}"
    refuse_what_cannot_run(source)
    return source


def refuse_what_cannot_run(source: str) -> None:
    """Raise `NoEqual` for a source that is not Python, or that imports what the sandbox does not have."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes, which are the author's own
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NoEqual(f"its code is not Python: {getattr(error, 'msg', None) or error}") from None
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        missing = [name for name in names if name.partition(".")[0] not in _IN_THE_SANDBOX]
        if missing:
            raise NoEqual(f"its code imports {missing[0]!r}; graders run with the standard library and rapidfuzz")


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(python_expression(text) for text in texts)


def _source(code: str) -> str:
    return f"{PRELUDE}\n\n{textwrap.dedent(code).strip()}\n"


def _promptfoo_result(config: Any, threshold: float | None) -> str:
    return textwrap.dedent(
        f'''\
        def _number(result):
            """The score: nothing for what did not pass, and more than nothing for what did."""
            if isinstance(result, str):
                result = {{"true": True, "false": False}}.get(result.lower(), result)
            if isinstance(result, bool):
                return float(result)
            if isinstance(result, str) and result.startswith("{{"):
                result = json.loads(result)
            if hasattr(result, "__dict__"):
                result = vars(result)
            if isinstance(result, dict):
                passed = result.get("pass", result.get("pass_"))
                score = float(result.get("score", bool(passed)))
                if passed is None:
                    raise ValueError("the assertion returned an object without `pass`")
                enough = {threshold!r} is None or score >= {threshold!r}
                return max(score, {SMALLEST!r}) if passed and enough else 0.0
            return float(result)


        def grade(sample, item):
            output = sample["output_text"]
            context = {{"vars": item, "prompt": None, "test": {{"vars": item}}, "config": {config!r}}}
            return _number(_assertion(output, context))
        '''
    )
