"""Of several servers on one data folder, one does the work that must not be done twice.

In: a lock on a file. Out: nothing, once this server holds it. The system lets go of it when its holder ends in whatever
way, so that another server takes over.
"""

from __future__ import annotations

import asyncio

from filelock import FileLock, Timeout

LOOK_EVERY = 1.0
"""Seconds between two looks at what another process may have changed."""


async def become_the_one(lock: FileLock) -> None:
    """Wait until this server holds the lock."""
    while True:
        try:
            lock.acquire(timeout=0)
            return
        except Timeout:
            await asyncio.sleep(LOOK_EVERY)
