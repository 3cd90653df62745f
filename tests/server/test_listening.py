"""What is no HTTP, or too much of it, is answered in OpenAI's shape and cut off; everybody else goes on."""

from __future__ import annotations

import json
import socket

import pytest

from distill.server.listening import LARGEST_HEAD

from .conftest import Platform, Start

KEY = {"authorization": "Bearer a-key"}
HEAD = b"GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\n"


def say(platform: Platform, *blocks: bytes) -> bytes:
    """Everything that the server answers until it closes the connection."""
    address = ("127.0.0.1", int(platform.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=20) as connection:
        try:
            for block in blocks:
                connection.sendall(block)
            connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough
        answer = b""
        try:
            while block := connection.recv(65_536):
                answer += block
        except ConnectionResetError:
            pass
    return answer


@pytest.mark.parametrize(
    "blocks",
    [
        [HEAD + b"x-flood: " + b"x" * (LARGEST_HEAD + 1)],
        [HEAD, *[b"x-flood: some value\r\n"] * 5000],
        [b"GET /" + b"x" * (LARGEST_HEAD + 1)],
        [b"\x16\x03\x01\x02\x00 nonsense\r\n\r\n"],
        [b"GET /v1/models HTTP/9.9\r\n\r\n"],
        [HEAD + b"no colon\r\n\r\n"],
        [HEAD + b"content-length: -1\r\n\r\n"],
        [HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\n"],
        [HEAD + b"transfer-encoding: magic\r\n\r\n"],
        [b"POST /v1/files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nnot a length\r\n"],
        [b"GET http://[ HTTP/1.1\r\nhost: x\r\n\r\n\x00"],
    ],
    ids=lambda blocks: str(blocks[0][-30:]),
)
def test_what_is_no_request(start: Start, blocks: list[bytes]) -> None:
    platform = start()

    answer = say(platform, *blocks)

    if answer:  # the system drops it where the client was still sending
        head, _, body = answer.decode().partition("\r\n\r\n")
        assert head.split()[1].startswith("4")
        assert set(json.JSONDecoder().raw_decode(body)[0]["error"]) == {"message", "type", "param", "code"}
    assert platform.http.get("/v1/models", headers=KEY).status_code == 200


def test_headers_up_to_the_limit_are_taken(start: Start) -> None:
    headers = KEY | {"x-long": "x" * (LARGEST_HEAD - 2000)}

    assert start().http.get("/v1/models", headers=headers).status_code == 200


def test_a_connection_that_says_nothing_holds_nobody_up(start: Start) -> None:
    platform = start()
    address = ("127.0.0.1", int(platform.url.rpartition(":")[2]))
    silent = [socket.create_connection(address) for _ in range(50)]
    for connection in silent[::2]:
        connection.sendall(HEAD)

    assert platform.http.get("/v1/models", headers=KEY).status_code == 200

    for connection in silent:
        connection.close()


def test_every_response_has_an_id(start: Start) -> None:
    platform = start()

    answers = [platform.http.get(path, headers=KEY) for path in ("/v1/models", "/v1/unknown", "/health")]
    answers.append(platform.http.get("/v1/models"))

    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 4 and all(each.startswith("req_") for each in ids)
