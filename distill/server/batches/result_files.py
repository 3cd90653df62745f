"""The result files of a batch: one of the answers, one of what was refused or failed.

In: a batch whose results are written down. Out: the id of a file with the purpose `batch_output`. Doing it twice makes
no second file, so that a server which was killed half-way can simply do it again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator

from distill.server.batches import records
from distill.server.platform import Platform

_BLOCK = 256  # results read at a time


async def write_file(platform: Platform, row: sqlite3.Row, *, succeeded: bool) -> str | None:
    """The id of one of the result files; None where there would be nothing in it."""
    name = f"{row['id']}_{'output' if succeeded else 'error'}.jsonl"
    # No client can upload under this purpose: what is there was written by a server that was killed after that.
    made: sqlite3.Row | None = await platform.database.read(
        lambda connection: connection.execute(
            "SELECT id FROM files WHERE purpose = 'batch_output' AND filename = ?", [name]
        ).fetchone()
    )
    if made is not None:
        return str(made["id"])
    lines = _lines(platform, row["id"], succeeded)
    first = await anext(lines, None)
    if first is None:
        return None

    async def content() -> AsyncIterator[bytes]:
        yield first
        async for block in lines:
            yield block

    file = await platform.files.create(name, "batch_output", content(), expires_after=row["output_lasts"])
    return str(file["id"])


async def _lines(platform: Platform, batch_id: str, succeeded: bool) -> AsyncIterator[bytes]:
    after = 0
    while True:
        rows = await platform.database.read(
            lambda connection, after=after: records.results(  # type: ignore[misc]
                connection, batch_id, succeeded=succeeded, after=after, most=_BLOCK
            )
        )
        if not rows:
            return
        yield "".join(f"{row['object']}\n" for row in rows).encode()
        after = rows[-1]["number"]
