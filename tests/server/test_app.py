"""The paths, who may ask them, and the shape of every refusal."""

from __future__ import annotations

import json
import socket
from typing import Any

import openai
import pytest

from .conftest import Start, words

KEY = {"authorization": "Bearer a-key"}
JSON = KEY | {"content-type": "application/json"}
ASK = {"model": "small", "messages": [{"role": "user", "content": "Switch to main."}]}


def refused(response: Any, status: int) -> dict[str, Any]:
    """The error object of a refusal, which has OpenAI's shape and no trace of the code."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(response.json()) == {"error"} and set(error) == {"message", "type", "param", "code"}
    assert "Traceback" not in response.text and 'File "' not in response.text
    return dict(error)


def test_models_are_listed_and_described(start: Start) -> None:
    platform = start()

    assert [model.id for model in platform.client.models.list()] == ["small", "other"]
    assert platform.client.models.retrieve("other").owned_by == "local"


def test_an_unknown_model_is_told_what_there_is(start: Start) -> None:
    platform = start()

    for ask in (
        lambda: platform.client.models.retrieve("gpt-4o"),
        lambda: platform.client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "?"}]),
    ):
        with pytest.raises(openai.NotFoundError, match=r"'gpt-4o' does not exist here.*other, small") as error:
            ask()
        assert (error.value.code, error.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YTpi", "Bearer wrong", "Bearer a-key2", "a-key"])
def test_a_request_without_the_key_is_refused(start: Start, header: str | None) -> None:
    platform = start()

    response = platform.http.get("/v1/models", headers={} if header is None else {"authorization": header})

    error = refused(response, 401)
    assert error["code"] in ("missing_api_key", "invalid_api_key")
    assert "a-key" not in response.text


def test_health_needs_no_key(start: Start) -> None:
    assert start().http.get("/health").json() == {"status": "ready"}


def test_without_a_key_only_this_machine_by_name_may_ask(start: Start) -> None:
    platform = start(api_key=None)

    for host in ("localhost:1", "127.0.0.1", "[::1]:8000"):
        assert platform.http.get("/v1/models", headers={"host": host}).status_code == 200
    for host in ("attacker.example", "", "[", "[::", "localhost.attacker.example", "127.0.0.1@attacker.example"):
        error = refused(platform.http.get("/v1/models", headers={"host": host}), 403)
        assert error["code"] == "host_not_allowed"


def test_without_a_key_no_web_page_of_another_site_may_ask(start: Start) -> None:
    platform = start(api_key=None)

    assert platform.http.get("/v1/models", headers={"origin": "http://localhost:3000"}).status_code == 200
    for origin in ("https://attacker.example", "null", "", "http://[", "file://", "https://localhost.attacker.example"):
        error = refused(platform.http.get("/v1/models", headers={"origin": origin}), 403)
        assert error["code"] == "origin_not_allowed"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/unknown", 404),
        ("GET", "/", 404),
        ("GET", "/v1/models/../../etc/passwd", 404),
        ("PUT", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models", 405),
    ],
)
def test_a_path_that_does_not_exist(start: Start, method: str, path: str, status: int) -> None:
    refused(start().http.request(method, path, headers=KEY), status)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"model": "small",}',
        b"\xff\xfe",
        b'{"model": NaN}',
        b'{"model": "\\ud800"}',
        b"[" * 100_000,
        b"null",
        b"[]",
    ],
)
def test_a_body_that_is_no_json_object(start: Start, body: bytes) -> None:
    error = refused(start().http.post("/v1/chat/completions", content=body, headers=JSON), 400)

    assert error["code"] in ("invalid_json", "invalid_type")


def test_a_body_that_does_not_say_it_is_json(start: Start) -> None:
    headers = KEY | {"content-type": "text/plain"}

    response = start().http.post("/v1/chat/completions", content=json.dumps(ASK), headers=headers)

    assert refused(response, 400)["code"] == "invalid_content_type"


def test_a_body_that_is_too_large(start: Start) -> None:
    platform = start(largest_body=1000)

    announced = platform.http.post("/v1/chat/completions", content=b" " * 1001, headers=JSON)
    streamed = platform.http.post("/v1/chat/completions", content=iter([b" " * 600] * 3), headers=JSON)

    for response in (announced, streamed):
        assert refused(response, 413)["code"] == "request_too_large"


def test_a_failure_of_the_code_shows_nothing_of_it(start: Start) -> None:
    platform = start([ZeroDivisionError("secret detail")])

    response = platform.http.post("/v1/chat/completions", json=ASK, headers=KEY)

    assert "secret" not in refused(response, 500)["message"]


def test_a_client_that_speaks_no_http_disturbs_nobody(start: Start) -> None:
    platform = start(words("git switch main"))
    with socket.create_connection(("127.0.0.1", int(platform.url.rpartition(":")[2]))) as raw:
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b"400" in raw.recv(1000)

    assert platform.http.post("/v1/chat/completions", json=ASK, headers=KEY).status_code == 200
