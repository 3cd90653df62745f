"""What is known of evals, their runs and the items of a run, and how it is shown.

In: a connection of the platform's database. Out: OpenAI's objects: `eval`, `eval.run`, `eval.run.output_item`. An item
is written once, when it has been graded, and a run's counts follow from its items: a server that was killed in the
middle of a run finds there what it has done.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from distill.server.errors import ApiError

SCHEMA = """
CREATE TABLE IF NOT EXISTS evals (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    config TEXT NOT NULL,
    criteria TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS eval_runs (
    id TEXT PRIMARY KEY,
    eval_id TEXT NOT NULL REFERENCES evals (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    model TEXT NOT NULL,
    status TEXT NOT NULL,
    data_source TEXT NOT NULL,
    metadata TEXT NOT NULL,
    error TEXT,
    created_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS eval_runs_by_eval ON eval_runs (eval_id, id);
CREATE TABLE IF NOT EXISTS eval_items (
    id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES eval_runs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    status TEXT NOT NULL,
    results TEXT NOT NULL,
    object TEXT NOT NULL,
    UNIQUE (run_id, number)
);
CREATE INDEX IF NOT EXISTS eval_items_by_run ON eval_items (run_id, id);
CREATE INDEX IF NOT EXISTS eval_items_by_status ON eval_items (run_id, status, id);
"""

UNFINISHED = ("queued", "in_progress")


def find_eval(connection: sqlite3.Connection, eval_id: str) -> sqlite3.Row:
    """Raises `ApiError` (404)."""
    row: sqlite3.Row | None = connection.execute("SELECT * FROM evals WHERE id = ?", [eval_id]).fetchone()
    if row is None:
        raise ApiError(404, f"No such eval: {eval_id}", param="eval_id", code="not_found")
    return row


def find_run(connection: sqlite3.Connection, eval_id: str, run_id: str) -> sqlite3.Row:
    """Raises `ApiError` (404)."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM eval_runs WHERE id = ? AND eval_id = ?", [run_id, eval_id]
    ).fetchone()
    if row is None:
        raise ApiError(404, f"No such run of the eval {eval_id}: {run_id}", param="run_id", code="not_found")
    return row


def find_item(connection: sqlite3.Connection, run_id: str, item_id: str) -> sqlite3.Row:
    """Raises `ApiError` (404)."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM eval_items WHERE id = ? AND run_id = ?", [item_id, run_id]
    ).fetchone()
    if row is None:
        message = f"No such output item of the run {run_id}: {item_id}"
        raise ApiError(404, message, param="output_item_id", code="not_found")
    return row


def insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    """`table` and the columns come from the code; what a client sent is in the values."""
    marks = ", ".join(f":{column}" for column in row)
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", row)  # noqa: S608


def show_eval(row: sqlite3.Row | Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's `eval` object."""
    return {
        "object": "eval",
        "id": row["id"],
        "name": row["name"],
        "data_source_config": json.loads(row["config"]),
        "testing_criteria": json.loads(row["criteria"]),
        "metadata": json.loads(row["metadata"]),
        "created_at": row["created_at"],
    }


def show_run(connection: sqlite3.Connection, row: sqlite3.Row, address: str) -> dict[str, Any]:
    """OpenAI's `eval.run` object, with what its items come to so far. `address`: the platform's, for its client."""
    items = connection.execute("SELECT status, results, object FROM eval_items WHERE run_id = ?", [row["id"]])
    counts, criteria, usage = _summed(items.fetchall())
    total = sum(counts.values())
    error = json.loads(row["error"]) if row["error"] else None
    return {
        "object": "eval.run",
        "id": row["id"],
        "eval_id": row["eval_id"],
        "status": row["status"],
        "model": row["model"],
        "name": row["name"],
        "created_at": row["created_at"],
        "report_url": f"{address}/v1/evals/{row['eval_id']}/runs/{row['id']}/output_items",
        "result_counts": {
            "total": total,
            "errored": counts["error"],
            "failed": counts["fail"],
            "passed": counts["pass"],
        },
        "per_model_usage": usage,
        "per_testing_criteria_results": criteria,
        "data_source": json.loads(row["data_source"]),
        "metadata": json.loads(row["metadata"]),
        "error": error,
    }


def show_item(row: sqlite3.Row) -> dict[str, Any]:
    """OpenAI's `eval.run.output_item` object."""
    shown: dict[str, Any] = json.loads(row["object"])
    return shown


def _summed(
    rows: Sequence[sqlite3.Row],
) -> tuple[Counter[str], list[dict[str, Any]], list[dict[str, Any]]]:
    counts: Counter[str] = Counter()
    passed: dict[str, Counter[bool]] = defaultdict(Counter)
    usage: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[row["status"]] += 1
        for name, passes in json.loads(row["results"]):
            passed[name][passes] += 1
        sample = json.loads(row["object"])["sample"]
        if sample.get("model"):
            usage[sample["model"]].update({"invocation_count": 1, **sample["usage"]})
    criteria = [
        {"testing_criteria": name, "passed": found[True], "failed": found[False]} for name, found in passed.items()
    ]
    fields = ("invocation_count", "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens")
    models = [{"model_name": name, **{field: found[field] for field in fields}} for name, found in usage.items()]
    return counts, criteria, models
