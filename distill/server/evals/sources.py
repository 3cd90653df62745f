"""Where a run's items come from: rows in the request, rows of an uploaded file, stored completions.

In: a data source. Out: its rows: an `item`, and a `sample` where there is an answer already. A row that does not fit
the eval's schema is an error of the run, with its number, before anything is asked.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import referencing

from distill.openai_graders import sample_of
from distill.server import stored_completions
from distill.server.errors import ApiError
from distill.server.evals.requests import FileContent, FileId, Source, StoredSource
from distill.server.pages import Page
from distill.server.platform import Platform

_PAGE = 100
_MOST_ROWS = 100_000


class SourceBroken(Exception):
    """A data source that gives no rows. The message says what is wrong, and where."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to be graded."""

    number: int
    item: dict[str, Any]
    sample: dict[str, Any] | None
    """An answer that was given before; None where it is still to be asked for."""
    completion: dict[str, Any] | None = None
    """The stored completion that the answer came in."""


async def rows_of(platform: Platform, source: Source) -> list[Row]:
    """Every row of a source. Raises `SourceBroken`."""
    match source:
        case FileContent():
            given = [(row.item, row.sample) for row in source.content]
            return [Row(number, item, _answer(sample)) for number, (item, sample) in enumerate(given)]
        case FileId():
            try:
                await platform.files.object(source.id)
            except ApiError as error:
                raise SourceBroken(error.message) from None
            return list(_file_rows(platform.files.path(source.id)))
        case StoredSource():
            return await platform.database.read(lambda connection: list(_stored_rows(connection, source)))


def check_rows(rows: list[Row], schema: Mapping[str, Any]) -> None:
    """Hold every item against the eval's `item` schema. Raises `SourceBroken` for the first that does not fit."""
    validator = validator_of(schema)
    for row in rows:
        problem = next(validator.iter_errors(row.item), None)
        if problem is not None:
            where = ".".join(map(str, problem.absolute_path)) or "it"
            raise SourceBroken(f"item {row.number} does not fit the eval's item_schema: {where}: {problem.message}")


def validator_of(schema: Mapping[str, Any]) -> jsonschema.protocols.Validator:
    """Without a way to fetch what a schema refers to elsewhere. Raises `SourceBroken` for what is no schema."""
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise SourceBroken(f"it is no JSON Schema: {error.message}") from None
    return jsonschema.Draft202012Validator(schema, registry=referencing.Registry())


def _answer(sample: dict[str, Any] | None) -> dict[str, Any] | None:
    """A sample as templates see it; one that is given as `output_text` alone gets what follows from that."""
    if sample is None:
        return None
    text = sample.get("output_text")
    return {**(sample_of(text) if isinstance(text, str) else {}), **sample}


def _file_rows(path: Path) -> Iterator[Row]:
    try:
        with path.open("rb") as file:
            for line, raw in enumerate(file, start=1):
                if not raw.strip():
                    continue
                if line > _MOST_ROWS:
                    raise SourceBroken(f"the file has more than {_MOST_ROWS:,} lines")
                try:
                    row = json.loads(raw)
                except ValueError:
                    raise SourceBroken(f"line {line} of the file is not JSON") from None
                if not isinstance(row, dict) or not isinstance(row.get("item"), dict):
                    raise SourceBroken(f'line {line} of the file is not an object with an "item"')
                sample = row.get("sample")
                yield Row(line - 1, row["item"], _answer(sample) if isinstance(sample, dict) else None)
    except OSError as error:
        raise SourceBroken(f"the file cannot be read: {error.strerror or error}") from None


def _stored_rows(connection: sqlite3.Connection, source: StoredSource) -> Iterator[Row]:
    after: str | None = None
    number = 0
    while True:
        page = Page(limit=_PAGE, order="asc", after=after)
        found, more = stored_completions.find(connection, page, model=source.model, metadata=source.metadata or {})
        for row in found:
            completion = stored_completions.show(row)
            created = completion["created"]
            if source.created_after is not None and created <= source.created_after:
                continue
            if source.created_before is not None and created >= source.created_before:
                continue
            if number == (source.limit or _MOST_ROWS):
                return
            messages = json.loads(row["messages"])
            metadata = json.loads(row["metadata"])
            text = completion["choices"][0]["message"].get("content") or ""
            item = {**metadata, "input": messages, "metadata": metadata, "model": completion["model"]}
            yield Row(number, item, sample_of(text, completion), completion)
            number += 1
        if not more:
            return
        after = found[-1]["id"]
