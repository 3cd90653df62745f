"""Uploaded files: their bytes in the data folder, what is known about them in the database.

In: a name, a purpose, and bytes as they come. Out: OpenAI's file object, and a path to read from. A file appears under
its id only when all of it is on the disk; its row is written after that, and deleted before its bytes are. What a
program that was killed left in between belongs to no row and is removed at a later start.

A client's file name is a label and never part of a path.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from distill.server.database import Database
from distill.server.errors import ApiError
from distill.server.ids import new_id
from distill.server.pages import Page, select

SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY,
    filename TEXT NOT NULL,
    purpose TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    status TEXT NOT NULL,
    status_details TEXT
);
CREATE INDEX IF NOT EXISTS files_by_purpose ON files (purpose, id);
CREATE INDEX IF NOT EXISTS files_by_end ON files (expires_at) WHERE expires_at IS NOT NULL;
"""

Check = Callable[[Path], str | None]
"""Looks at a file that has been received and says what is wrong with it; called in a thread."""

_PARTIAL = ".partial-"
_ABANDONED_AFTER = 24 * 3600  # seconds; until then another process may still be writing it
_BLOCK = 1024 * 1024


@dataclass(slots=True)
class Partial:
    """A file that is being received."""

    path: Path
    output: IO[bytes]
    size: int = 0
    pending: bytearray = field(default_factory=bytearray)
    """Bytes that are not written yet: few enough for the memory, and enough to be worth a thread."""


class Files:
    """The files of one platform. `largest`: bytes that one of them may have."""

    def __init__(self, folder: Path, database: Database, *, largest: int) -> None:
        self._folder = folder
        self._database = database
        self._largest = largest

    async def create(
        self,
        filename: str,
        purpose: str,
        content: bytes | Iterable[bytes] | AsyncIterable[bytes],
        *,
        expires_after: int | None = None,
        check: Check | None = None,
    ) -> dict[str, Any]:
        """OpenAI's file object, once the file and its row are on the disk. Raises `ApiError`.

        `expires_after`: seconds after which it is deleted; None keeps it. `check`: says what is wrong with the content,
        if anything, which then is the object's status.
        """
        async with self.receive() as partial:
            async for block in _blocks(content):
                await self.append(partial, block)
            return await self.keep(partial, filename, purpose, expires_after=expires_after, check=check)

    @contextlib.asynccontextmanager
    async def receive(self) -> AsyncIterator[Partial]:
        """Somewhere to write a file that is removed again unless it is kept. Raises `ApiError`."""
        path = self._folder / f"{_PARTIAL}{new_id('file')}"
        with _on_disk():
            output = path.open("xb", buffering=0)
        try:
            yield Partial(path, output)
        finally:
            with contextlib.suppress(OSError):  # what could not be written has been reported
                output.close()
            path.unlink(missing_ok=True)

    async def append(self, partial: Partial, block: bytes) -> None:
        """Raises `ApiError` (413) when the file becomes larger than it may be."""
        partial.size += len(block)
        if partial.size > self._largest:
            message = f"The file is larger than {self._largest:,} bytes."
            raise ApiError(413, message, param="file", code="file_too_large")
        partial.pending += block
        if len(partial.pending) >= _BLOCK:
            await self._write(partial)

    async def keep(
        self,
        partial: Partial,
        filename: str,
        purpose: str,
        *,
        expires_after: int | None = None,
        check: Check | None = None,
    ) -> dict[str, Any]:
        """Give what was received its id, its name and its row. Raises `ApiError`."""
        await self._write(partial)
        with _on_disk():
            await asyncio.to_thread(os.fsync, partial.output.fileno())
        problem = await asyncio.to_thread(check, partial.path) if check else None
        file_id = new_id("file")
        created = int(time.time())
        row = {
            "id": file_id,
            "filename": filename,
            "purpose": purpose,
            "bytes": partial.size,
            "created_at": created,
            "expires_at": None if expires_after is None else created + expires_after,
            "status": "error" if problem else "processed",
            "status_details": problem,
        }
        target = self._folder / file_id
        with _on_disk():
            await asyncio.to_thread(_rename, partial.path, target)
        try:
            await self._database.write(lambda connection: _insert(connection, row))
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return _object(row)

    def path(self, file_id: str) -> Path:
        """Where the bytes of a file are that `object` knows."""
        return self._folder / file_id

    async def object(self, file_id: str) -> dict[str, Any]:
        """OpenAI's file object. Raises `ApiError` (404)."""
        return await self._database.read(lambda connection: _object(_find(connection, file_id)))

    async def list(self, page: Page, purpose: str | None = None) -> tuple[list[dict[str, Any]], bool]:
        """A page of file objects, and whether there are more."""
        where = {} if purpose is None else {"purpose": purpose}

        def read(connection: sqlite3.Connection) -> tuple[list[dict[str, Any]], bool]:
            rows, more = select(connection, "files", page, where=where)
            now = time.time()
            return [_object(row) for row in rows if not _has_ended(row, now)], more

        return await self._database.read(read)

    async def delete(self, file_id: str) -> None:
        """Raises `ApiError` (404)."""

        def write(connection: sqlite3.Connection) -> None:
            _find(connection, file_id)
            connection.execute("DELETE FROM files WHERE id = ?", [file_id])

        await self._database.write(write)
        self.path(file_id).unlink(missing_ok=True)

    async def sweep(self) -> None:
        """Delete the files whose time has come, and what belongs to no row."""

        def end(connection: sqlite3.Connection) -> list[str]:
            rows = connection.execute("DELETE FROM files WHERE expires_at <= ? RETURNING id", [int(time.time())])
            return [row["id"] for row in rows]

        for file_id in await self._database.write(end):
            self.path(file_id).unlink(missing_ok=True)
        for path in await asyncio.to_thread(_older, self._folder, time.time() - _ABANDONED_AFTER):
            if not await self._is_known(path.name):
                path.unlink(missing_ok=True)

    async def _write(self, partial: Partial) -> None:
        block, partial.pending = partial.pending, bytearray()
        with _on_disk():
            await asyncio.to_thread(_write_all, partial.output, block)

    async def _is_known(self, file_id: str) -> bool:
        def read(connection: sqlite3.Connection) -> bool:
            return connection.execute("SELECT 1 FROM files WHERE id = ?", [file_id]).fetchone() is not None

        return await self._database.read(read)


async def _blocks(content: bytes | Iterable[bytes] | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
    elif isinstance(content, AsyncIterable):
        async for block in content:
            yield block
    else:
        for block in content:
            yield block


def _insert(connection: sqlite3.Connection, row: dict[str, Any]) -> None:
    connection.execute(
        "INSERT INTO files VALUES "
        "(:id, :filename, :purpose, :bytes, :created_at, :expires_at, :status, :status_details)",
        row,
    )


def _find(connection: sqlite3.Connection, file_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute("SELECT * FROM files WHERE id = ?", [file_id]).fetchone()
    if row is None or _has_ended(row, time.time()):
        raise ApiError(404, f"No such File object: {file_id}", param="id", code="not_found")
    return row


def _has_ended(row: sqlite3.Row, now: float) -> bool:
    return row["expires_at"] is not None and row["expires_at"] <= now


def _object(row: sqlite3.Row | dict[str, Any]) -> dict[str, Any]:
    """OpenAI's file object; what does not apply is left out, since its specification knows no null there."""
    shown = {key: row[key] for key in ("id", "bytes", "created_at", "filename", "purpose", "status")}
    given = {key: row[key] for key in ("expires_at", "status_details") if row[key] is not None}
    return {**shown, "object": "file", **given}


def _write_all(output: IO[bytes], block: bytearray) -> None:
    """A file without a buffer may take less than it is given."""
    with memoryview(block) as rest:
        written = 0
        while written < len(rest):
            written += output.write(rest[written:])


def _older(folder: Path, moment: float) -> list[Path]:
    """The files in a folder that were last written before a moment."""
    older = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # somebody else has removed it
            if path.stat().st_mtime < moment:
                older.append(path)
    return older


def _rename(source: Path, target: Path) -> None:
    """Rename, and have the folder remember it through a power cut."""
    source.rename(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _on_disk() -> Any:
    """What the file system refuses, as an error for the client."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        reason = error.strerror or str(error)
        message = f"The platform could not write to its data folder ({reason})" + ("; make room." if full else ".")
        raise ApiError(507 if full else 500, message, code="disk_full" if full else "storage_error") from None
