"""One turn of one job: from the queue to its end, or to where it was stopped.

In: a job that is to run. Out: nothing but what is in the database, the data folder and the catalog afterwards. A turn
ends when the job has ended, when it was paused or canceled, when the server stops, or when the trainer crashed; in the
last two cases the job stays `running`, and another turn goes on from its last checkpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distill.server.errors import ApiError
from distill.server.jobs import progress, records, results, trainer_process, trainer_reports
from distill.server.jobs.records import Event, Job
from distill.server.jobs.trainer_process import TrainerProcess
from distill.server.jobs.trainer_reports import Checkpointed
from distill.server.platform import Platform
from distill.server.settings import ModelFiles

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.25  # seconds between two looks at the trainer and at what the job's owner wants
_GRACE = 60.0  # seconds for a last checkpoint before the trainer is killed
_GRACE_WHEN_DONE = 10.0
_BACK_OFF = 1.0
_RESULTS = "fine-tune-results"
_CRASHED, _NO_MEMORY = "trainer_crashed", "out_of_memory"


class Attempt:
    """`run` does all of it. `stopping` says whether the server is about to end."""

    def __init__(self, platform: Platform, job: Job, stopping: Callable[[], bool]) -> None:
        self._platform = platform
        self._database = platform.database
        self._job = job
        self._stopping = stopping
        self._folder = platform.data / "jobs" / job.id
        self._trainer: TrainerProcess | None = None

    async def run(self) -> None:
        """Raises `ApiError` when the database or the disk is in trouble; the job is then tried again later."""
        started = await self._database.write(lambda connection: _begin(connection, self._job.id))
        if started is None:
            return
        self._job = started
        try:
            if self._job.outcome is None:
                await self._train()
            if self._goes_on and self._job.outcome is not None:
                await self._finish(self._job.outcome)
        finally:
            if self._trainer is not None:
                self._trainer.close()
        if self._job.ended:
            await asyncio.to_thread(results.tidy, self._folder)

    @property
    def _goes_on(self) -> bool:
        return self._job.status == "running" and not self._job.paused and not self._stopping()

    async def _train(self) -> None:
        """Run the trainer until it has ended, which it is asked to when the job is no longer to run."""
        self._trainer = TrainerProcess(self._folder, self._platform.settings.jobs.trainer)
        while not await self._started(self._trainer):
            await asyncio.sleep(LOOK_EVERY)
            await self._refresh()
            if not self._goes_on:
                return
        while True:
            status = self._trainer.status  # before the reports are read, so that none can come after
            await self._take_reports()
            await self._refresh()
            if status is not None:
                break
            if self._job.ended or self._job.outcome is not None:
                self._trainer.stop(_GRACE_WHEN_DONE)
            elif not self._goes_on:
                self._trainer.stop(_GRACE)
            await asyncio.sleep(LOOK_EVERY)
        if self._goes_on and self._job.outcome is None:
            last_words = await asyncio.to_thread(trainer_process.end_of_log, self._folder)
            await self._crashed(_ending(status, last_words), _NO_MEMORY if status == -signal.SIGKILL else _CRASHED)

    async def _started(self, trainer: TrainerProcess) -> bool:
        try:
            return trainer.start()
        except OSError as error:
            await self._crashed(f"It could not be started: {error.strerror or error}.", _CRASHED)
            await self._refresh()
            return False

    async def _refresh(self) -> None:
        self._job = await self._database.read(lambda connection: _known(connection, self._job.id))

    async def _take_reports(self) -> None:
        id = self._job.id
        while True:
            start = self._job.taken
            lines, end = await asyncio.to_thread(trainer_process.lines, self._folder, start)
            if end == start:
                return
            reports = [report for line in lines if (report := trainer_reports.read(line)) is not None]
            models = await self._keep_checkpoints(reports)

            def take(
                connection: sqlite3.Connection,
                reports: list[trainer_reports.Report] = reports,
                models: dict[int, str] = models,
                start: int = start,
                end: int = end,
            ) -> Job | None:
                return progress.take(connection, id, reports, start=start, end=end, models=models)

            taken = await self._database.write(take)
            if taken is None:  # the job was canceled: what it did afterwards does not count
                for step, name in models.items():
                    await self._discard(f"{id}-step-{step}", name)
                return
            self._job = taken

    async def _keep_checkpoints(self, reports: list[trainer_reports.Report]) -> dict[int, str]:
        """The names of new models, by their step. A trainer that goes on reports its earlier checkpoints again."""
        id = self._job.id
        new = [report for report in reports if isinstance(report, Checkpointed)]
        known = await self._database.read(lambda connection: records.checkpoint_steps(connection, id)) if new else set()
        models = {}
        for report in new:
            if report.step in known:
                continue
            name = f"{self._job.target}:ckpt-step-{report.step}"
            try:
                await self._keep(f"{id}-step-{report.step}", name, report.folder)
            except OSError as error:
                logger.warning("the checkpoint %s could not be kept: %s", name, error)
            else:
                models[report.step] = name
        return models

    async def _keep(self, folder: str, name: str, checkpoint: str) -> None:
        """A model of its own from a checkpoint, served from now on."""
        models = self._platform.data / "models"
        kept = await asyncio.to_thread(results.keep_model, models, folder, name, self._job, self._folder, checkpoint)
        gguf = kept / results.BASE if self._job.base.gguf is None else Path(self._job.base.gguf)
        self._platform.catalog.add(name, ModelFiles(gguf=gguf, adapters=(kept / results.ADAPTER,)))

    async def _finish(self, outcome: dict[str, Any]) -> None:
        try:
            await self._keep(self._job.id, self._job.target, outcome["folder"])
        except OSError as error:
            reason = error.strerror or str(error)
            await self._fail("model_not_kept", f"The trained model could not be kept: {reason}.", None)
            return
        result_file = await self._write_metrics()
        job = await self._database.write(
            lambda connection: _succeed(connection, self._job, result_file, outcome["trained_tokens"])
        )
        if job is None:  # it was canceled or paused
            await self._discard(self._job.id, self._job.target)
        await self._refresh()

    async def _discard(self, folder: str, name: str) -> None:
        await asyncio.to_thread(results.drop_model, self._platform.data / "models" / folder)
        with contextlib.suppress(ApiError):  # it was never served
            self._platform.catalog.remove(name)

    async def _write_metrics(self) -> str:
        name = f"step_metrics_{self._job.id}.csv"
        known = await self._database.read(lambda connection: _file_named(connection, name))
        if known is not None:
            return known
        steps = await self._database.read(lambda connection: records.metrics(connection, self._job.id))
        made = await self._platform.files.create(name, _RESULTS, results.metrics_file(steps))
        return str(made["id"])

    async def _crashed(self, reason: str, code: str) -> None:
        id, retries = self._job.id, self._platform.settings.jobs.retries
        self._job = await self._database.write(lambda connection: _count_crash(connection, id, reason, code, retries))
        if not self._job.ended:
            await asyncio.sleep(_BACK_OFF)

    async def _fail(self, code: str, message: str, param: str | None) -> None:
        await self._database.write(lambda connection: records.fail(connection, self._job.id, code, message, param))
        await self._refresh()


def _begin(connection: sqlite3.Connection, id: str) -> Job | None:
    job = records.find(connection, id)
    if job is None or job.paused:
        return None
    event = Event(message="Fine-tuning job started.", once="started")
    return records.change(
        connection,
        id,
        event,
        only_from=("queued", "running"),
        status="running",
        started_at=None,
        started_step=None,
        estimated_finish=None,
    )


def _known(connection: sqlite3.Connection, id: str) -> Job:
    job = records.find(connection, id)
    assert job is not None  # noqa: S101 - jobs are never deleted
    return job


def _succeed(connection: sqlite3.Connection, job: Job, result_file: str, trained_tokens: int) -> Job | None:
    return records.change(
        connection,
        job.id,
        Event(message=f"New fine-tuned model created: {job.target}", data={"fine_tuned_model": job.target}),
        Event(message="The job has successfully completed."),
        only_from=("running",),
        status="succeeded",
        result_file=result_file,
        trained_tokens=trained_tokens,
        finished_at=int(time.time()),
        estimated_finish=None,
    )


def _count_crash(connection: sqlite3.Connection, id: str, reason: str, code: str, retries: int) -> Job:
    job = _known(connection, id)
    crashes = job.crashes + 1
    if crashes > retries:
        times = "once" if crashes == 1 else f"{crashes} times in a row"
        records.fail(connection, id, code, f"The trainer ended unexpectedly {times}. {reason}")
    else:
        message = f"The trainer ended unexpectedly and is started again from its last checkpoint. {reason}"
        event = Event(message=message, level="warn", data={"crash": crashes, "retries": retries})
        records.change(connection, id, event, only_from=("running",), crashes=crashes)
    return _known(connection, id)


def _ending(status: int, last_words: str) -> str:
    if status == -signal.SIGKILL:
        return (
            "It was killed, which the system does to a program when memory runs out. A smaller batch_size, shorter "
            "examples or a smaller base model need less."
        )
    how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
    return f"It ended {how}" + (f", saying: {last_words}" if last_words else ".")


def _file_named(connection: sqlite3.Connection, name: str) -> str | None:
    statement = "SELECT id FROM files WHERE purpose = ? AND filename = ?"
    row = connection.execute(statement, (_RESULTS, name)).fetchone()
    return None if row is None else str(row["id"])
