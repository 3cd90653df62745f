"""The platform's memory: one SQLite file that several requests, and several processes, read and write at once.

In: functions of a connection. Out: what they return, once what they wrote is on the disk. Whatever SQLite cannot do is
an `ApiError` in the 500s, so that a client tries again or says why.

- One thread writes. Writes that wait share one transaction, so that hundreds of them cost one flush of the disk; each
  runs in a savepoint of its own, and one that fails takes nothing else with it.
- A few threads read, each with its own connection, and none of them waits for the writer.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from distill.server.errors import ApiError

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Result]

VERSION = 1
"""Of the tables' shape; a file that a later version wrote is refused and left alone."""

_MOST_TOGETHER = 512  # writes in one transaction
_READERS = 4


class DataFolderError(Exception):
    """The data folder cannot be used; the sentence says why."""


@dataclass(slots=True)
class _Write:
    work: Callable[[sqlite3.Connection], Any]
    outcome: Future[Any]


class Database:
    """Opens or creates the file. Raises `DataFolderError` when it cannot be."""

    def __init__(self, path: Path, schema: Sequence[str], *, patience: float = 5.0) -> None:
        """`schema`: statements that create what is not there yet. `patience`: seconds to wait for another program."""
        self.path = path
        self._patience = patience
        self._connections: list[sqlite3.Connection] = []
        self._mine = threading.local()
        self._closed = False
        try:
            # Two processes that create the file at the same moment would refuse each other.
            with FileLock(path.with_name(f"{path.name}.lock"), timeout=patience):
                self._writing = self._connect()
                _prepare(self._writing, schema)
        except (sqlite3.Error, OSError) as error:
            self._close_connections()
            raise DataFolderError(f"The database {path} cannot be opened: {error}.") from None
        except DataFolderError:
            self._close_connections()
            raise
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="database-writer", daemon=True)
        self._writer.start()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="database-reader")

    async def write(self, work: Work[Result]) -> Result:
        """What `work` returns, after what it wrote is on the disk.

        It does nothing but use its connection: it may be run again when a transaction shared with others fails.
        Raises what it raises, and `ApiError`.
        """
        self._refuse_when_closed()
        outcome: Future[Result] = Future()
        self._writes.put(_Write(work, outcome))
        return await asyncio.wrap_future(outcome)

    async def read(self, work: Work[Result]) -> Result:
        """What `work` returns; everything that it reads is of one moment. Raises what it raises, and `ApiError`."""
        self._refuse_when_closed()
        return await asyncio.wrap_future(self._readers.submit(self._read, work))

    def close(self) -> None:
        """Finish what was asked so far and close the file; what is asked later is refused."""
        self._closed = True
        self._writes.put(None)
        self._writer.join()
        self._readers.shutdown()
        self._close_connections()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise ApiError(503, "The platform is shutting down.", code="shutting_down")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=self._patience, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        self._connections.append(connection)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _close_connections(self) -> None:
        while self._connections:
            self._connections.pop().close()

    def _read(self, work: Work[Result]) -> Result:
        try:
            connection = getattr(self._mine, "connection", None)
            if connection is None:
                connection = self._mine.connection = self._connect()
                connection.execute("PRAGMA query_only = ON")
            with _transaction(connection, "DEFERRED"):
                return work(connection)
        except sqlite3.DatabaseError as error:
            raise _failure(error) from error

    def _write_all(self) -> None:
        """The writer's thread: take what waits, write it, and only then say so."""
        while True:
            first = self._writes.get()
            if first is None:
                return
            batch, ended = [first], False
            with contextlib.suppress(queue.Empty):
                while len(batch) < _MOST_TOGETHER:
                    write = self._writes.get_nowait()
                    if write is None:
                        ended = True
                        break
                    batch.append(write)
            # A write whose caller has gone before it began is not begun.
            self._write_batch([write for write in batch if write.outcome.set_running_or_notify_cancel()])
            if ended:
                return

    def _write_batch(self, batch: list[_Write]) -> None:
        results: list[tuple[_Write, Any, BaseException | None]] = []
        try:
            with _transaction(self._writing, "IMMEDIATE"):
                for write in batch:
                    results.append((write, *_in_savepoint(self._writing, write.work)))
        except sqlite3.DatabaseError as error:
            # Nothing of it was kept. What failed for one reason may fail for one write only: try each by itself. But
            # whoever holds the lock holds it for all of them.
            if len(batch) > 1 and not _is_locked(error):
                for write in batch:
                    self._write_batch([write])
            else:
                for write in batch:
                    write.outcome.set_exception(_failure(error))
            return
        except Exception as error:  # whatever it is, nobody must wait forever, and the next write goes on
            for write in batch:
                write.outcome.set_exception(error)
            return
        for write, result, problem in results:
            if problem is None:
                write.outcome.set_result(result)
            else:
                write.outcome.set_exception(problem)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # SQLite has ended it itself where the disk is full
            connection.execute("ROLLBACK")


def _in_savepoint(connection: sqlite3.Connection, work: Work[Any]) -> tuple[Any, BaseException | None]:
    """What `work` returned, or what it raised after its part was undone. Raises when the whole transaction is lost."""
    connection.execute("SAVEPOINT one")
    try:
        result, problem = work(connection), None
    except Exception as error:
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.IntegrityError):
            raise
        result, problem = None, error
        connection.execute("ROLLBACK TO one")
    connection.execute("RELEASE one")
    return result, problem


def _prepare(connection: sqlite3.Connection, schema: Sequence[str]) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise DataFolderError(
            "The data folder was written by a later version of this program; use that one, or another data folder."
        )
    for statements in schema:
        connection.executescript(statements)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _is_locked(error: sqlite3.DatabaseError) -> bool:
    return _primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _primary(error: sqlite3.DatabaseError) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _failure(error: sqlite3.DatabaseError) -> Exception:
    """What the client is told. A mistake in the code stays what it is, and is logged as such."""
    if _is_locked(error):
        message = "The platform's database is locked by another program; try again when that has ended."
        return ApiError(503, message, code="database_locked")
    if _primary(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        message = f"The platform could not write to its data folder ({error}); is the disk full?"
        return ApiError(507, message, code="disk_full")
    if isinstance(error, (sqlite3.IntegrityError, sqlite3.ProgrammingError)):
        return error
    return ApiError(500, f"The platform's database failed: {error}.", code="database_error")
