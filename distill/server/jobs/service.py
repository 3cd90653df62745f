"""The runner of each platform that is open in this process: one while its server runs."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from distill.server.database import Database
from distill.server.jobs.runner import Runner
from distill.server.platform import Platform

_RUNNERS: WeakKeyDictionary[Database, Runner] = WeakKeyDictionary()


async def start(platform: Platform) -> None:
    runner = Runner(platform)
    _RUNNERS[platform.database] = runner
    runner.start()


async def stop(platform: Platform) -> None:
    await _RUNNERS.pop(platform.database).stop()


def wake(platform: Platform) -> None:
    """Tell the runner, where there is one, that a job was changed."""
    runner = _RUNNERS.get(platform.database)
    if runner is not None:
        runner.wake()
