"""One run of `distill export-openai`: the kinds one after the other, what is shown of it, and what could not be had.

In: a folder and the kinds. Out: the files of `exporting`, and `export.json`, which says where they come from, when, and
what is whole. A part that is shut is explained and the others are saved; only a server that is gone, or that does not
take the key, ends everything. No key is written anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import httpx2
import openai
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from distill.migration.account import Account
from distill.migration.doors import closed
from distill.migration.exporting import KINDS, Exporter, Report
from distill.runs import write_whole

STATE_FILE = "export.json"
_WORDS = {
    "completions": "stored completions",
    "files": "files",
    "evals": "evals",
    "jobs": "fine-tuning jobs",
}


class SaveFailed(ValueError):
    """The export cannot begin. The message says why and what to do."""


@dataclass(slots=True)
class Saved:
    """What an export did."""

    counts: Counter[str] = field(default_factory=Counter)
    """Objects saved this time, by kind."""
    closed: dict[str, str] = field(default_factory=dict)
    """Kinds that are not whole, each with the reason."""


def save_account(account: Account, folder: Path, kinds: Sequence[str], stream: TextIO) -> Saved:
    """Save the kinds into the folder; go on where an earlier export ended. Raises `SaveFailed`, and `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    _same_account(account, folder)
    saved = Saved()
    try:
        with FileLock(folder / ".lock", timeout=0):
            _note(account, folder, {})
            with _shown(stream, saved) as report:
                asyncio.run(_save(account, folder, kinds, report, saved))
            whole = {kind: saved.closed.get(kind, "") for kind in kinds}
            _note(account, folder, {kind: {"whole": not why, "problem": why} for kind, why in whole.items()})
    except Timeout:
        raise SaveFailed(f"another export into {folder} is running; wait for it, or name another --output") from None
    return saved


async def _save(account: Account, folder: Path, kinds: Sequence[str], report: Report, saved: Saved) -> None:
    async with account:
        exporter = Exporter(account, folder, report)
        for kind in kinds:
            try:
                await exporter.save(kind)
            except (openai.OpenAIError, httpx2.HTTPError, ValueError) as error:
                shut = closed(_WORDS[kind], error, account.redact)
                saved.closed[kind] = shut.sentence
                if shut.everything:
                    rest = kinds[list(kinds).index(kind) + 1 :]
                    saved.closed |= dict.fromkeys(rest, "not reached, for the same reason")
                    return


@contextlib.contextmanager
def _shown(stream: TextIO, saved: Saved) -> Iterator[Report]:
    """A line a kind that counts, on a terminal; elsewhere nothing until the end."""
    console = Console(file=stream, highlight=False)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:>24}"),
        TextColumn("{task.completed:,}"),
        TimeElapsedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:

        def report(kind: str, count: int) -> None:
            saved.counts[kind] += count
            if count and kind not in tasks:
                tasks[kind] = bars.add_task(_WORDS.get(kind, kind), total=None)
            if kind in tasks:
                bars.advance(tasks[kind], count)

        yield report


def _same_account(account: Account, folder: Path) -> None:
    state = _read(folder)
    origin = state.get("from")
    if origin is not None and origin != account.origin:
        raise SaveFailed(f"{folder} holds an export from {origin}, and this is {account.origin}; name another --output")
    if not state and any(folder.glob("*.jsonl")):
        raise SaveFailed(f"{folder} has .jsonl files and no {STATE_FILE}: it is no export; name another --output")


def _note(account: Account, folder: Path, kinds: dict[str, dict[str, object]]) -> None:
    state = _read(folder)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    known = state.get("kinds")
    state |= {"from": account.origin, "begun": state.get("begun", now), "last": now}
    state["kinds"] = {**(known if isinstance(known, dict) else {}), **kinds}
    write_whole(folder / STATE_FILE, json.dumps(state, indent=2) + "\n")


def _read(folder: Path) -> dict[str, object]:
    try:
        found = json.loads((folder / STATE_FILE).read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SaveFailed(f"{folder / STATE_FILE} cannot be read ({error}); name another --output") from None
    return found if isinstance(found, dict) else {}


__all__ = ["KINDS", "SaveFailed", "Saved", "save_account"]
