"""What a model's name stands for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from distill.models.completion import ModelError
from distill.models.registry import EMBEDDED, NO_KEY, LocalModel, bind, is_loopback, resolve, without_credentials

KEY = "sk-test-0123456789abcdef"
OPENAI = {"OPENAI_API_KEY": KEY}


def tuned(folder: Path, name: str = "git.gguf", content: bytes = b"adapter") -> LocalModel:
    adapter = folder / name
    adapter.write_bytes(content)
    return LocalModel(adapter=adapter)


def test_reference_needs_nothing() -> None:
    target = resolve("reference", environ={})
    assert (target.kind, target.base_url, target.api_key) == ("reference", None, None)


def test_the_embedded_model_needs_no_key_and_no_configuration() -> None:
    target = resolve(EMBEDDED, environ={})
    assert (target.kind, target.base_url) == ("local", None)
    assert bind(target, "http://127.0.0.1:5000/v1", KEY).base_url == "http://127.0.0.1:5000/v1"


def test_a_configured_name_is_local_even_when_a_key_is_set(tmp_path: Path) -> None:
    (tmp_path / "big.gguf").write_bytes(b"weights")
    target = resolve("gpt-4o", {"gpt-4o": LocalModel(gguf=tmp_path / "big.gguf")}, environ=OPENAI)
    assert target.kind == "local"


def test_anything_else_is_asked_at_openai() -> None:
    target = resolve("ft:gpt-4o-mini-2024-07-18:personal:git:AF7QSF0m", environ=OPENAI)
    assert (target.kind, target.base_url, target.api_key) == ("remote", "https://api.openai.com/v1", KEY)


def test_a_server_of_ones_own_may_need_no_key() -> None:
    target = resolve("qwen3", environ={"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1"})
    assert (target.base_url, target.api_key) == ("http://127.0.0.1:11434/v1", NO_KEY)


@pytest.mark.parametrize(
    "environ",
    [{}, {"OPENAI_API_KEY": ""}, {"OPENAI_API_KEY": " \n"}, {"OPENAI_BASE_URL": "https://api.openai.com/v1/"}],
)
def test_no_key_names_the_ways_on(environ: dict[str, str]) -> None:
    with pytest.raises(ModelError) as caught:
        resolve("gpt-4o", environ=environ)
    sentence = str(caught.value)
    for way in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "'reference'", repr(EMBEDDED)):
        assert way in sentence
    assert (caught.value.kind, caught.value.fatal) == ("authentication", True)


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host/v1", "http://", "nonsense"])
def test_a_base_url_that_is_none(url: str) -> None:
    with pytest.raises(ModelError, match="OPENAI_BASE_URL has to be a URL such as"):
        resolve("gpt-4o", environ={**OPENAI, "OPENAI_BASE_URL": url})


@pytest.mark.parametrize("key", ["sk-one sk-two", "sk-“quoted”"])
def test_a_key_that_was_copied_badly_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ModelError, match="copy the key again") as caught:
        resolve("gpt-4o", environ={"OPENAI_API_KEY": key})
    assert key not in str(caught.value)


def test_a_key_is_stripped_of_the_newline_it_was_read_with() -> None:
    assert resolve("gpt-4o", environ={"OPENAI_API_KEY": KEY + "\n"}).api_key == KEY


def test_an_unknown_local_model_lists_what_exists(tmp_path: Path) -> None:
    models = {f"ft:{EMBEDDED}:local:git:a1b2": tuned(tmp_path)}
    with pytest.raises(ModelError) as caught:
        resolve(f"ft:{EMBEDDED}:local:git:a1b3", models, environ=OPENAI)
    assert f"There is no fine-tuned local model 'ft:{EMBEDDED}:local:git:a1b3'." in str(caught.value)
    assert f"Did you mean 'ft:{EMBEDDED}:local:git:a1b2'?" in str(caught.value)
    assert caught.value.kind == "not_found"


def test_an_unknown_local_model_when_none_was_trained() -> None:
    with pytest.raises(ModelError, match=r"None has been trained yet\..*distill\.yaml"):
        resolve(f"ft:{EMBEDDED}:local:git:a1b2", environ={})


def test_a_key_never_shows_in_a_repr() -> None:
    assert KEY not in repr(resolve("gpt-4o", environ={**OPENAI, "OPENAI_BASE_URL": f"http://u:{KEY}@host/v1"}))


def test_the_origin_of_a_remote_answer_holds_no_credentials() -> None:
    target = resolve("m", environ={"OPENAI_BASE_URL": "https://user:secret@Host.example:8443/v1/?key=secret#f"})
    assert target.origin == "https://host.example:8443/v1"


def test_the_origin_of_a_local_answer_is_its_weights_and_not_its_address(tmp_path: Path) -> None:
    name = f"ft:{EMBEDDED}:local:git:a1b2"
    first = resolve(name, {name: tuned(tmp_path)}, environ={})
    assert bind(first, "http://127.0.0.1:1/v1", KEY).origin == bind(first, "http://127.0.0.1:2/v1", KEY).origin
    assert resolve(name, {name: tuned(tmp_path, content=b"trained again")}, environ={}).origin != first.origin
    assert resolve(EMBEDDED, environ={}).origin != first.origin


@pytest.mark.parametrize("position", [0, 20_000_000, 39_999_999])
def test_large_weights_are_told_apart_without_reading_all_of_them(tmp_path: Path, position: int) -> None:
    path = tmp_path / "large.gguf"
    with path.open("wb") as file:
        file.truncate(40_000_000)
    before = resolve("large", {"large": LocalModel(gguf=path)}, environ={}).origin
    with path.open("r+b") as file:
        file.seek(max(0, position - 2_000_000))
        file.write(b"x" * (position - file.tell() + 1))
    assert resolve("large", {"large": LocalModel(gguf=path)}, environ={}).origin != before


def test_an_adapter_counts_with_its_base(tmp_path: Path) -> None:
    base = tmp_path / "base.gguf"
    base.write_bytes(b"one")
    models = {"base": LocalModel(gguf=base), "ft:base:local:git:1": tuned(tmp_path)}
    before = resolve("ft:base:local:git:1", models, environ={}).origin
    base.write_bytes(b"two")
    assert resolve("ft:base:local:git:1", models, environ={}).origin != before


def test_an_adapter_whose_base_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"is only an adapter.*{EMBEDDED}"):
        resolve("mine", {"mine": tuned(tmp_path)}, environ={})


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"needs the file .*gone\.gguf.*Correct its path"):
        resolve("mine", {"mine": LocalModel(gguf=tmp_path / "gone.gguf")}, environ={})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "needs `gguf`, `hub` or `adapter`"),
        ({"gguf": "a.gguf", "hub": "o/n"}, "both `gguf` and `hub`"),
        ({"gguf": "a.gguf", "file": "b"}, "`file` names a file inside `hub`"),
        ({"ggfu": "a.gguf"}, "Extra inputs are not permitted"),
    ],
)
def test_local_models_that_make_no_sense(fields: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        LocalModel.model_validate(fields)


@given(st.text("abcXYZ019.:@/?#=-", max_size=30), st.text("abc019", min_size=1, max_size=8))
def test_no_password_survives(path: str, password: str) -> None:
    secret = f"secret{password}"
    assert secret not in without_credentials(f"https://user:{secret}@host/{path}".replace("[", ""))


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://127.0.0.1.example/v1", False),
        ("https://api.openai.com/v1", False),
    ],
)
def test_loopback(url: str, here: bool) -> None:
    assert is_loopback(url) is here
