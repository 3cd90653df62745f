"""The SQLite file behind the completion store: make it, recognize it, and say what is wrong with it.

A file that is damaged, foreign or of another version is left exactly as it is; the `StoreError` names it and says
what moving it aside loses.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

VERSION = 1
_APPLICATION = 0x64697374
_BUSY_SECONDS = 60.0
_TABLE = """
CREATE TABLE completions (
  number INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  created REAL NOT NULL,
  origin TEXT NOT NULL,
  model TEXT NOT NULL,
  messages TEXT NOT NULL,
  parameters TEXT NOT NULL,
  sample INTEGER NOT NULL,
  metadata TEXT NOT NULL,
  text TEXT NOT NULL,
  finish_reason TEXT,
  prompt_tokens INTEGER,
  completion_tokens INTEGER,
  latency REAL,
  id TEXT
)
"""


class StoreError(Exception):
    """The store cannot be used as it is. The message names the file and says what to do; nothing was changed."""


def open_database(path: Path) -> sqlite3.Connection:
    """A connection to a store of this version, which is made if there is none. Raises `StoreError`."""
    try:
        connection = connect(path)
    except sqlite3.Error as error:
        raise explained(path, error) from None
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application == 0 and tables == 0:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_TABLE)
            connection.execute("CREATE INDEX completions_by_model ON completions (model)")
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        elif application != _APPLICATION:
            raise StoreError(f"{path} is a database of another program, and no completion store: name another file.")
        elif version != VERSION:
            raise StoreError(
                f"The completion store {path} has version {version}, and this program reads version {VERSION}: update "
                f"the program, or {_move_aside(path)}"
            )
        connection.execute("SELECT key FROM completions LIMIT 1").fetchone()
    except sqlite3.Error as error:
        connection.close()
        raise explained(path, error) from None
    except StoreError:
        connection.close()
        raise
    return connection


def connect(path: Path) -> sqlite3.Connection:
    """One more connection to a store that `open_database` has seen. Raises `sqlite3.Error`."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def explained(path: Path, error: sqlite3.Error) -> StoreError:
    """What an error of SQLite means for the user of a store."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")) or "no such table" in str(error):
        return StoreError(f"The completion store {path} is damaged ({error}): {_move_aside(path)}")
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return StoreError(
            f"The completion store {path} cannot be written: the disk is full or fails ({error}). What was stored "
            "before is safe; make room and run again, and only what is missing is asked."
        )
    if name.startswith("SQLITE_READONLY"):
        return StoreError(f"The completion store {path} may not be written ({error}): change its permissions.")
    if name.startswith("SQLITE_CANTOPEN"):
        return StoreError(f"The completion store {path} cannot be opened ({error}): is it a file in a folder of yours?")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError(f"The completion store {path} has been held by another process for {_BUSY_SECONDS:g} s.")
    return StoreError(f"The completion store {path} cannot be used: {error}.")


def _move_aside(path: Path) -> str:
    return (
        f"move it aside (with {path.name}-wal and {path.name}-shm, if they are there) and run again. "
        "That loses cached answers and nothing else."
    )
