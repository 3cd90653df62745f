"""The work of batches: their files are checked, their requests asked many at a time, their results written to files.

In: a platform. Out: batches that end. Of all the servers on one data folder the one that holds the lock does this;
another takes over when that one ends. Everything it knows is in the database: a batch that a killed server left goes on
when the next one starts, and what was answered is not asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

from filelock import FileLock

from distill.server.batches import records
from distill.server.batches.answers import answer, expired
from distill.server.batches.records import Result
from distill.server.batches.requests import Problem, Question, check_file, questions
from distill.server.batches.result_files import write_file
from distill.server.errors import ApiError
from distill.server.leading import LOOK_EVERY, become_the_one
from distill.server.platform import Platform

logger = logging.getLogger(__name__)

_AT_ONCE = 32  # requests of all batches together


class _Gone(Exception):
    """The batch is no longer to be worked on: it was canceled."""


class Runner:
    """Runs from `start` to `stop`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = FileLock(platform.data / "batches.lock")
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._canceled: set[str] = set()
        self._news = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._running = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Something has changed in the database: look now."""
        self._news.set()

    async def stop(self) -> None:
        """Abandon what is being answered; the batches stay as they are and go on at the next start."""
        tasks = [*([self._running] if self._running else []), *self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lock.release()

    async def _run(self) -> None:
        await become_the_one(self._lock)
        while True:
            self._news.clear()
            try:
                await self._look()
            except ApiError as error:  # the disk or the database is in trouble, which may pass
                logger.warning("the batches could not be worked on: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), LOOK_EVERY)

    async def _look(self) -> None:
        for row in await self._platform.database.read(records.to_do):
            if row["id"] not in self._tasks:
                self._begin(row)
            elif row["status"] == "cancelling" and row["id"] not in self._canceled:
                self._canceled.add(row["id"])
                self._tasks[row["id"]].cancel()  # what is left to do is done in a task of its own

    def _begin(self, row: sqlite3.Row) -> None:
        task = asyncio.create_task(self._work(row))
        self._tasks[row["id"]] = task
        if row["status"] == "cancelling":
            self._canceled.add(row["id"])

        def end(_task: asyncio.Task[None]) -> None:
            del self._tasks[row["id"]]
            self._canceled.discard(row["id"])
            self.wake()

        task.add_done_callback(end)

    async def _work(self, row: sqlite3.Row) -> None:
        """Take a batch one status further."""
        try:
            match row["status"]:
                case "validating":
                    await self._validate(row)
                case "in_progress":
                    await self._answer(row)
                case "finalizing":
                    await self._end(row, "completed", "finalizing")
                case "cancelling":
                    await self._end(row, "cancelled", "cancelling")
        except _Gone:
            pass
        except (ApiError, OSError) as error:
            logger.warning("the batch %s is tried again: %s", row["id"], error)
            await asyncio.sleep(LOOK_EVERY)
        except Exception:
            logger.exception("the batch %s ended unexpectedly", row["id"])
            problem = Problem("server_error", "The server had an error while running the batch.")
            with contextlib.suppress(ApiError):  # then it is tried again
                await self._platform.database.write(lambda connection: records.fail(connection, row["id"], [problem]))

    async def _validate(self, row: sqlite3.Row) -> None:
        database = self._platform.database
        try:
            await self._platform.files.object(row["input_file_id"])
            summary = await asyncio.to_thread(check_file, self._platform.files.path(row["input_file_id"]))
        except (ApiError, FileNotFoundError) as error:
            if isinstance(error, ApiError) and error.status != 404:
                raise
            return await database.write(lambda connection: records.fail(connection, row["id"], [_no_file(row)]))
        for model, line in summary.models.items():
            try:
                await self._platform.catalog.retrieve(model)
            except ApiError as error:
                if error.status != 404:
                    raise
                summary.problems.append(Problem("model_not_found", error.message, "body.model", line))
        if summary.problems:
            problems = sorted(summary.problems, key=lambda problem: problem.line or 0)
            await database.write(
                lambda connection: records.fail(connection, row["id"], problems, total=summary.requests)
            )
        else:
            columns = {"total": summary.requests, "model": next(iter(summary.models))}
            await database.write(
                lambda connection: records.move(connection, row["id"], "in_progress", "validating", **columns)
            )
        return None

    async def _answer(self, row: sqlite3.Row) -> None:
        done = await self._platform.database.read(lambda connection: records.answered(connection, row["id"]))
        path = self._platform.files.path(row["input_file_id"])
        try:
            waiting = (question for question in questions(path) if question.line not in done)
            left = row["expires_at"] - time.time()
            if left > 0:
                async with asyncio.timeout(left):
                    await self._ask_all(row["id"], waiting)
        except TimeoutError:
            left = 0
        except FileNotFoundError:
            problem = _no_file(row)
            await self._end(row, "failed", "in_progress", errors=json.dumps([problem.show()]))
            return
        if left > 0:
            await self._platform.database.write(
                lambda connection: records.move(connection, row["id"], "finalizing", "in_progress")
            )
            return
        done = await self._platform.database.read(lambda connection: records.answered(connection, row["id"]))
        for question in questions(path):
            if question.line not in done:
                await self._keep(row["id"], expired(question))
        await self._end(row, "expired", "in_progress")

    async def _ask_all(self, batch_id: str, waiting: Iterator[Question]) -> None:
        """Ask what waits, a few at a time. Raises `_Gone` when nobody wants the answers any more."""

        async def ask() -> None:
            for question in waiting:  # all of them take from the same
                async with self._gate:
                    result = await answer(self._platform, question)
                await self._keep(batch_id, result)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(ask())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _keep(self, batch_id: str, result: Result) -> None:
        """Write a result down, however long the disk takes to have room for it. Raises `_Gone`."""
        while True:
            try:
                if not await self._platform.database.write(lambda each: records.keep(each, batch_id, result)):
                    raise _Gone
                return
            except ApiError as error:
                logger.warning("an answer of the batch %s waits to be written: %s", batch_id, error)
                await asyncio.sleep(LOOK_EVERY)

    async def _end(self, row: sqlite3.Row, status: str, before: str, **columns: Any) -> None:
        """Write the files of what was answered, and give the batch its last status."""
        output = await write_file(self._platform, row, succeeded=True)
        errors = await write_file(self._platform, row, succeeded=False)

        def write(connection: sqlite3.Connection) -> None:
            if records.move(
                connection, row["id"], status, before, output_file_id=output, error_file_id=errors, **columns
            ):
                records.forget(connection, row["id"])

        await self._platform.database.write(write)


def _no_file(row: sqlite3.Row) -> Problem:
    return Problem("file_not_found", f"The input file {row['input_file_id']} does not exist any more.", "input_file_id")
