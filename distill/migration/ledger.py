"""A JSON Lines file that is only ever appended to: what is in it was saved, and where it ends a later run goes on.

In: objects. Out: one line each, on the disk before `append` returns. A line that was cut off in the middle by a crash
is taken off when the file is opened again, so every line is whole. An object may be written again when it has changed;
the later line counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any


class Ledger:
    """One file of one kind of object."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.added = 0
        """Lines that were written by this one."""
        _repair(path)

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the rows, in one write, and wait until the disk has them."""
        data = b"".join(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n" for row in rows)
        if not data:
            return
        with self.path.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self.added += data.count(b"\n")

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every row, oldest first. Raises `ValueError` with the line for one that is no object."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    row = json.loads(line)
                except ValueError:
                    row = None
                if not isinstance(row, dict):
                    raise ValueError(
                        f"{self.path}:{number}: not a line of an export; move the folder away and start anew"
                    )
                yield row

    def ids(self) -> list[str]:
        """The `id` of every row, in order."""
        return [str(row.get("id")) for row in self.rows()]

    def by_id(self) -> dict[str, dict[str, Any]]:
        """The latest row of each id, in the order in which they first came."""
        found: dict[str, dict[str, Any]] = {}
        for row in self.rows():
            found[str(row.get("id"))] = row
        return found


def _repair(path: Path) -> None:
    """Take off what stands behind the last line end."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        position = end
        while position > 0:
            start = max(0, position - 65536)
            file.seek(start)
            found = file.read(position - start).rfind(b"\n")
            if found >= 0:
                position = start + found + 1
                break
            position = start
        if position < end:
            file.truncate(position)
