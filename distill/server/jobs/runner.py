"""The queue: whose turn it is, and nobody's twice.

In: a platform. Out: jobs that are validated, trained and finished, one at a time unless the settings say otherwise, in
the order in which they were made. Of all the servers on one data folder the one that holds the lock does this; another
takes over when that one ends. Everything it knows is in the database: what was running when a server was killed runs
on when the next one starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from pathlib import Path

from filelock import FileLock

from distill.server.errors import ApiError
from distill.server.jobs import records, results
from distill.server.jobs.attempt import Attempt
from distill.server.jobs.preparation import prepare
from distill.server.jobs.records import Event, Job
from distill.server.leading import LOOK_EVERY, become_the_one
from distill.server.platform import Platform
from distill.training_files import TrainingFileError

logger = logging.getLogger(__name__)

_GRACE = 3.0  # seconds for trainers to write a checkpoint before the server goes; they may take longer on their own


class Runner:
    """Runs from `start` to `stop`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = FileLock(platform.data / "jobs" / "runner.lock")
        self._turns: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._stopping = False
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._platform.settings.jobs.at_once:
            self._running = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Something has changed in the database: look now."""
        self._news.set()

    async def stop(self) -> None:
        """Ask the trainers to write a checkpoint and end; the jobs stay as they are and go on at the next start."""
        self._stopping = True
        self.wake()
        if self._turns:
            await asyncio.wait(self._turns.values(), timeout=_GRACE)
        tasks = [*self._turns.values(), *([self._running] if self._running else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lock.release()

    async def _run(self) -> None:
        await become_the_one(self._lock)
        await self._tidy()
        while not self._stopping:
            try:
                await self._look()
            except Exception as error:  # the disk or the database is in trouble, which may pass
                logger.warning("the queue of fine-tuning jobs could not be worked on: %s", error)
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), LOOK_EVERY)

    async def _tidy(self) -> None:
        """Remove what the jobs that have ended left, where the server was killed before it could."""
        for folder in (self._platform.data / "jobs").iterdir():
            job = await self._find(folder.name)
            if job is not None and job.ended:
                await asyncio.to_thread(results.tidy, folder)

    async def _find(self, id: str) -> Job | None:
        return await self._platform.database.read(lambda connection: records.find(connection, id))

    async def _look(self) -> None:
        for job in await self._platform.database.read(records.to_do):
            if job.status == "validating_files":
                await self._validate(job)
        for job in await self._platform.database.read(records.to_do):
            if len(self._turns) >= self._platform.settings.jobs.at_once or self._stopping:
                return
            if job.status != "validating_files" and job.id not in self._turns:
                self._turns[job.id] = asyncio.create_task(self._take_turn(job))

    async def _take_turn(self, job: Job) -> None:
        try:
            await Attempt(self._platform, job, lambda: self._stopping).run()
        except (ApiError, OSError) as error:
            logger.warning("the fine-tuning job %s is tried again: %s", job.id, error)
            await asyncio.sleep(LOOK_EVERY)
        except Exception as error:
            logger.exception("the fine-tuning job %s ended unexpectedly", job.id)
            message = f"The platform had an error while running the job ({type(error).__name__})."
            with contextlib.suppress(ApiError):  # then it is tried again
                await self._fail(job, "server_error", message, None)
        finally:
            del self._turns[job.id]
            self.wake()

    async def _validate(self, job: Job) -> None:
        try:
            await asyncio.to_thread(prepare, self._platform, job)
        except TrainingFileError as error:
            await self._fail(job, error.code, error.message, error.param)
        except OSError as error:
            reason = error.strerror or str(error)
            await self._fail(job, "storage_error", f"The job's files could not be kept: {reason}.", None)
        else:
            await self._platform.database.write(lambda connection: _queue(connection, job))

    async def _fail(self, job: Job, code: str, message: str, param: str | None) -> None:
        await self._platform.database.write(lambda connection: records.fail(connection, job.id, code, message, param))
        await asyncio.to_thread(results.tidy, self._folder(job))

    def _folder(self, job: Job) -> Path:
        return self._platform.data / "jobs" / job.id


def _queue(connection: sqlite3.Connection, job: Job) -> Job | None:
    event = Event(message="Files validated, moving job to queued state.", once="queued")
    return records.change(connection, job.id, event, only_from=("validating_files",), status="queued")
