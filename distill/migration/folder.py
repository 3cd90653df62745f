"""An import as a folder that can be evaluated: cases, grader files, an experiment, and the list of remarks.

In: an `Import`. Out: `distill.yaml`, `cases/NAME.yaml`, `graders/*.json` and `IMPORT.md`, written as one: into a new
folder that is renamed when it is whole. A grader object that several cases share has a file; others stand in
their case.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from distill.cases import load_cases
from distill.config import FILE_NAME, load_config
from distill.migration.imported import Import, ImportedCase, ImportFailed, Remark
from distill.migration.reading import slug
from distill.reporting.text import clean
from distill.sources import SourceError

REMARKS_FILE = "IMPORT.md"
DECIDING = "testing_criteria"
"""The grader of such cases: all of a case's grader objects have to pass."""
_LONGEST_REQUEST = 200
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def write_import(
    found: Import, output: Path, *, source: str, prices: Path | None = None, platform: Path | None = None
) -> None:
    """Write the folder. `prices` and `platform` are the project's own, if there are any, to be shared.

    Raises `ImportFailed` when the folder is already there, and `OSError`.
    """
    if output.exists():
        raise ImportFailed(f"{output} is already there; move it away, or name another folder with --output")
    output.parent.mkdir(parents=True, exist_ok=True)
    draft = output.with_name(f".{output.name}.{secrets.token_hex(4)}")
    try:
        _write(found, draft, output, source, prices, platform)
        draft.rename(output)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def remarks_text(found: Import) -> str:
    """What is not in the result or means something else there, in lines; empty when there is nothing to say."""
    lines: list[str] = []
    for title, remarks in (
        ("not imported", found.remarks.left_out),
        ("imported with a difference", found.remarks.changed),
    ):
        if remarks:
            lines += [f"{title}:", *(f"  {_line(remark, count)}" for remark, count in remarks.items())]
    return "\n".join(lines)


def _write(found: Import, folder: Path, output: Path, source: str, prices: Path | None, platform: Path | None) -> None:
    category = slug(found.name)
    files = _shared(found.cases)
    (folder / "cases").mkdir(parents=True)
    (folder / "graders").mkdir()
    for text, name in files.items():
        _put(folder / "graders" / name, json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n")
    header = f"# Imported from {clean(source, 200)} ({clean(found.origin, 200)}). See ../{REMARKS_FILE}.\n"
    cases = {"category": category, "cases": [_case(case, files) for case in found.cases]}
    _put(folder / "cases" / f"{category}.yaml", header + _yaml(cases))
    if prices is None:
        _put(folder / "prices.yaml", f"as_of: {datetime.now(UTC).date()}\nmodels: {{}}\n")
    shared = {"prices": prices, "platform": platform}
    paths = {key: os.path.relpath(path, output.resolve()) for key, path in shared.items() if path is not None}
    _put(folder / FILE_NAME, _experiment(found, {"prices": "prices.yaml", **paths}, category, source))
    _put(folder / REMARKS_FILE, _page(found, source, output))
    try:
        load_cases(load_config(folder / FILE_NAME).cases)
    except SourceError as error:
        raise ImportFailed(f"what was made of it is no valid case file: {error.problems[0]}") from None


def _shared(cases: Sequence[ImportedCase]) -> dict[str, str]:
    """The files of grader objects that several cases have, by the object as JSON."""
    uses = Counter(text for case in cases for text in {_key(grader) for grader in case.graders})
    files: dict[str, str] = {}
    for text, count in uses.items():
        if count > 1 or len(cases) == 1:
            base = slug(str(json.loads(text).get("name", "grader")))
            name, number = f"{base}.json", 2
            while name in files.values():
                name, number = f"{base}-{number}.json", number + 1
            files[text] = name
    return files


def _case(case: ImportedCase, files: Mapping[str, str]) -> dict[str, Any]:
    graders = [f"../graders/{files[_key(one)]}" if _key(one) in files else dict(one) for one in case.graders]
    return {
        "id": case.id,
        "request": _request(case),
        "messages": [dict(message) for message in case.messages],
        "item": dict(case.item),
        "graders": graders,
    }


def _request(case: ImportedCase) -> str:
    """What reports show of the question: the last message of the user, on one line and shortened."""
    asked = [message["content"] for message in case.messages if message["role"] == "user"] or [
        case.messages[-1]["content"]
    ]
    text = clean(" ".join(asked[-1].split()), _LONGEST_REQUEST).strip()
    return text if len(text) >= 3 else f"{case.id}: {text}".strip()


def _experiment(found: Import, paths: Mapping[str, str], category: str, source: str) -> str:
    settings: dict[str, Any] = {
        "baseline": found.models[0] if found.models else None,
        "graders": [DECIDING],
        "cases": ["cases"],
        "metadata": {"task": category},
        "sampling": {"temperature": 0, "max_completion_tokens": 1024} | dict(found.sampling),
        **({"samples": found.samples} if found.samples > 1 else {}),
        **paths,
    }
    return f"# The experiment of an eval that was imported from {clean(source, 200)}.\n{_yaml(settings)}"


def _page(found: Import, source: str, output: Path) -> str:
    lines = [
        f"# {clean(found.name, 200)}",
        "",
        f"{len(found.cases)} cases, imported on {datetime.now(UTC).date()} from `{_code(source)}` "
        f"({clean(found.origin, 200)}).",
        "",
        f"    pytest evals/ --cases {output} --model NAME",
        "",
        "## Not imported",
        "",
        *(_rows(found.remarks.left_out) or ["Nothing was left out."]),
        "",
        "## Imported with a difference",
        "",
        *(_rows(found.remarks.changed) or ["Nothing means something else here."]),
    ]
    if len(found.models) > 1:
        lines += ["", f"It was also run with {', '.join(f'`{_code(model)}`' for model in found.models[1:])}."]
    return "\n".join(lines) + "\n"


def _rows(remarks: Mapping[Remark, int]) -> list[str]:
    return [f"- `{_code(_what(remark, count))}`: {clean(remark.why, 500)}" for remark, count in remarks.items()]


def _line(remark: Remark, count: int) -> str:
    return f"{clean(_what(remark, count), 200)}: {clean(remark.why, 500)}"


def _what(remark: Remark, count: int) -> str:
    return remark.what if count == 1 else f"{remark.what} ({count} times)"


def _code(text: str) -> str:
    return clean(text, 200).replace("`", "'")


def _key(grader: Mapping[str, Any]) -> str:
    return json.dumps(grader, sort_keys=True, ensure_ascii=False)


class _Plain(_Dumper):  # type: ignore[misc]  # one of two classes
    """Writes what stands in two places twice, since anchors are hard to read."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _yaml(data: Any) -> str:
    return yaml.dump(data, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)


def _put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
