"""The completion store on a real file: what comes back, what survives, and what is said when it cannot."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.models.completion import Completion, Prompt
from distill.models.database import VERSION, explained
from distill.models.keys import completion_key
from distill.models.store import CompletionStore, StoreError

ORIGIN = "https://api.example/v1"


def prompt(text: str = "Switch to main.", **metadata: str) -> Prompt:
    return Prompt(
        messages=({"role": "system", "content": "You are git."}, {"role": "user", "content": text}),
        parameters={"temperature": 0},
        metadata=metadata or {"task": "git"},
    )


def put(store: CompletionStore, asked: Prompt, text: str, model: str = "m") -> str:
    key = completion_key(ORIGIN, model, asked)
    store.put(key, ORIGIN, asked, Completion(text=text, model=model))
    return key


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CompletionStore]:
    with CompletionStore(tmp_path / "folder" / "completions.sqlite") as opened:
        yield opened


def python(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A process of its own that runs `script` with this project at hand."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PREAMBLE) + textwrap.dedent(script), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


PREAMBLE = """
    import sys
    from pathlib import Path
    from distill.models.completion import Completion, Prompt
    from distill.models.keys import completion_key
    from distill.models.store import CompletionStore, StoreError

    def put(store, text, answer):
        prompt = Prompt(messages=({"role": "user", "content": text},))
        key = completion_key("o", "m", prompt)
        store.put(key, "o", prompt, Completion(text=answer, model="m"))
        return key
"""


def test_what_is_put_comes_back_marked_as_stored(store: CompletionStore) -> None:
    asked = prompt()
    answer = Completion(
        text="git switch main",
        model="m",
        finish_reason="stop",
        prompt_tokens=11,
        completion_tokens=3,
        latency=0.25,
        id="chatcmpl-1",
    )
    key = completion_key(ORIGIN, "m", asked)
    store.put(key, ORIGIN, asked, answer)
    stored = store.get(key)
    assert stored is not None and stored.stored
    assert (stored.text, stored.finish_reason, stored.prompt_tokens, stored.completion_tokens) == (
        "git switch main",
        "stop",
        11,
        3,
    )
    assert (stored.latency, stored.id, stored.model) == (0.25, "chatcmpl-1", "m")
    assert store.get("0" * 64) is None


# Any text at all, half a surrogate pair and NUL included, that is not empty.
ANY_TEXT = st.text(st.characters(), min_size=1).filter(lambda text: bool(text.strip()))


@pytest.fixture(scope="module")
def one_store() -> Iterator[CompletionStore]:
    with tempfile.TemporaryDirectory() as folder, CompletionStore(Path(folder) / "c.sqlite") as opened:
        yield opened


@given(ANY_TEXT, st.text(st.characters()))
def test_any_text_comes_back_as_it_was(one_store: CompletionStore, answer: str, question: str) -> None:
    asked = prompt(question + answer)
    stored = one_store.get(put(one_store, asked, answer))
    assert stored is not None and stored.text == answer


@pytest.mark.parametrize("text", ["\x00git\x00", "a\r\nb", "\ud800", "ключ 🎉", "x" * 1_000_000])
def test_odd_texts_come_back_as_they_were(store: CompletionStore, text: str) -> None:
    stored = store.get(put(store, prompt(), text))
    assert stored is not None and stored.text == text


@pytest.mark.parametrize("text", ["", " ", "\r\n\t"])
def test_an_empty_answer_is_not_stored(store: CompletionStore, text: str) -> None:
    with pytest.raises(ValueError, match="an empty answer is not stored"):
        put(store, prompt(), text)
    assert list(store.completions()) == []


def test_the_first_answer_stays(store: CompletionStore) -> None:
    put(store, prompt(), "first")
    key = put(store, prompt(), "second")
    stored = store.get(key)
    assert stored is not None and stored.text == "first"


def test_many_at_once(store: CompletionStore) -> None:
    keys = [put(store, prompt(str(number)), f"answer {number}") for number in range(1234)]
    found = store.get_many([*keys, "0" * 64])
    assert [found[key].text for key in keys] == [f"answer {number}" for number in range(1234)]


def test_everything_can_be_listed_for_training(store: CompletionStore) -> None:
    for number in range(1100):
        put(store, prompt(str(number), task="git", parity=str(number % 2)), "answer", model=f"m{number % 3}")
    everything = list(store.completions())
    assert [row.prompt.messages[1]["content"] for row in everything] == [str(number) for number in range(1100)]
    assert everything[0].prompt == prompt("0", task="git", parity="0")
    assert (everything[0].origin, everything[0].completion.stored) == (ORIGIN, True)
    chosen = list(store.completions(model="m1", metadata={"task": "git", "parity": "1"}))
    assert [int(row.prompt.messages[1]["content"]) for row in chosen] == [n for n in range(1100) if n % 6 == 1]
    assert list(store.completions(metadata={"task": "other"})) == []


def test_what_was_put_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with CompletionStore(path) as store:
        key = put(store, prompt(), "git log")
    with CompletionStore(path) as store:
        assert store.get(key) is not None


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    process = python(
        """
        with CompletionStore(Path(sys.argv[1])) as store:
            for number in range(1_000_000):
                print(put(store, str(number), "answer " * 500), flush=True)
        """,
        path,
    )
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(300)]
    process.send_signal(signal.SIGKILL)
    acknowledged += process.stdout.read().split("\n")[:-1]  # whole lines only
    process.communicate()
    with CompletionStore(path) as store:
        found = store.get_many(acknowledged)
        assert set(found) == set(acknowledged)
        put(store, prompt(), "and it can still be written")


def test_two_processes_share_a_store(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    script = """
        with CompletionStore(Path(sys.argv[1])) as store:
            for number in range(300):
                put(store, "same " + str(number), "by " + sys.argv[2])
                put(store, sys.argv[2] + " " + str(number), "by " + sys.argv[2])
        """
    processes = [python(script, path, name) for name in ("one", "other")]
    for process in processes:
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
    with CompletionStore(path) as store:
        rows = list(store.completions())
    assert len(rows) == 900
    assert len({row.prompt.messages[0]["content"] for row in rows}) == 900


def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    process = python(
        """
        import resource
        with CompletionStore(Path(sys.argv[1])) as store:
            put(store, "warm up", "answer")
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
            try:
                for number in range(10_000):
                    print(put(store, str(number), "answer " * 500), flush=True)
            except StoreError as error:
                print(error, file=sys.stderr)
            print(len(list(store.completions())) - 1)
        """,
        path,
    )
    output, errors = process.communicate()
    *acknowledged, readable = output.split()
    assert f"The completion store {path} cannot be written: the disk is full or fails" in errors
    assert "What was stored before is safe; make room and run again" in errors
    assert len(acknowledged) == int(readable) > 10
    with CompletionStore(path) as store:
        assert len(store.get_many(acknowledged)) == len(acknowledged)
        put(store, prompt(), "there is room again")


def foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.commit()
    connection.close()


def newer(path: Path) -> None:
    CompletionStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()


def overwritten(path: Path) -> None:
    with CompletionStore(path) as store:
        for number in range(50):
            put(store, prompt(str(number)), "answer")
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * len(content[4096:])
    path.write_bytes(content)


def cut(path: Path) -> None:
    with CompletionStore(path) as store:
        put(store, prompt(), "answer")
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.write_bytes(b"this is no database at all, but some text " * 100), "is damaged"),
        (lambda path: path.write_bytes(os.urandom(5000)), "is damaged"),
        (overwritten, "is damaged"),
        (cut, "is damaged"),
        (foreign, "is a database of another program, and no completion store: name another file."),
        (newer, f"has version {VERSION + 1}, and this program reads version {VERSION}: update the program"),
    ],
    ids=["text", "noise", "overwritten", "cut", "foreign", "newer"],
)
def test_a_file_that_cannot_be_used_is_named_and_left_alone(tmp_path: Path, spoil: object, sentence: str) -> None:
    path = tmp_path / "completions.sqlite"
    assert callable(spoil)
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        CompletionStore(path)
    assert str(path) in str(caught.value) and sentence in str(caught.value)
    if "another program" not in sentence:
        assert "move it aside (with completions.sqlite-wal and completions.sqlite-shm" in str(caught.value)
        assert "loses cached answers and nothing else" in str(caught.value)
    assert path.read_bytes() == before


def test_a_path_that_is_no_place_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"The folder .* cannot be made: Not a directory"):
        CompletionStore(tmp_path / "file" / "below" / "c.sqlite")
    with pytest.raises(StoreError, match=r"cannot be opened .* is it a file in a folder of yours\?"):
        CompletionStore(tmp_path)


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    path.touch()
    with CompletionStore(path) as store:
        assert store.get(put(store, prompt(), "git log")) is not None


def test_a_store_that_may_only_be_read(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    CompletionStore(path).close()
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.execute("DELETE FROM completions")
    connection.close()
    assert "may not be written" in str(explained(path, caught.value))


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = CompletionStore(tmp_path / "c.sqlite")
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        put(store, prompt(), "git log")


def test_threads_may_write_at_the_same_time(store: CompletionStore) -> None:
    def work(name: int) -> None:
        for number in range(100):
            put(store, prompt(f"{name} {number}"), "answer")

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(store.completions())) == 800


def test_a_write_that_waits_for_another_process_does_not_stop_the_loop(store: CompletionStore) -> None:
    other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    async def run() -> None:
        asked = prompt()
        key = completion_key(ORIGIN, "m", asked)
        writing = asyncio.create_task(store.put_soon(key, ORIGIN, asked, Completion(text="git log", model="m")))
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert not writing.done() and store.get(key) is None
        other.execute("ROLLBACK")
        await writing
        assert store.get(key) is not None

    asyncio.run(run())
    other.close()


def test_a_cancelled_writer_loses_nothing(tmp_path: Path) -> None:
    asked = prompt()
    key = completion_key(ORIGIN, "m", asked)

    async def run(store: CompletionStore) -> None:
        writing = asyncio.create_task(store.put_soon(key, ORIGIN, asked, Completion(text="git log", model="m")))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing

    with CompletionStore(tmp_path / "c.sqlite") as store:
        asyncio.run(run(store))
    with CompletionStore(tmp_path / "c.sqlite") as store:
        assert store.get(key) is not None


def test_a_claim_is_one_process_s_until_it_lets_go_or_ends(store: CompletionStore) -> None:
    key = "ab" * 32
    script = """
        store = CompletionStore(Path(sys.argv[1]))
        print(store.claim("ab" * 32), flush=True)
        import time; time.sleep(60)
        """
    holder = python(script, store.path)
    assert holder.stdout is not None and holder.stdout.readline() == "True\n"
    assert not store.claim(key)
    assert store.claim("cd" * 32)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert store.claim(key)
    assert not store.claim(key)  # nor may another task of this process
    store.release(key)
    assert store.claim(key)
