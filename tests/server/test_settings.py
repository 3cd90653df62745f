"""Addresses that may be served without a key, and how many threads are worth it."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.server import settings
from distill.server.settings import ModelFiles, ServerSettings, check_access, is_loopback_host, usable_cores


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST", "a.localhost"])
def test_this_machine_alone(host: str) -> None:
    assert is_loopback_host(host)
    check_access(host, None)


@pytest.mark.parametrize(
    "host", [".".join("0000"), "::", "", "192.168.1.2", "example.com", "127.0.0.1.example.com", "localhost.x"]
)
def test_other_machines_need_a_key(host: str) -> None:
    assert not is_loopback_host(host)
    with pytest.raises(ValueError, match="needs an API key"):
        check_access(host, None)
    with pytest.raises(ValueError, match="needs an API key"):
        ServerSettings(models={"small": ModelFiles(gguf=Path("a.gguf"))}, host=host)
    check_access(host, "a-key")


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "a\n"])
def test_a_key_that_no_header_can_carry(key: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        check_access("127.0.0.1", key)


def test_settings_survive_the_pipe_and_hide_the_key() -> None:
    files = ModelFiles(gguf=Path("/models/a.gguf"), adapters=(Path("/models/b.gguf"),))
    given = ServerSettings(models={"ft:small": files}, api_key="a-key", port=1)

    assert ServerSettings.model_validate_json(given.model_dump_json()) == given
    assert "a-key" not in repr(given)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("900000 100000", 8),
        ("?", 8),
    ],
)
def test_threads_follow_affinity_and_quota(
    quota: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    monkeypatch.setattr(settings, "_CGROUP_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(settings.os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)

    assert usable_cores() == cores


def test_a_large_machine_gets_no_thread_for_each_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_CGROUP_QUOTA", tmp_path / "missing")
    monkeypatch.setattr(settings.os, "sched_getaffinity", lambda _pid: set(range(128)), raising=False)

    assert usable_cores() == 16
