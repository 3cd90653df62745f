"""Write answers into the completion store from a thread of its own.

Rows that come together while one commit is under way go into the next one, so that many writers cost few commits,
and neither a slow disk nor another process that writes stops whoever asks.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from distill.models.database import StoreError, connect, explained

_TOGETHER = 500
_INSERT = """
INSERT INTO completions (key, created, origin, model, messages, parameters, sample, metadata,
                         text, finish_reason, prompt_tokens, completion_tokens, latency, id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING
"""


class Writer:
    """The thread and its connection. Raises `StoreError` when the store cannot be opened for writing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[tuple[tuple[Any, ...], Future[None]] | None] = queue.SimpleQueue()
        self._submitting = threading.Lock()
        self._closed = False
        try:
            self._connection = connect(path)
        except sqlite3.Error as error:
            raise explained(path, error) from None
        self._thread = threading.Thread(target=self._work, name="completion-store", daemon=True)
        self._thread.start()

    def submit(self, row: tuple[Any, ...]) -> Future[None]:
        """Write a row; the future is done when it is committed, and fails with `StoreError`."""
        committed: Future[None] = Future()
        with self._submitting:
            if self._closed:
                committed.set_exception(StoreError(f"The completion store {self._path} is closed."))
            else:
                self._queue.put((row, committed))
        return committed

    def close(self) -> None:
        """Return when everything submitted has been committed."""
        with self._submitting:
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            ended = False
            while len(batch) < _TOGETHER and not ended:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    ended = True
                else:
                    batch.append(following)
            error = self._commit([row for row, _ in batch])
            for _, committed in batch:
                if not committed.set_running_or_notify_cancel():
                    continue
                if error is None:
                    committed.set_result(None)
                else:
                    committed.set_exception(error)
            if ended:
                return

    def _commit(self, rows: list[tuple[Any, ...]]) -> StoreError | None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, rows)
            connection.execute("COMMIT")
        except Exception as error:  # whatever it is, it goes to those who wait, and the thread goes on
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.rollback()
            if isinstance(error, sqlite3.Error):
                return explained(self._path, error)
            return StoreError(f"An answer cannot be stored in {self._path}: {error}.")
        return None
