"""Saving an account, one kind after the other, so that it can be broken off and gone on with at any moment.

In: an `Account` and a folder. Out: JSON Lines, a file a kind, and the bytes of the files. There is no other state: an
object's line is written when everything that belongs to it is on the disk, so the last line of a file is the cursor.

    completions.jsonl         {id, created, model, metadata, messages, answer, completion}
    files.jsonl, files/ID     file objects with `content` (the path, or null and `problem`); their bytes
    evals.jsonl, eval_runs.jsonl, eval_output_items.jsonl
    jobs.jsonl, job_events.jsonl, job_checkpoints.jsonl     events and checkpoints with `job`

A run or a job that was not finished is looked at again by a later export; its later line counts.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import openai

from distill.migration.account import AT_ONCE, Account
from distill.migration.ledger import Ledger

Report = Callable[[str, int], None]
"""Called with a kind and how many of it were saved just now."""

KINDS = ("completions", "files", "evals", "jobs")
_ENDED = {"completed", "failed", "canceled", "cancelled", "succeeded"}
_SAFE_ID = re.compile(r"[A-Za-z0-9_][\w.-]{0,200}")
_OF_A_MESSAGE = ("role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal", "audio")


class Exporter:
    """Saves each kind. Every method goes on where an earlier export ended, and may raise what the client raises."""

    def __init__(self, account: Account, folder: Path, report: Report) -> None:
        self._account = account
        self._folder = folder
        self._report = report

    async def save(self, kind: str) -> None:
        """Save one of `KINDS`."""
        await {"completions": self.completions, "files": self.files, "evals": self.evals, "jobs": self.jobs}[kind]()

    async def completions(self) -> None:
        """Stored completions, each with the messages that it answered."""
        ledger = self._ledger("completions")
        ids = ledger.ids()
        known = set(ids)
        async for page in self._account.completions(ids[-1] if ids else None):
            fresh = [one for one in page if one.get("id") not in known]
            async for row in _in_order([self._completion(one) for one in fresh]):
                ledger.append([row])
                self._report("completions", 1)

    async def files(self) -> None:
        """Files, each with its bytes."""
        ledger = self._ledger("files")
        ids = ledger.ids()
        known = set(ids)
        bytes_folder = self._folder / "files"
        bytes_folder.mkdir(exist_ok=True)
        async for page in self._account.files(ids[-1] if ids else None):
            for one in page:
                if one.get("id") not in known:
                    ledger.append([await self._file(one, bytes_folder)])
                    self._report("files", 1)

    async def evals(self) -> None:
        """Evals, with their runs and output items."""
        evals, runs, items = self._ledger("evals"), self._ledger("eval_runs"), self._ledger("eval_output_items")
        known_evals, known_runs = evals.by_id(), runs.by_id()
        cursors = {str(row.get("run_id")): str(row.get("id")) for row in items.rows()}
        last_runs = {str(run.get("eval_id")): identity for identity, run in known_runs.items()}
        for run in list(known_runs.values()):
            if run.get("status") not in _ENDED:
                now = await self._account.run(str(run["eval_id"]), str(run["id"]))
                await self._run(str(run["eval_id"]), now, runs, items, cursors)
        for identity in known_evals:
            await self._runs(identity, last_runs.get(identity), known_runs.keys(), runs, items, cursors)
        async for page in self._account.evals(next(reversed(known_evals), None)):
            for one in page:
                identity = str(one.get("id"))
                if identity not in known_evals:
                    await self._runs(identity, last_runs.get(identity), known_runs.keys(), runs, items, cursors)
                    evals.append([one])
                    self._report("evals", 1)

    async def jobs(self) -> None:
        """Fine-tuning jobs, with their events and checkpoints."""
        jobs, events, checkpoints = self._ledger("jobs"), self._ledger("job_events"), self._ledger("job_checkpoints")
        known = jobs.by_id()
        had = {str(row.get("id")) for ledger in (events, checkpoints) for row in ledger.rows()}
        async for page in self._account.jobs():
            for job in page:
                identity = str(job.get("id"))
                before = known.get(identity)
                if before is not None and before.get("status") in _ENDED:
                    continue
                of_job = await asyncio.gather(self._account.events(identity), self._account.checkpoints(identity))
                for ledger, rows in zip((events, checkpoints), of_job, strict=True):
                    fresh = [{**row, "job": identity} for row in rows if str(row.get("id")) not in had]
                    ledger.append(fresh)
                    self._report("events and checkpoints", len(fresh))
                if job != before:
                    jobs.append([job])
                    self._report("jobs", 1)

    async def _completion(self, completion: dict[str, Any]) -> dict[str, Any]:
        row: dict[str, Any] = {name: completion.get(name) for name in ("id", "created", "model", "metadata")}
        choices = completion.get("choices")
        first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        try:
            messages = await self._account.messages(str(completion.get("id")))
            row["messages"] = [_message(message) for message in messages]
        except openai.NotFoundError:
            row |= {"messages": None, "problem": "the server no longer has its messages"}
        return {**row, "answer": _message(first.get("message") or {}), "completion": completion}

    async def _file(self, file: dict[str, Any], folder: Path) -> dict[str, Any]:
        identity = str(file.get("id"))
        if not _SAFE_ID.fullmatch(identity):
            return {**file, "content": None, "problem": "its id cannot be the name of a file"}
        draft = folder / f".{identity}.part"
        try:
            await self._account.content(identity, draft)
        except (openai.BadRequestError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            draft.unlink(missing_ok=True)
            return {**file, "content": None, "problem": self._account.redact.line(str(error))}
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.replace(folder / identity)
        return {**file, "content": f"files/{identity}"}

    async def _runs(
        self,
        evaluation: str,
        after: str | None,
        known: Any,
        runs: Ledger,
        items: Ledger,
        cursors: dict[str, str],
    ) -> None:
        async for page in self._account.runs(evaluation, after):
            for run in page:
                if run.get("id") not in known:
                    await self._run(evaluation, run, runs, items, cursors)

    async def _run(
        self, evaluation: str, run: dict[str, Any], runs: Ledger, items: Ledger, cursors: dict[str, str]
    ) -> None:
        identity = str(run.get("id"))
        async for page in self._account.output_items(evaluation, identity, cursors.get(identity)):
            items.append({"run_id": identity, "eval_id": evaluation, **item} for item in page)
            self._report("output items", len(page))
        runs.append([{"eval_id": evaluation, **run}])
        self._report("runs", 1)

    def _ledger(self, name: str) -> Ledger:
        return Ledger(self._folder / f"{name}.jsonl")


async def _in_order(work: Sequence[Awaitable[dict[str, Any]]]) -> AsyncIterator[dict[str, Any]]:
    """The results in the order of the work, with `AT_ONCE` of it in progress."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(item: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        async with places:
            return await item

    tasks = [asyncio.ensure_future(one(item)) for item in work]
    try:
        for task in tasks:
            yield await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """A message as a chat completion takes it: without ids, and with its parts where it has several."""
    found = {name: message[name] for name in _OF_A_MESSAGE if message.get(name) is not None}
    if "content" not in found and message.get("content_parts"):
        found["content"] = message["content_parts"]
    return found
