"""Which of the two an imported file is, and everything that was saved beside it.

In: a path: an eval's JSON, a folder or a `evals.jsonl` of `distill export-openai`, or a Promptfoo config. Out: an
`Import`. Beside an eval, every `.json` and `.jsonl` file of its folder is looked through for its runs and output items,
whatever the files are called; those of other evals are passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.migration.imported import Import, ImportFailed, plain
from distill.migration.openai_eval import SavedEval, import_eval
from distill.migration.promptfoo import import_promptfoo
from distill.sources import SourceError, read_yaml

_EXPECTED = (
    "expected an eval saved from OpenAI (client.evals.retrieve, with its output items beside it) or a Promptfoo config "
    "(YAML or JSON with `prompts` and `tests`)"
)


def read_import(path: Path, *, name: str | None = None, run: str | None = None, prompt: str | None = None) -> Import:
    """Read a file, or a folder of them. `name` is the eval's id, where there are several.

    Raises `ImportFailed`, and `SourceError` for YAML that cannot be read.
    """
    path = _file(path)
    if path.suffix in (".yaml", ".yml"):
        found = plain(read_yaml(path).data)
        documents: list[Any] = [found]
    else:
        documents = list(_values(path))
    configs = [one for one in documents if isinstance(one, dict) and _is_promptfoo(one)]
    if configs:
        return import_promptfoo(configs[0], path.parent, slug=slug(str(configs[0].get("description") or path.stem)))
    evals = {str(one.get("id")): one for each in documents for one in _objects(each, "eval")}
    if name is not None:
        evals = {identity: one for identity, one in evals.items() if identity == name}
    if not evals:
        raise ImportFailed(f"{path}: {f'there is no eval {name!r} in it' if name else _EXPECTED}")
    if len(evals) > 1:
        listed = "\n".join(f"  {identity}  {one.get('name', '')}" for identity, one in evals.items())
        raise ImportFailed(f"{path} holds {len(evals)} evals; choose one with --eval ID:\n{listed}")
    ((identity, definition),) = evals.items()
    saved = _beside(path, identity, definition, documents)
    return import_eval(saved, slug=slug(str(definition.get("name") or identity)), run=run, prompt=prompt)


def slug(text: str) -> str:
    """A text as the lower-case words with hyphens that ids are made of."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return words[:48].strip("-") or "imported"


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in ("evals.jsonl", "eval.json", "promptfooconfig.yaml"):
        if (path / name).is_file():
            return path / name
    raise ImportFailed(
        f"{path} is a folder without evals.jsonl, eval.json or promptfooconfig.yaml; name the file itself"
    )


def _is_promptfoo(document: Mapping[str, Any]) -> bool:
    return "testing_criteria" not in document and ("tests" in document or "prompts" in document)


def _beside(path: Path, identity: str, definition: Mapping[str, Any], documents: Sequence[Any]) -> SavedEval:
    runs: dict[str, Any] = {}
    items: dict[str, Any] = {}
    inside = [definition.get("runs"), definition.get("output_items"), *documents]
    others = [other for other in sorted(path.parent.iterdir()) if other.suffix in (".json", ".jsonl") and other != path]
    for document in (*inside, *(value for other in others for value in _quietly(other))):
        for run in _objects(document, "eval.run"):
            if run.get("eval_id") in (identity, None):
                runs[str(run.get("id"))] = run
                inside_run = run.get("output_items")
                items.update({str(one.get("id")): one for one in _objects(inside_run, "eval.run.output_item")})
        for item in _objects(document, "eval.run.output_item"):
            if item.get("eval_id") in (identity, None):
                items[str(item.get("id"))] = item
    return SavedEval(
        definition=definition,
        runs=list(runs.values()),
        output_items=list(items.values()),
        files=_files(path.parent / "files", runs.values()),
    )


def _files(folder: Path, runs: Any) -> dict[str, list[Any]]:
    """The rows of the files that the runs read, where an export has them."""
    found: dict[str, list[Any]] = {}
    for run in runs:
        source = run.get("data_source")
        where = source.get("source") if isinstance(source, Mapping) else None
        identity = where.get("id") if isinstance(where, Mapping) and where.get("type") == "file_id" else None
        if isinstance(identity, str) and re.fullmatch(r"[\w-]+", identity) and (folder / identity).is_file():
            found[identity] = list(_quietly(folder / identity, lines=True))
    return found


def _objects(document: Any, kind: str) -> Iterator[Mapping[str, Any]]:
    """The objects of a kind in a document: itself, those of a list (also OpenAI's), or under keys of its own."""
    if isinstance(document, list):
        for one in document:
            yield from _objects(one, kind)
    elif isinstance(document, Mapping):
        if document.get("object") == kind or (kind == "eval" and "testing_criteria" in document):
            yield document
        elif document.get("object") in ("list", None):
            for key in ("data", "eval", "evals", "run", "runs", "output_items"):
                yield from _objects(document.get(key), kind)


def _values(path: Path, *, lines: bool = False) -> Iterator[Any]:
    """The values of a JSON or JSON Lines file. Raises `ImportFailed` with the line."""
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ImportFailed(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not lines and path.suffix != ".jsonl":
        yield _json(text, f"{path}")
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _json(line, f"{path}:{number}")


def _quietly(path: Path, *, lines: bool = False) -> Iterator[Any]:
    """The same of a file that was not named, as far as it can be read."""
    try:
        yield from _values(path, lines=lines)
    except ImportFailed:
        return


def _json(text: str, where: str) -> Any:
    try:
        return plain(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise ImportFailed(f"{where}: not JSON: {error}; {_EXPECTED}") from None


__all__ = ["ImportFailed", "SourceError", "read_import", "slug"]
