"""The runs: each a task of its own, whose items are asked and graded many at a time.

In: a run that is queued. Out: its items in the database, and its status. A run that a killed server left unfinished is
gone on with when one starts on the same data folder; items that were graded already are not asked again. Of several
servers on one data folder, one goes on with what others left.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
from typing import Any

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from distill.openai_graders import GraderInvalid, parse
from distill.server.database import Work
from distill.server.errors import ApiError
from distill.server.evals.items import Outcome, process
from distill.server.evals.records import UNFINISHED
from distill.server.evals.requests import DataSource
from distill.server.evals.sources import Row, SourceBroken, check_rows, rows_of
from distill.server.platform import Platform

logger = logging.getLogger(__name__)

_AT_ONCE = 32
_DATA_SOURCE: TypeAdapter[DataSource] = TypeAdapter(DataSource)


class Runner:
    """The runs of one server. `resume` takes up what was left; `stop` leaves what is not done for the next start."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._lock = FileLock(platform.data / "evals.lock")

    async def resume(self) -> None:
        """Go on with unfinished runs, unless another server on this data folder does."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return
        for run_id in await self._platform.database.read(_unfinished):
            self.begin(run_id)

    def begin(self, run_id: str) -> None:
        """Run it, without waiting for it."""
        task = asyncio.create_task(self._run(run_id))
        self._tasks[run_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(run_id, None))

    def cancel(self, run_id: str) -> None:
        """Stop working on it, if it is worked on here; its status is the caller's."""
        if run_id in self._tasks:
            self._tasks[run_id].cancel()

    async def stop(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lock.release()

    async def _run(self, run_id: str) -> None:
        try:
            await self._work(run_id)
        except (SourceBroken, GraderInvalid) as error:
            await self._end(run_id, "failed", {"code": "invalid_data_source", "message": str(error)})
        except ApiError as error:
            await self._end(run_id, "failed", {"code": error.code or "server_error", "message": error.message})
        except Exception:
            logger.exception("a run of an eval failed unexpectedly")
            await self._end(run_id, "failed", {"code": "server_error", "message": "The server had an error."})

    async def _work(self, run_id: str) -> None:
        database = self._platform.database
        run = await database.write(lambda connection: _started(connection, run_id))
        if run is None:
            return
        source = _DATA_SOURCE.validate_python(json.loads(run["data_source"]), strict=True)
        graders = [parse(each) for each in json.loads(run["criteria"])]
        rows = await rows_of(self._platform, source.source)
        if not rows:
            raise SourceBroken("the data source holds no items")
        config = json.loads(run["config"])
        if config["type"] == "custom":
            check_rows(rows, config["schema"]["properties"]["item"])
        done = await database.read(lambda connection: _done(connection, run_id))
        ids = {"run_id": run_id, "eval_id": run["eval_id"]}

        async def one(row: Row) -> None:
            async with self._gate:
                outcome = await process(self._platform, ids, source, graders, row)
                if not await database.write(_keeping(run_id, row.number, outcome)):
                    raise asyncio.CancelledError  # canceled or deleted, perhaps by another server

        async with _all_or_none() as group:
            for row in rows:
                if row.number not in done:
                    group.create_task(one(row))
        await self._end(run_id, "completed", None)

    async def _end(self, run_id: str, status: str, error: dict[str, str] | None) -> None:
        with contextlib.suppress(ApiError):  # it stays unfinished, and the next start goes on with it
            await self._platform.database.write(_ending(run_id, status, error))


@contextlib.asynccontextmanager
async def _all_or_none() -> Any:
    """A task group whose failure is that of its first task."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _unfinished(connection: sqlite3.Connection) -> list[str]:
    marks = ", ".join("?" * len(UNFINISHED))
    rows = connection.execute(f"SELECT id FROM eval_runs WHERE status IN ({marks}) ORDER BY id", UNFINISHED)  # noqa: S608
    return [row["id"] for row in rows]


def _started(connection: sqlite3.Connection, run_id: str) -> sqlite3.Row | None:
    """The run with its eval's criteria, from now on in progress; None when it is not to be run any more."""
    connection.execute("UPDATE eval_runs SET status = 'in_progress' WHERE id = ? AND status = 'queued'", [run_id])
    row: sqlite3.Row | None = connection.execute(
        "SELECT r.*, e.criteria, e.config FROM eval_runs AS r JOIN evals AS e ON e.id = r.eval_id "
        "WHERE r.id = ? AND r.status = 'in_progress'",
        [run_id],
    ).fetchone()
    return row


def _done(connection: sqlite3.Connection, run_id: str) -> set[int]:
    return {row["number"] for row in connection.execute("SELECT number FROM eval_items WHERE run_id = ?", [run_id])}


def _keeping(run_id: str, number: int, outcome: Outcome) -> Work[bool]:
    """Writes an item, if its run is still in progress; says whether it is."""

    def write(connection: sqlite3.Connection) -> bool:
        cursor = connection.execute(
            "INSERT OR IGNORE INTO eval_items (id, run_id, number, status, results, object) "
            "SELECT ?, id, ?, ?, ?, ? FROM eval_runs WHERE id = ? AND status = 'in_progress'",
            [outcome.id, number, outcome.status, json.dumps(outcome.results), json.dumps(outcome.object), run_id],
        )
        return cursor.rowcount == 1

    return write


def _ending(run_id: str, status: str, error: dict[str, str] | None) -> Work[None]:
    def write(connection: sqlite3.Connection) -> None:
        connection.execute(
            "UPDATE eval_runs SET status = ?, error = ? WHERE id = ? AND status IN ('queued', 'in_progress')",
            [status, json.dumps(error) if error else None, run_id],
        )

    return write
