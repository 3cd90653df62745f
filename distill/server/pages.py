"""Lists a page at a time, with cursors, as OpenAI's platform gives them.

In: `after`, `limit` and `order` of a request, and a table whose rows have an `id` made by `new_id`. Out: the page's
rows and whether there are more, in OpenAI's envelope.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request

from distill.server.errors import ApiError

Order = Literal["asc", "desc"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list was asked for."""

    limit: int
    order: Order
    after: str | None = None
    """The id of the last row that the client has; it need not exist any more."""


def page(request: Request, *, default: int = 20, most: int = 100, order: Order = "asc") -> Page:
    """The page that a request's query names. Raises `ApiError` (400) for a value that is none."""
    query = request.query_params
    asked = query.get("order", order)
    if asked not in ("asc", "desc"):
        message = f"Invalid value: '{asked}'. Supported values are: 'asc' and 'desc'."
        raise ApiError(400, message, param="order", code="invalid_value")
    return Page(
        limit=_limit(query.get("limit"), default, most),
        order="asc" if asked == "asc" else "desc",
        after=query.get("after") or None,
    )


def select(
    connection: sqlite3.Connection,
    table: str,
    page: Page,
    *,
    where: Mapping[str, Any] | None = None,
    columns: str = "*",
) -> tuple[list[sqlite3.Row], bool]:
    """A page of a table, and whether there are more rows. `where`: columns and the values that they have to equal."""
    conditions = [f"{column} = ?" for column in where or {}]
    values = list((where or {}).values())
    if page.after is not None:
        conditions.append(f"id {'>' if page.order == 'asc' else '<'} ?")
        values.append(page.after)
    condition = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    # The names come from the code; everything that a client sent is a parameter.
    statement = f"SELECT {columns} FROM {table}{condition} ORDER BY id {page.order} LIMIT ?"  # noqa: S608
    rows = connection.execute(statement, [*values, page.limit + 1]).fetchall()
    return rows[: page.limit], len(rows) > page.limit


def envelope(objects: Iterable[Mapping[str, Any]], has_more: bool) -> dict[str, Any]:
    """OpenAI's list object. An empty list has empty ids, which its specification declares as strings."""
    data: Sequence[Mapping[str, Any]] = list(objects)
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else "",
        "last_id": data[-1]["id"] if data else "",
        "has_more": has_more,
    }


def _limit(given: str | None, default: int, most: int) -> int:
    if given is None:
        return default
    try:
        limit = int(given) if given.isascii() and len(given) < 20 else None
    except ValueError:
        limit = None
    if limit is None:
        message = "Invalid type for 'limit': expected an integer."
        raise ApiError(400, message, param="limit", code="invalid_type")
    if not 1 <= limit <= most:
        code = "integer_below_min_value" if limit < 1 else "integer_above_max_value"
        message = f"Invalid 'limit': expected a value between 1 and {most:,}, but got {limit} instead."
        raise ApiError(400, message, param="limit", code=code)
    return limit
