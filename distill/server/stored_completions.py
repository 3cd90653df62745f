"""Stored chat completions: kept with `store: true`, listed by model and metadata, retrieved, updated, deleted.

In: a completion and the request that it answers. Out: OpenAI's objects: the completion as it was answered, with the
request's parameters and metadata; and, apart from it, the request's messages.

Each metadata pair has an index entry that begins with the pair and ends with the completion's id, so that a page of a
list costs the same however many completions there are.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from distill.server.body import read_shape
from distill.server.chat_request import ChatRequest, Metadata
from distill.server.errors import ApiError
from distill.server.pages import Page, envelope, page, select
from distill.server.platform import Platform, platform_of

SCHEMA = """
CREATE TABLE IF NOT EXISTS completions (
    id TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    object TEXT NOT NULL,
    messages TEXT NOT NULL,
    metadata TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS completions_by_model ON completions (model, id);
CREATE TABLE IF NOT EXISTS completion_metadata (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    model TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (key, value, model, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS completion_metadata_of_any_model ON completion_metadata (key, value, id);
"""

_NOT_ECHOED = frozenset({"messages", "metadata", "model", "service_tier", "store", "stream", "stream_options", "user"})
"""Parameters that are no part of the stored object under their own name, or already in it."""
_FILTER = re.compile(r"metadata\[(.*)\]", re.DOTALL)
_ENOUGH = 1000  # pairs counted before one filter is called as good as another


class _Update(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    metadata: Metadata | None


async def keep(
    platform: Platform, completion: Mapping[str, Any], asked: ChatRequest, body: Mapping[str, Any], request_id: str
) -> None:
    """Keep an answer; it is on the disk when this returns. `body`: the request as it came. Raises `ApiError`."""
    parameters = {
        "request_id": request_id,
        "tool_choice": None,
        "tools": None,
        "seed": asked.seed,
        "top_p": asked.top_p,
        "temperature": asked.temperature,
        "presence_penalty": asked.presence_penalty,
        "frequency_penalty": asked.frequency_penalty,
        "response_format": None,
        "input_user": asked.user,
    }
    given = {key: value for key, value in body.items() if key not in _NOT_ECHOED and value is not None}
    row = [
        completion["id"],
        completion["model"],
        _compact({**parameters, **given, **completion}),
        _compact(body["messages"]),
        _compact(asked.metadata),
    ]
    pairs = _pairs(completion["id"], completion["model"], asked.metadata)

    def write(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO completions VALUES (?, ?, ?, ?, ?)", row)
        _add_pairs(connection, pairs)

    await platform.database.write(write)


def find(
    connection: sqlite3.Connection, page: Page, *, model: str | None = None, metadata: Mapping[str, str] | None = None
) -> tuple[list[sqlite3.Row], bool]:
    """A page of stored completions that have this model and all of these pairs, and whether there are more."""
    if not metadata:
        return select(connection, "completions", page, where={} if model is None else {"model": model})
    # The rarest pair is walked along; each of its completions is looked up among those of the others.
    first, *others = sorted(metadata.items(), key=lambda pair: _count(connection, pair, model))
    conditions, values = ["m.key = ? AND m.value = ?"], list(first)
    if model is not None:
        conditions.append("m.model = ?")
        values.append(model)
    if page.after is not None:
        conditions.append(f"m.id {'>' if page.order == 'asc' else '<'} ?")
        values.append(page.after)
    for pair in others:
        conditions.append(
            "EXISTS (SELECT 1 FROM completion_metadata AS o "
            "WHERE o.key = ? AND o.value = ? AND o.model = m.model AND o.id = m.id)"
        )
        values += pair
    statement = (  # every value is a parameter; what is put together here comes from the lines above
        f"SELECT c.* FROM completion_metadata AS m CROSS JOIN completions AS c ON c.id = m.id "  # noqa: S608
        f"WHERE {' AND '.join(conditions)} ORDER BY m.id {page.order} LIMIT ?"
    )
    rows = connection.execute(statement, [*values, page.limit + 1]).fetchall()
    return rows[: page.limit], len(rows) > page.limit


def show(row: sqlite3.Row) -> dict[str, Any]:
    """OpenAI's object for a stored completion."""
    return {**json.loads(row["object"]), "metadata": json.loads(row["metadata"])}


def show_messages(row: sqlite3.Row) -> list[dict[str, Any]]:
    """The request's messages, each with an id."""
    return [_message(f"{row['id']}-{index}", message) for index, message in enumerate(json.loads(row["messages"]))]


async def _list(request: Request) -> Response:
    asked = page(request)
    model = request.query_params.get("model")
    metadata = dict(_filters(request))

    def read(connection: sqlite3.Connection) -> dict[str, Any]:
        rows, more = find(connection, asked, model=model, metadata=metadata)
        return envelope(map(show, rows), more)

    return JSONResponse(await platform_of(request).database.read(read))


async def _retrieve(request: Request) -> Response:
    wanted = request.path_params["completion_id"]
    return JSONResponse(await platform_of(request).database.read(lambda connection: show(_row(connection, wanted))))


async def _update(request: Request) -> Response:
    wanted = request.path_params["completion_id"]
    metadata = (await read_shape(request, _Update)).metadata or {}

    def write(connection: sqlite3.Connection) -> dict[str, Any]:
        row = _row(connection, wanted)
        _remove_pairs(connection, row)
        connection.execute("UPDATE completions SET metadata = ? WHERE id = ?", [_compact(metadata), wanted])
        _add_pairs(connection, _pairs(wanted, row["model"], metadata))
        return show(_row(connection, wanted))

    return JSONResponse(await platform_of(request).database.write(write))


async def _delete(request: Request) -> Response:
    wanted = request.path_params["completion_id"]

    def write(connection: sqlite3.Connection) -> None:
        _remove_pairs(connection, _row(connection, wanted))
        connection.execute("DELETE FROM completions WHERE id = ?", [wanted])

    await platform_of(request).database.write(write)
    return JSONResponse({"object": "chat.completion.deleted", "id": wanted, "deleted": True})


async def _messages(request: Request) -> Response:
    wanted = request.path_params["completion_id"]
    asked = page(request)
    messages = await platform_of(request).database.read(lambda connection: show_messages(_row(connection, wanted)))
    ids = [message["id"] for message in messages]
    if asked.order == "desc":
        ids.reverse()
        messages.reverse()
    if asked.after is not None and asked.after not in ids:
        raise ApiError(400, f"There is no message '{asked.after}' here.", param="after", code="invalid_value")
    start = ids.index(asked.after) + 1 if asked.after is not None else 0
    end = start + asked.limit
    return JSONResponse(envelope(messages[start:end], end < len(messages)))


def _filters(request: Request) -> Iterator[tuple[str, str]]:
    for name, value in request.query_params.items():
        if named := _FILTER.fullmatch(name):
            yield named[1], value
        elif name == "metadata":
            message = "A filter by metadata names its key, as in 'metadata[key]=value'."
            raise ApiError(400, message, param="metadata", code="invalid_value")


def _row(connection: sqlite3.Connection, wanted: str) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute("SELECT * FROM completions WHERE id = ?", [wanted]).fetchone()
    if row is None:
        message = f"There is no stored chat completion '{wanted}'. Only those made with 'store' set to true are kept."
        raise ApiError(404, message, param="completion_id", code="not_found")
    return row


def _message(message_id: str, message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    parts = content if isinstance(content, list) else None
    return {
        "name": None,
        "refusal": None,
        **message,
        "id": message_id,
        "content": content if parts is None else "".join(part["text"] for part in parts),
        "content_parts": parts,
    }


def _count(connection: sqlite3.Connection, pair: tuple[str, str], model: str | None) -> int:
    """How many completions have a pair, up to as many as make no difference any more."""
    condition = "" if model is None else " AND model = ?"
    values = [*pair, *([] if model is None else [model]), _ENOUGH]
    counted = f"SELECT 1 FROM completion_metadata WHERE key = ? AND value = ?{condition} LIMIT ?"  # noqa: S608
    return int(connection.execute(f"SELECT count(*) FROM ({counted})", values).fetchone()[0])  # noqa: S608


def _pairs(completion_id: str, model: str, metadata: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    return [(key, value, model, completion_id) for key, value in metadata.items()]


def _add_pairs(connection: sqlite3.Connection, pairs: Sequence[tuple[str, str, str, str]]) -> None:
    connection.executemany("INSERT INTO completion_metadata VALUES (?, ?, ?, ?)", pairs)


def _remove_pairs(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    connection.executemany(
        "DELETE FROM completion_metadata WHERE key = ? AND value = ? AND model = ? AND id = ?",
        _pairs(row["id"], row["model"], json.loads(row["metadata"])),
    )


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


ROUTES = [
    Route("/v1/chat/completions", _list),
    Route("/v1/chat/completions/{completion_id}", _retrieve),
    Route("/v1/chat/completions/{completion_id}", _update, methods=["POST"]),
    Route("/v1/chat/completions/{completion_id}", _delete, methods=["DELETE"]),
    Route("/v1/chat/completions/{completion_id}/messages", _messages),
]
