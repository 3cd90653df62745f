"""The environment of a case: nothing of ours in it, and nothing that masks an answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distill.sandbox.environment import case_environment, with_root_named, write_global_config


def test_nothing_comes_from_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    before = case_environment("/case")
    for name in [*os.environ, "OPENAI_API_KEY", "GIT_DIR", "PERL5LIB", "BASH_ENV"]:
        monkeypatch.setenv(name, "changed")
    assert case_environment("/case") == before
    assert "changed" not in before.values()


def test_no_variable_takes_precedence_over_what_an_answer_can_configure() -> None:
    masks = {"GIT_EDITOR", "VISUAL", "GIT_SEQUENCE_EDITOR", "GIT_CONFIG_GLOBAL", "XDG_CONFIG_HOME", "GIT_SSH_COMMAND"}
    masks |= {f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    assert not masks & set(case_environment("/case", scratch="/scratch"))


def test_the_global_configuration_is_an_ordinary_file(tmp_path: Path) -> None:
    write_global_config(tmp_path)
    file = tmp_path / ".gitconfig"
    assert file.is_file() and file.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"Merge branch 'main' of /dev/shm/distill-case-ab_12xyz/case/origin", b"Merge branch 'main' of /case/origin"),
        (b"/tmp/a b/distill-case-ab_12xyz/case", b"/tmp/a b/case"),
        (b"/dev/shm/distill-case-ab_12xyz/cases", b"/dev/shm/distill-case-ab_12xyz/cases"),
        (b"/case/origin", b"/case/origin"),
    ],
)
def test_a_worker_s_folder_is_called_by_its_common_name(text: bytes, named: bytes) -> None:
    assert with_root_named(text) == named
