"""Stored chat completions: kept with `store: true`, listed by model and metadata, retrieved, updated, deleted.

In: a completion and the request that it answers. Out: OpenAI's objects.
"""

from __future__ import annotations

from starlette.routing import Route

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
    id TEXT NOT NULL REFERENCES completions (id) ON DELETE CASCADE,
    PRIMARY KEY (key, value, model, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS completion_metadata_of_any_model ON completion_metadata (key, value, id);
CREATE INDEX IF NOT EXISTS completion_metadata_by_completion ON completion_metadata (id);
"""

ROUTES: list[Route] = []
