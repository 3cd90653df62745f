"""Stored chat completions through the real client: what is kept, and how it is found again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.server.completions import complete
from distill.server.errors import ApiError

from .conftest import Platform, Start, StubEngine, words

KEY = {"authorization": "Bearer a-key"}


def store(platform: Platform, *, model: str = "small", request: str = "Switch to main.", **parameters: Any) -> Any:
    messages: Any = [{"role": "system", "content": "Answer with git."}, {"role": "user", "content": request}]
    return platform.client.chat.completions.create(model=model, messages=messages, store=True, **parameters)


@pytest.fixture
def platform(start: Start) -> Platform:
    return start(lambda _generation: words("git switch main"))


def test_an_answer_is_kept_with_its_request(platform: Platform) -> None:
    answer = store(platform, metadata={"task": "git"}, temperature=0, max_completion_tokens=32, stop=["\n"], user="me")

    kept = platform.client.chat.completions.retrieve(answer.id)

    assert kept.choices == answer.choices and kept.usage == answer.usage and kept.created == answer.created
    assert kept.metadata == {"task": "git"}
    shown = kept.model_dump()
    assert {key: shown[key] for key in ("temperature", "top_p", "max_completion_tokens", "stop", "seed")} == {
        "temperature": 0,
        "top_p": 1.0,
        "max_completion_tokens": 32,
        "stop": ["\n"],
        "seed": None,
    }
    assert shown["input_user"] == "me" and shown["request_id"] == answer._request_id
    assert "messages" not in shown and answer.metadata is None
    messages = platform.client.chat.completions.messages.list(answer.id).data
    assert [(message.id, message.role, message.content) for message in messages] == [
        (f"{answer.id}-0", "system", "Answer with git."),
        (f"{answer.id}-1", "user", "Switch to main."),
    ]


def test_a_streamed_answer_is_kept_whole(platform: Platform) -> None:
    chunks = list(store(platform, stream=True, n=2, metadata={"task": "git"}, stream_options={"include_usage": True}))

    kept = platform.client.chat.completions.retrieve(chunks[0].id)

    assert [choice.message.content for choice in kept.choices] == ["git switch main"] * 2
    assert kept.usage == chunks[-1].usage
    assert "stream" not in kept.model_dump()


def test_what_was_not_to_be_stored_is_not(platform: Platform) -> None:
    messages: Any = [{"role": "user", "content": "Switch to main."}]
    for parameters in ({}, {"store": False}, {"store": None}, {"metadata": {"task": "git"}}):
        answer = platform.client.chat.completions.create(model="small", messages=messages, **parameters)
        with pytest.raises(openai.NotFoundError) as error:
            platform.client.chat.completions.retrieve(answer.id)
        assert (error.value.code, error.value.param) == ("not_found", "completion_id")

    assert platform.client.chat.completions.list().data == []


def test_parts_of_a_message_are_kept_as_parts(platform: Platform) -> None:
    parts: Any = [{"type": "text", "text": "Switch "}, {"type": "text", "text": "to main."}]
    answer = platform.client.chat.completions.create(
        model="small", messages=[{"role": "user", "name": "me", "content": parts}], store=True
    )

    (message,) = platform.client.chat.completions.messages.list(answer.id)

    assert message.content == "Switch to main."
    assert [part.to_dict() for part in message.content_parts or ()] == parts
    assert message.model_dump()["name"] == "me"


def test_a_list_is_filtered_by_model_and_metadata(platform: Platform) -> None:
    ids = {}
    for model in ("small", "other"):
        for metadata in ({}, {"task": "git"}, {"task": "git", "round": "1"}, {"task": "shell", "round": "1"}):
            ids[model, *metadata.values()] = store(platform, model=model, metadata=metadata).id
    listed = platform.client.chat.completions.list

    def found(**filters: Any) -> set[str]:
        return {completion.id for completion in listed(**filters)}

    assert found() == set(ids.values())
    assert found(model="small") == {id for key, id in ids.items() if key[0] == "small"}
    assert found(metadata={"task": "git"}) == {id for key, id in ids.items() if "git" in key}
    assert found(model="other", metadata={"round": "1", "task": "git"}) == {ids["other", "git", "1"]}
    assert found(metadata={"task": "1"}) == found(metadata={"round": "git"}) == found(model="large") == set()


@pytest.mark.parametrize("filters", [{}, {"model": "small"}, {"metadata": {"task": "git"}}])
def test_a_list_is_walked_through_page_by_page(platform: Platform, filters: Any) -> None:
    made = [store(platform, metadata={"task": "git"}).id for _ in range(5)]
    completions = platform.client.chat.completions

    first = completions.list(limit=2, **filters)

    assert [completion.id for completion in first.data] == made[:2] and first.has_more
    raw = platform.http.get("/v1/chat/completions", params={"limit": 2}, headers=KEY).json()
    assert (raw["object"], raw["first_id"], raw["last_id"], raw["has_more"]) == ("list", made[0], made[1], True)
    assert [completion.id for completion in first] == made
    assert [completion.id for completion in completions.list(limit=2, order="desc", **filters)] == made[::-1]
    assert not completions.list(limit=5, **filters).has_more


def test_deleting_while_walking_misses_nothing(platform: Platform) -> None:
    for _ in range(5):
        store(platform, metadata={"task": "git"})

    for completion in platform.client.chat.completions.list(limit=2, metadata={"task": "git"}):
        assert platform.client.chat.completions.delete(completion.id).deleted

    assert platform.client.chat.completions.list().data == []


def test_updating_replaces_the_metadata(platform: Platform) -> None:
    made = store(platform, metadata={"task": "git", "round": "1"}).id
    completions = platform.client.chat.completions

    updated = completions.update(made, metadata={"task": "git", "kept": "yes"})

    assert updated.metadata == completions.retrieve(made).metadata == {"task": "git", "kept": "yes"}
    assert [each.id for each in completions.list(metadata={"kept": "yes"})] == [made]
    assert list(completions.list(metadata={"round": "1"})) == []
    assert completions.update(made, metadata=None).metadata == {}
    assert list(completions.list(metadata={"task": "git"})) == []


def test_a_deleted_completion_is_gone(platform: Platform) -> None:
    made = store(platform, metadata={"task": "git"}).id
    completions = platform.client.chat.completions

    assert completions.delete(made).model_dump() == {
        "id": made,
        "deleted": True,
        "object": "chat.completion.deleted",
    }

    for gone in (
        lambda: completions.retrieve(made),
        lambda: completions.messages.list(made),
        lambda: completions.update(made, metadata={}),
        lambda: completions.delete(made),
    ):
        with pytest.raises(openai.NotFoundError):
            gone()
    assert list(completions.list(metadata={"task": "git"})) == list(completions.list(model="small")) == []


def test_messages_page_by_page(platform: Platform) -> None:
    made = store(platform).id
    messages = platform.client.chat.completions.messages

    assert [message.role for message in messages.list(made, limit=1)] == ["system", "user"]
    assert [message.role for message in messages.list(made, order="desc", limit=1)] == ["user", "system"]
    with pytest.raises(openai.BadRequestError) as error:
        messages.list(made, after="elsewhere-0")
    assert error.value.param == "after"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("limit=1.5", "limit"),
        ("limit=", "limit"),
        ("limit=%D9%A3", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("order=up", "order"),
        ("metadata=git", "metadata"),
    ],
)
def test_a_list_that_cannot_be_had(shared: Platform, query: str, param: str) -> None:
    response = shared.http.get(f"/v1/chat/completions?{query}", headers=KEY)

    assert response.status_code == 400 and response.json()["error"]["param"] == param


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"metadata": "git"},
        {"metadata": {"task": 1}},
        {"metadata": {"k" * 65: "v"}},
        {"metadata": {"k": "v" * 513}},
        {"metadata": {str(number): "v" for number in range(17)}},
        {"metadata": {}, "messages": []},
        [],
    ],
)
def test_an_update_that_cannot_be_made(platform: Platform, body: Any) -> None:
    made = store(platform, metadata={"task": "git"}).id

    response = platform.http.post(f"/v1/chat/completions/{made}", json=body, headers=KEY)

    assert response.status_code == 400 and response.json()["error"]["type"] == "invalid_request_error"
    assert platform.client.chat.completions.retrieve(made).metadata == {"task": "git"}


@pytest.mark.parametrize("name", ["no-such", "chatcmpl-' OR 1=1", "%00", "..%2f..", "x" * 10_000, "%F0%9F%98%80"])
def test_an_id_that_nobody_has(shared: Platform, name: str) -> None:
    response = shared.http.get(f"/v1/chat/completions/{name}", headers=KEY)

    assert response.status_code == 404 and set(response.json()) == {"error"}


@pytest.fixture(scope="module")
def shared() -> Iterator[Platform]:
    platform = Platform(StubEngine(lambda _generation: words("git status")), api_key="a-key")
    yield platform
    platform.stop()


@settings(max_examples=25, deadline=None)
@given(
    metadata=st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
        st.text(st.characters(codec="utf-8"), max_size=12),
        min_size=1,
        max_size=4,
    ),
    request_text=st.text(st.characters(codec="utf-8"), max_size=40),
)
def test_any_text_comes_back_as_it_was(shared: Platform, metadata: dict[str, str], request_text: str) -> None:
    made = store(shared, request=request_text, metadata=metadata)
    completions = shared.client.chat.completions

    assert completions.retrieve(made.id).metadata == metadata
    assert completions.messages.list(made.id).data[1].content == request_text
    assert made.id in {each.id for each in completions.list(metadata=metadata, order="desc")}


def test_asking_from_within_is_the_same(platform: Platform) -> None:
    body = {"model": "small", "messages": [{"role": "user", "content": "?"}], "store": True, "metadata": {"a": "b"}}

    answer = platform.run(complete(platform.inside, body))

    assert platform.client.chat.completions.retrieve(answer["id"]).choices[0].message.content == "git switch main"
    for refused in ({**body, "stream": True}, {**body, "model": "large"}, {**body, "temperature": 9}):
        with pytest.raises(ApiError):
            platform.run(complete(platform.inside, refused))
