"""The database: what is acknowledged is kept, what fails takes nothing with it, and what SQLite refuses is an error."""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.server.database import VERSION, Database, DataFolderError
from distill.server.errors import ApiError
from distill.server.pages import Order, Page, envelope, select

SCHEMA = ("CREATE TABLE IF NOT EXISTS things (id TEXT PRIMARY KEY, kind TEXT)",)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "it.sqlite", SCHEMA, patience=0.2)
    yield database
    database.close()


def add(*names: str) -> Callable[[sqlite3.Connection], str]:
    def work(connection: sqlite3.Connection) -> str:
        for name in names:
            connection.execute("INSERT INTO things VALUES (?, 'any')", [name])
        return f"added {' '.join(names)}"

    return work


def names(connection: sqlite3.Connection) -> list[str]:
    return [row["id"] for row in connection.execute("SELECT id FROM things ORDER BY id")]


def on_disk(path: Path) -> list[str]:
    """What a program that opens the file now finds in it."""
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute("SELECT id FROM things ORDER BY id")]
    finally:
        connection.close()


def test_what_was_written_is_on_the_disk_and_read(database: Database) -> None:
    async def go() -> None:
        assert await database.write(add("a", "b")) == "added a b"
        assert on_disk(database.path) == await database.read(names) == ["a", "b"]

    asyncio.run(go())


def test_a_write_that_fails_takes_nothing_else_with_it(database: Database) -> None:
    hold = threading.Event()

    def wait(_connection: sqlite3.Connection) -> None:
        assert hold.wait(20)

    def refuse(connection: sqlite3.Connection) -> None:
        add("never")(connection)
        raise ApiError(404, "There is no such thing.")

    async def go() -> list[Any]:
        # All but the first wait, and so share a transaction.
        works: list[Callable[[sqlite3.Connection], Any]] = [wait, add("a"), refuse, add("b", "a"), add("c")]
        tasks = [asyncio.create_task(database.write(work)) for work in works]
        await asyncio.sleep(0.05)
        hold.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    _, first, refused, twice, last = asyncio.run(go())

    assert (first, last) == ("added a", "added c")
    assert isinstance(refused, ApiError) and refused.status == 404
    assert isinstance(twice, sqlite3.IntegrityError)
    assert on_disk(database.path) == ["a", "c"]


def test_writes_that_wait_share_a_transaction(database: Database) -> None:
    hold = threading.Event()
    ended: list[str] = []

    def wait(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(lambda statement: ended.append(statement) if statement == "COMMIT" else None)
        assert hold.wait(20)

    async def go() -> None:
        tasks = [asyncio.create_task(database.write(work)) for work in (wait, *(add(f"{n:03}") for n in range(300)))]
        await asyncio.sleep(0.1)
        hold.set()
        await asyncio.gather(*tasks)

    asyncio.run(go())

    assert len(on_disk(database.path)) == 300
    assert len(ended) <= 2


def test_a_read_sees_one_moment_and_cannot_write(database: Database) -> None:
    reading, written = threading.Event(), threading.Event()

    def twice(connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
        before = names(connection)
        reading.set()
        assert written.wait(20)
        return before, names(connection)

    async def go() -> None:
        await database.write(add("a"))
        read = asyncio.create_task(database.read(twice))
        await asyncio.to_thread(reading.wait, 20)
        await database.write(add("b"))
        written.set()
        assert await read == (["a"], ["a"])
        assert await database.read(names) == ["a", "b"]
        with pytest.raises(ApiError):
            await database.read(add("c"))

    asyncio.run(go())


def test_a_write_that_nobody_waits_for_any_more_is_not_begun(database: Database) -> None:
    began, hold = threading.Event(), threading.Event()

    def wait(_connection: sqlite3.Connection) -> None:
        began.set()
        assert hold.wait(20)

    async def go() -> None:
        first = asyncio.create_task(database.write(wait))
        await asyncio.to_thread(began.wait, 20)
        given_up = asyncio.create_task(database.write(add("never")))
        await asyncio.sleep(0.05)
        given_up.cancel()
        await asyncio.wait([given_up])
        hold.set()
        await first
        await database.write(add("a"))

    asyncio.run(go())

    assert on_disk(database.path) == ["a"]


def test_a_database_that_another_program_has_locked(database: Database) -> None:
    async def go() -> None:
        await database.write(add("a"))
        other = sqlite3.connect(database.path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        attempts = await asyncio.gather(
            *(database.write(add(f"b{number}")) for number in range(20)), return_exceptions=True
        )
        assert {(type(each), getattr(each, "status", 0), getattr(each, "code", "")) for each in attempts} == {
            (ApiError, 503, "database_locked")
        }
        assert await database.read(names) == ["a"], "reading needs no lock"
        other.execute("COMMIT")
        other.close()
        await database.write(add("c"))

    asyncio.run(go())

    assert on_disk(database.path) == ["a", "c"]


def test_a_full_disk_fails_what_does_not_fit_and_nothing_else(database: Database) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        used = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {used + 8}")

    async def go() -> list[Any]:
        await database.write(fill)
        hold = threading.Event()
        large = "x" * 100_000
        works: list[Callable[[sqlite3.Connection], Any]] = [
            lambda _connection: hold.wait(20),
            add("a"),
            add(large),
            add("b"),
        ]
        tasks = [asyncio.create_task(database.write(work)) for work in works]
        await asyncio.sleep(0.05)
        hold.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    _, first, full, last = asyncio.run(go())

    assert (first, last) == ("added a", "added b")
    assert isinstance(full, ApiError) and (full.status, full.code) == (507, "disk_full")
    assert on_disk(database.path) == ["a", "b"]


def _write_into_a_small_space(path: Path, said: Any) -> None:
    async def go() -> None:
        database = Database(path, SCHEMA)
        await database.write(add("a"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        try:
            await database.write(add("x" * 400_000))
        except ApiError as error:
            said.put((error.status, error.code))
        said.put(await database.read(names))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        said.put(await database.write(add("b")))
        database.close()

    asyncio.run(go())


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("spawn")
    said: Any = processes.Queue()
    process = processes.Process(target=_write_into_a_small_space, args=(tmp_path / "it.sqlite", said))
    process.start()

    assert said.get(timeout=60) == (507, "disk_full")
    assert said.get(timeout=60) == ["a"]
    assert said.get(timeout=60) == "added b"
    process.join()
    assert on_disk(tmp_path / "it.sqlite") == ["a", "b"]


def test_a_mistake_in_the_code_is_an_error_and_nothing_more(database: Database) -> None:
    def mistaken(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO nowhere VALUES (1)")

    async def go() -> list[Any]:
        works = (add("a"), mistaken, add("b"))
        return await asyncio.gather(*(database.write(work) for work in works), return_exceptions=True)

    first, wrong, last = asyncio.run(go())

    assert (first, last) == ("added a", "added b")
    assert isinstance(wrong, ApiError) and wrong.status == 500


def test_two_open_one_file_at_the_same_moment(tmp_path: Path) -> None:
    path = tmp_path / "it.sqlite"
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: Database(path, SCHEMA), range(8)))

    async def go() -> None:
        await asyncio.gather(
            *(each.write(add(f"{number}-{turn}")) for turn in range(20) for number, each in enumerate(opened))
        )
        assert {len(await each.read(names)) for each in opened} == {160}

    asyncio.run(go())
    for each in opened:
        each.close()


def test_closing_finishes_what_was_asked(tmp_path: Path) -> None:
    database = Database(tmp_path / "it.sqlite", SCHEMA)

    async def go() -> None:
        tasks = [asyncio.create_task(database.write(add(f"{number:02}"))) for number in range(50)]
        await asyncio.sleep(0)
        await asyncio.to_thread(database.close)
        await asyncio.gather(*tasks)

        for late in (database.write(add("late")), database.read(names)):
            with pytest.raises(ApiError) as error:
                await late
            assert error.value.status == 503

    asyncio.run(go())

    assert len(on_disk(tmp_path / "it.sqlite")) == 50


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "it.sqlite"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()

    with pytest.raises(DataFolderError, match="later version"):
        Database(path, SCHEMA)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "it.sqlite"
    path.write_bytes(b"this is no database\n" * 1000)

    with pytest.raises(DataFolderError, match=r"it\.sqlite cannot be opened: file is not a database"):
        Database(path, SCHEMA)
    assert path.read_bytes().startswith(b"this is no database")


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DataFolderError, match="cannot be opened"):
        Database(tmp_path / "file" / "it.sqlite", SCHEMA)


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(st.sampled_from("ab"), max_size=12),
    limit=st.integers(1, 5),
    order=st.sampled_from(["asc", "desc"]),
    kind=st.sampled_from([None, "a", "b", "c"]),
)
def test_pages_hold_everything_once_and_in_order(kinds: list[str], limit: int, order: Order, kind: str | None) -> None:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.execute(SCHEMA[0])
    connection.executemany(
        "INSERT INTO things VALUES (?, ?)", [(f"thing-{number:02}", each) for number, each in enumerate(kinds)]
    )
    where = {} if kind is None else {"kind": kind}
    found: list[str] = []
    after = None
    while True:
        rows, more = select(connection, "things", Page(limit=limit, order=order, after=after), where=where)
        shown = envelope([{"id": row["id"]} for row in rows], more)
        found += [each["id"] for each in shown["data"]]
        if not more:
            break
        assert len(rows) == limit and shown["last_id"] == found[-1]
        after = shown["last_id"]
    connection.close()

    expected = [f"thing-{number:02}" for number, each in enumerate(kinds) if kind in (None, each)]
    assert found == (expected if order == "asc" else expected[::-1])
