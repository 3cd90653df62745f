"""What pip is given, and what is repeated of what it says."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from distill.server.download import DownloadError, pip_environment, wheel


def test_pip_gets_its_own_settings_and_nobody_s_keys() -> None:
    environment = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "PIP_INDEX_URL": "https://index.example/simple",
        "https_proxy": "http://proxy:1",
        "HTTPS_PROXY": "http://proxy:1",
        "SSL_CERT_FILE": "/certificates",
        "LC_ALL": "C.UTF-8",
    }
    keys = {
        "OPENAI_API_KEY": "sk-1",
        "HF_TOKEN": "hf",
        "AWS_SECRET_ACCESS_KEY": "x",
        "PYTHONPATH": "/x",
        "MY_PATH": "y",
    }

    assert pip_environment(environment | keys) == environment


def test_control_codes_in_pip_s_output_do_not_reach_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    console = Console(file=io.StringIO())

    with pytest.raises(DownloadError) as error:
        wheel("no-such-package\x1b[31m-of-a-test", "1.0", tmp_path, expected=1, label="x", console=console)

    assert "pip could not download" in str(error.value)
    assert str(error.value).replace("no-such-package\x1b[31m-of-a-test", "", 1).isprintable()
