"""Files through the real client: upload, list, retrieve, download, delete, and everything that is refused."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from .conftest import Platform, Start, StubEngine, until

KEY = {"authorization": "Bearer a-key"}
BOUNDARY = {"content-type": "multipart/form-data; boundary=line"}
CONVERSATION = {"messages": [{"role": "user", "content": "Switch."}, {"role": "assistant", "content": "git switch"}]}
PREFERENCE = {
    "input": {"messages": [{"role": "user", "content": "Switch."}]},
    "preferred_output": [{"role": "assistant", "content": "git switch main"}],
    "non_preferred_output": [{"role": "assistant", "content": "git checkout"}],
}


def lines(*objects: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in objects)


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    named = "" if filename is None else f'; filename="{filename}"'
    return (
        b"--line\r\n"
        + f'Content-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode("utf-8", "surrogateescape")
        + content
        + b"\r\n"
    )


END = b"--line--\r\n"
PURPOSE = part("purpose", b"user_data")
FILE = part("file", b"content", "a.txt")


@pytest.fixture
def platform(start: Start, tmp_path: Path) -> Platform:
    return start(data=tmp_path / "data", largest_upload=100_000)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """For what leaves nothing behind."""
    data = tmp_path_factory.mktemp("data")
    platform = Platform(StubEngine(lambda _generation: []), api_key="a-key", data=data, largest_upload=100_000)
    yield platform
    platform.stop()


def left_behind(platform: Platform) -> list[str]:
    return sorted(path.name for path in (platform.inside.data / "files").iterdir())


def test_a_file_comes_back_as_it_was_sent(platform: Platform) -> None:
    content = bytes(range(256)) * 100
    before = int(time.time())

    made = platform.client.files.create(file=("any thing.bin", content), purpose="user_data")

    assert made.id.startswith("file-") and made.object == "file"
    assert (made.filename, made.purpose, made.bytes, made.status) == ("any thing.bin", "user_data", 25_600, "processed")
    assert before <= made.created_at <= time.time() and made.expires_at is None
    assert platform.client.files.retrieve(made.id) == made
    response = platform.client.files.content(made.id)
    assert response.content == content
    assert response.response.headers["content-type"] == "application/octet-stream"
    assert "attachment; filename*=utf-8''any%20thing.bin" in response.response.headers["content-disposition"]
    assert (platform.inside.data / "files" / made.id).read_bytes() == content


@pytest.mark.parametrize("purpose", ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"])
def test_every_purpose(platform: Platform, purpose: Any) -> None:
    made = platform.client.files.create(file=("a.jsonl", lines(CONVERSATION)), purpose=purpose)

    assert made.purpose == purpose
    month = 30 * 24 * 3600
    assert made.expires_at == (made.created_at + month if purpose == "batch" else None)


def test_a_file_can_be_given_an_end(platform: Platform) -> None:
    made = platform.client.files.create(
        file=b"x", purpose="evals", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    other = platform.client.files.create(file=b"y", purpose="evals")
    assert made.expires_at == made.created_at + 3600

    def shorten(connection: Any) -> None:
        connection.execute("UPDATE files SET expires_at = 1 WHERE id = ?", [made.id])

    platform.run(platform.inside.database.write(shorten))

    with pytest.raises(openai.NotFoundError):
        platform.client.files.retrieve(made.id)
    assert [file.id for file in platform.client.files.list()] == [other.id]
    platform.run(platform.inside.files.sweep())
    assert left_behind(platform) == [other.id]


def test_files_are_listed_newest_first_and_by_purpose(platform: Platform) -> None:
    made = [
        platform.client.files.create(file=b"x", purpose=purpose).id
        for purpose in ("evals", "user_data", "evals", "evals")
    ]
    files = platform.client.files

    assert [file.id for file in files.list()] == made[::-1]
    assert [file.id for file in files.list(order="asc", limit=1)] == made
    assert [file.id for file in files.list(purpose="evals", limit=2)] == [made[3], made[2], made[0]]
    assert list(files.list(purpose="vision")) == []
    raw = platform.http.get("/v1/files?limit=3", headers=KEY).json()
    assert (raw["object"], raw["first_id"], raw["last_id"], raw["has_more"]) == ("list", made[3], made[1], True)


def test_a_deleted_file_is_gone(platform: Platform) -> None:
    made = platform.client.files.create(file=b"x", purpose="evals").id

    assert platform.client.files.delete(made).model_dump() == {"id": made, "deleted": True, "object": "file"}

    assert left_behind(platform) == [] and list(platform.client.files.list()) == []
    for gone in (platform.client.files.retrieve, platform.client.files.content, platform.client.files.delete):
        with pytest.raises(openai.NotFoundError) as error:
            gone(made)
        assert (error.value.code, error.value.param) == ("not_found", "id")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (lines(CONVERSATION), None),
        (lines(*[PREFERENCE] * 3), None),
        (b"not json\n", r"^Line 1: it is not JSON"),
        (lines(CONVERSATION, {"messages": []}), "^Line 2: "),
        (lines(CONVERSATION, PREFERENCE), "^Line 2: "),
        (b"[" * 50_000, "^Line 1: "),
    ],
)
def test_a_file_for_fine_tuning_is_read_at_once(platform: Platform, content: bytes, problem: str | None) -> None:
    made = platform.client.files.create(file=("train.jsonl", content), purpose="fine-tune")

    assert made.status == ("processed" if problem is None else "error")
    if problem is None:
        assert made.status_details is None
    else:
        assert re.search(problem, made.status_details or "")
    assert platform.client.files.wait_for_processing(made.id).status == made.status


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "a/b", "..", ".", "a\\b", "a\tb", "", "x" * 256, "a\u2028b"],
)
def test_a_name_that_is_a_path(shared: Platform, name: str) -> None:
    body = PURPOSE + part("file", b"content", name) + END

    response = shared.http.post("/v1/files", content=body, headers=KEY | BOUNDARY)

    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == "file"
    assert left_behind(shared) == []


@pytest.mark.parametrize("name", ["résumé 日本.jsonl", "-rf", "a;b", "%2e%2e%2f", "<script>.html", " "])
def test_a_name_is_only_a_label(platform: Platform, name: str) -> None:
    made = platform.client.files.create(file=(name, b"x"), purpose="user_data")

    assert platform.client.files.retrieve(made.id).filename == name
    assert platform.client.files.content(made.id).content == b"x"
    assert left_behind(platform) == [made.id]


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (END, "file", "missing_required_parameter"),
        (PURPOSE + END, "file", "missing_required_parameter"),
        (FILE + END, "purpose", "missing_required_parameter"),
        (PURPOSE + part("file", b"", "a.txt") + END, "file", "empty_file"),
        (part("purpose", b"stealing") + FILE + END, "purpose", "invalid_value"),
        (part("purpose", b"batch_output") + FILE + END, "purpose", "invalid_value"),
        (PURPOSE + part("file", b"content") + END, "file", "invalid_type"),
        (part("purpose", b"user_data", "a.txt") + FILE + END, "purpose", "invalid_type"),
        (PURPOSE + FILE + FILE + END, "file", "invalid_form"),
        (PURPOSE + PURPOSE + FILE + END, "purpose", "invalid_form"),
        (PURPOSE + FILE + part("color", b"red") + END, "color", "unknown_parameter"),
        (PURPOSE + FILE + part("purpose[x]", b"red") + END, "purpose[x]", "unknown_parameter"),
        (part("purpose[x]", b"red") + FILE + END, "purpose", "invalid_value"),
        (part("purpose", b"x" * 2000) + FILE + END, "purpose", "invalid_value"),
        (part("purpose", b"\xff") + FILE + END, None, "invalid_value"),
        (PURPOSE + FILE + part("expires_after", b"3600") + END, "expires_after", "invalid_type"),
        (PURPOSE + FILE + part("expires_after[seconds]", b"3600") + END, "expires_after.anchor", None),
        (
            PURPOSE + FILE + part("expires_after[anchor]", b"created_at") + part("expires_after[seconds]", b"60") + END,
            "expires_after.seconds",
            "invalid_value",
        ),
        (
            PURPOSE
            + FILE
            + part("expires_after[anchor]", b"created_at")
            + part("expires_after[seconds]", b"soon")
            + END,
            "expires_after.seconds",
            "invalid_type",
        ),
        (b"".join(part(f"f{number}", b"x") for number in range(100)) + END, None, "invalid_form"),
        (PURPOSE + FILE, None, "invalid_form"),
        (PURPOSE + FILE[:-20], None, "invalid_form"),
        (b"", None, "invalid_form"),
        (b"no boundary at all", None, "invalid_form"),
        (b"--line\r\n\r\ncontent\r\n" + END, None, "invalid_form"),
        (b"--line\r\n" + b"x: y\r\n" * 1000 + b"\r\ncontent\r\n" + END, None, "invalid_form"),
        (b"--line\r\nContent-Disposition: form-data; name=" + b"x" * 100_000, None, "invalid_form"),
        (PURPOSE + part("file", b"x" * 100_001, "a.txt") + END, "file", "file_too_large"),
        (PURPOSE + part("file", b"x" * 400_000, "a.txt") + END, None, "request_too_large"),
    ],
)
def test_an_upload_that_is_refused(shared: Platform, body: bytes, param: str | None, code: str | None) -> None:
    for content in (body, iter([body[start : start + 7001] for start in range(0, len(body), 7001)])):
        response = shared.http.post("/v1/files", content=content, headers=KEY | BOUNDARY)

        assert response.status_code == (413 if code and "too_large" in code else 400), response.text
        error = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"} and error["type"] == "invalid_request_error"
        if code is not None and (code, isinstance(content, bytes)) != ("request_too_large", False):
            assert (error["param"], error["code"]) == (param, code)
        assert left_behind(shared) == []


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/mixed; boundary=line",
        "",
    ],
)
def test_an_upload_that_is_no_form(shared: Platform, content_type: str) -> None:
    headers = KEY | {"content-type": content_type}

    response = shared.http.post("/v1/files", content=PURPOSE + FILE + END, headers=headers)

    assert response.status_code == 400
    assert response.json()["error"]["code"] in ("invalid_content_type", "invalid_form")


@pytest.mark.parametrize("name", ["file-none", "..%2fplatform.sqlite", "%2e%2e", "file-%00", "x" * 9000])
@pytest.mark.parametrize("end", ["", "/content"])
def test_a_file_that_nobody_has(shared: Platform, name: str, end: str) -> None:
    response = shared.http.get(f"/v1/files/{name}{end}", headers=KEY)

    assert response.status_code in (404, 405) and set(response.json()) == {"error"}


def test_an_upload_that_breaks_off_leaves_nothing(platform: Platform) -> None:
    go_on = threading.Event()

    def body() -> Any:
        yield PURPOSE + part("file", b"x" * 1000, "a.txt")[:-10]
        go_on.wait(20)
        raise ConnectionAbortedError

    def upload() -> None:
        with pytest.raises(ConnectionAbortedError):
            httpx2.post(f"{platform.url}/v1/files", content=body(), headers=KEY | BOUNDARY)

    thread = threading.Thread(target=upload)
    thread.start()
    until(lambda: len(left_behind(platform)) == 1)
    go_on.set()
    thread.join()
    until(lambda: left_behind(platform) == [])
    assert list(platform.client.files.list()) == []


def test_what_no_row_knows_is_removed_once_it_is_old(platform: Platform) -> None:
    folder = platform.inside.data / "files"
    known = platform.client.files.create(file=b"x", purpose="evals").id
    for name in (".partial-old", "file-old", ".partial-new", "file-new", known):
        (folder / name).touch()
        if "new" not in name:
            os.utime(folder / name, (1, 1))

    platform.run(platform.inside.files.sweep())

    assert left_behind(platform) == sorted([".partial-new", "file-new", known])


def test_a_web_page_cannot_upload_to_a_server_without_a_key(start: Start, tmp_path: Path) -> None:
    platform = start(api_key=None, data=tmp_path / "data")
    headers = BOUNDARY | {"origin": "https://attacker.example"}

    response = platform.http.post("/v1/files", content=PURPOSE + FILE + END, headers=headers)

    assert response.status_code == 403 and left_behind(platform) == []
    local = BOUNDARY | {"origin": "http://localhost:3000"}
    assert platform.http.post("/v1/files", content=PURPOSE + FILE + END, headers=local).status_code == 200
