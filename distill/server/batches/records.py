"""What is known of batches and of their results, and how it is shown.

In: a connection of the platform's database. Out: OpenAI's `batch` object, and the lines of its result files. A result
is written once, with the batch's counts in the same transaction, so that a server which was killed in the middle finds
there what it has answered.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distill.server.batches.requests import Problem
from distill.server.errors import ApiError

SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    id TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL,
    input_file_id TEXT NOT NULL,
    completion_window TEXT NOT NULL,
    metadata TEXT,
    output_lasts INTEGER,
    status TEXT NOT NULL,
    model TEXT,
    errors TEXT,
    output_file_id TEXT,
    error_file_id TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    in_progress_at INTEGER,
    finalizing_at INTEGER,
    completed_at INTEGER,
    failed_at INTEGER,
    expired_at INTEGER,
    cancelling_at INTEGER,
    cancelled_at INTEGER,
    total INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS batches_to_do ON batches (id)
    WHERE status IN ('validating', 'in_progress', 'finalizing', 'cancelling');
CREATE TABLE IF NOT EXISTS batch_results (
    number INTEGER PRIMARY KEY,
    batch_id TEXT NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    line INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    object TEXT NOT NULL,
    UNIQUE (batch_id, line)
);
"""

_OPTIONAL = (
    "model",
    "output_file_id",
    "error_file_id",
    "in_progress_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one request."""

    line: int
    """Where it is in the input file."""
    succeeded: bool
    object: dict[str, Any]
    """A line of a result file."""

    @property
    def usage(self) -> tuple[int, int, int]:
        """Tokens: of the prompt, of those the ones that were cached, of the answer."""
        body = (self.object["response"] or {}).get("body") or {}
        usage = body.get("usage") or {}
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        return usage.get("prompt_tokens") or 0, cached, usage.get("completion_tokens") or 0


def insert(connection: sqlite3.Connection, row: Mapping[str, Any]) -> None:
    """The columns come from the code; what a client sent is in the values."""
    marks = ", ".join(f":{column}" for column in row)
    connection.execute(f"INSERT INTO batches ({', '.join(row)}) VALUES ({marks})", row)  # noqa: S608


def find(connection: sqlite3.Connection, batch_id: str) -> sqlite3.Row:
    """Raises `ApiError` (404)."""
    row: sqlite3.Row | None = connection.execute("SELECT * FROM batches WHERE id = ?", [batch_id]).fetchone()
    if row is None:
        raise ApiError(404, f"No batch found with id '{batch_id}'.", param="batch_id", code="not_found")
    return row


def to_do(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    """The batches that have not ended, the oldest first."""
    return connection.execute(
        "SELECT * FROM batches WHERE status IN ('validating', 'in_progress', 'finalizing', 'cancelling') ORDER BY id"
    ).fetchall()


def show(row: sqlite3.Row) -> dict[str, Any]:
    """OpenAI's `batch` object; what does not apply is left out, since its specification knows no null there."""
    errors = {"errors": {"object": "list", "data": json.loads(row["errors"])}} if row["errors"] else {}
    return {
        "id": row["id"],
        "object": "batch",
        "endpoint": row["endpoint"],
        "input_file_id": row["input_file_id"],
        "completion_window": row["completion_window"],
        "status": row["status"],
        "created_at": row["created_at"],
        "expires_at": row["expires_at"],
        **{name: row[name] for name in _OPTIONAL if row[name] is not None},
        **errors,
        "request_counts": {name: row[name] for name in ("total", "completed", "failed")},
        "usage": {
            "input_tokens": row["input_tokens"],
            "input_tokens_details": {"cached_tokens": row["cached_tokens"]},
            "output_tokens": row["output_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": row["input_tokens"] + row["output_tokens"],
        },
        "metadata": json.loads(row["metadata"]) if row["metadata"] else None,
    }


def move(connection: sqlite3.Connection, batch_id: str, status: str, *only_from: str, **columns: Any) -> bool:
    """Give a batch another status, with the time of it, if it has one of those given; says whether it had."""
    stamp = {} if status == "validating" else {f"{status}_at": int(time.time())}
    values = {"status": status, **stamp, **columns}
    sets = ", ".join(f"{column} = ?" for column in values)
    marks = ", ".join("?" * len(only_from))
    cursor = connection.execute(
        f"UPDATE batches SET {sets} WHERE id = ? AND status IN ({marks})",  # noqa: S608 - names from the code
        [*values.values(), batch_id, *only_from],
    )
    return cursor.rowcount == 1


def fail(connection: sqlite3.Connection, batch_id: str, problems: list[Problem], **columns: Any) -> None:
    """End a batch whose file cannot be asked."""
    errors = json.dumps([problem.show() for problem in problems])
    move(connection, batch_id, "failed", "validating", "in_progress", "finalizing", errors=errors, **columns)


def keep(connection: sqlite3.Connection, batch_id: str, result: Result) -> bool:
    """Write a result, if its batch is still in progress; says whether it is."""
    cursor = connection.execute(
        "INSERT OR IGNORE INTO batch_results (batch_id, line, succeeded, object) "
        "SELECT id, ?, ?, ? FROM batches WHERE id = ? AND status = 'in_progress'",
        # As ASCII, since there are characters that some programs take for the end of a line.
        [result.line, result.succeeded, json.dumps(result.object), batch_id],
    )
    if cursor.rowcount != 1:
        return False
    connection.execute(
        "UPDATE batches SET completed = completed + ?, failed = failed + ?, input_tokens = input_tokens + ?, "
        "cached_tokens = cached_tokens + ?, output_tokens = output_tokens + ? WHERE id = ?",
        [result.succeeded, not result.succeeded, *result.usage, batch_id],
    )
    return True


def answered(connection: sqlite3.Connection, batch_id: str) -> set[int]:
    """The lines of the input file that have their results."""
    rows = connection.execute("SELECT line FROM batch_results WHERE batch_id = ?", [batch_id])
    return {row["line"] for row in rows}


def results(
    connection: sqlite3.Connection, batch_id: str, *, succeeded: bool, after: int, most: int
) -> list[sqlite3.Row]:
    """Some results, in the order in which they came; `after`: the `number` of the last one that is known."""
    return connection.execute(
        "SELECT number, object FROM batch_results WHERE batch_id = ? AND succeeded = ? AND number > ? "
        "ORDER BY number LIMIT ?",
        [batch_id, succeeded, after, most],
    ).fetchall()


def forget(connection: sqlite3.Connection, batch_id: str) -> None:
    """Remove the results of a batch whose files are made."""
    connection.execute("DELETE FROM batch_results WHERE batch_id = ?", [batch_id])
