"""Starting and stopping the server process; without a model, which is loaded only when it is asked."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest
from rich.console import Console

from distill.models.registry import LocalModel
from distill.server.process import LocalServer, LocalServerError, child_environment
from distill.server.serve import serve

from .conftest import is_running, until


@pytest.fixture
def models(tmp_path: Path) -> dict[str, LocalModel]:
    """A model that can be served and never loaded."""
    path = tmp_path / "no model.gguf"
    path.write_bytes(b"this is not a model\n" * 1000)
    return {"small": LocalModel(gguf=path)}


@pytest.fixture
def server(models: dict[str, LocalModel], monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    with LocalServer(["small"], models, preload=False) as server:
        yield server


def test_it_serves_until_it_is_stopped(server: LocalServer) -> None:
    pid = server.pid
    with openai.OpenAI(base_url=server.base_url, api_key=server.api_key) as client:
        assert [model.id for model in client.models.list()] == ["small"]
    assert pid is not None and is_running(pid)
    assert os.getsid(pid) != os.getsid(0), "Ctrl-C would reach it"

    server.stop()

    assert not is_running(pid) and server.pid is None
    server.stop()


@pytest.mark.slow
def test_stopping_needs_no_force_when_somebody_holds_its_pipe_open(server: LocalServer) -> None:
    process = server._process
    assert process is not None and process.stdin is not None
    held = os.dup(process.stdin.fileno())

    server.stop()

    os.close(held)
    assert process.returncode != -signal.SIGKILL


def test_every_start_has_a_key_and_nobody_else_gets_in(server: LocalServer) -> None:
    assert server.api_key is not None and len(server.api_key) >= 32
    assert httpx2.get(f"{server.base_url}/models").status_code == 401


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="this system does not show a process's environment")
def test_no_key_is_where_other_programs_can_read_it(server: LocalServer) -> None:
    seen = b"".join(Path(f"/proc/{server.pid}/{name}").read_bytes() for name in ("cmdline", "environ"))

    assert server.api_key is not None
    assert b"distill.server" in seen
    assert server.api_key.encode() not in seen and b"sk-of-somebody-else" not in seen


def test_the_environment_is_built_from_nothing() -> None:
    environment = child_environment(
        {"PATH": "/bin", "OPENAI_API_KEY": "sk", "HF_TOKEN": "hf", "PYTHONPATH": "/mine", "OMP_NUM_THREADS": "3"}
    )

    assert set(environment) == {"PATH", "PYTHONPATH", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "PYTHONUNBUFFERED"}
    assert environment["PYTHONPATH"].endswith(f"{os.pathsep}/mine")
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_stops_the_start(models: dict[str, LocalModel]) -> None:
    told: list[str] = []
    server = LocalServer(["small"], models, report=told.append)

    with pytest.raises(LocalServerError, match=r"'small' could not be loaded: .*no model.gguf could not be loaded"):
        server.start()

    assert told == ["loading small"] and server.pid is None


def test_a_model_that_cannot_be_loaded_later_is_an_error_of_openai_s_shape(server: LocalServer) -> None:
    with (
        openai.OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0) as client,
        pytest.raises(openai.InternalServerError) as error,
    ):
        client.chat.completions.create(model="small", messages=[{"role": "user", "content": "?"}])

    assert error.value.code == "model_not_loaded"


def test_a_port_that_is_taken(models: dict[str, LocalModel]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LocalServerError, match=f"cannot listen on 127.0.0.1 port {port}: Address already in use"):
            LocalServer(["small"], models, port=port, preload=False).start()


@pytest.mark.slow
def test_what_is_kept_outlives_the_server(models: dict[str, LocalModel], tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    for turn in range(2):
        with (
            LocalServer(["small"], models, preload=False, data=data) as server,
            openai.OpenAI(base_url=server.base_url, api_key=server.api_key) as client,
        ):
            if turn == 0:
                made = client.files.create(file=b"content", purpose="evals").id
            assert [file.id for file in client.files.list()] == [made]
    assert data.stat().st_mode & 0o077 == 0, "others can read it"


def test_a_data_folder_that_cannot_be_used(models: dict[str, LocalModel], tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(LocalServerError, match=r"The data folder .*file/data cannot be used: Not a directory"):
        LocalServer(["small"], models, preload=False, data=tmp_path / "file" / "data").start()


def test_other_machines_are_never_served_without_a_key() -> None:
    with pytest.raises(LocalServerError, match="needs an API key"):
        LocalServer(["small"], host=".".join("0000"), needs_key=False).start()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (r"printf '\033[31mno such library\n' >&2; exit 1", r"ended while it started \(status 1\).*\n  \?\[31mno such"),
        ("kill -9 $$", r"\(status -9\). Its log is empty"),
        ("echo not JSON; exec sleep 60", "was not ready after 2 s"),
    ],
)
def test_a_process_that_does_not_come_up(
    program: str, message: str, models: dict[str, LocalModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{program}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    server = LocalServer(["small"], models, start_within=2)

    with pytest.raises(LocalServerError, match=message):
        server.start()

    assert server.pid is None


START = """
import sys, time
from pathlib import Path
from distill.models.registry import LocalModel
from distill.server.process import LocalServer
server = LocalServer(["small"], {"small": LocalModel(gguf=Path(sys.argv[1]))}, preload=False)
server.start()
print(server.pid, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("leaves_a_child", [False, True])
def test_it_ends_with_a_parent_that_is_killed(leaves_a_child: bool, models: dict[str, LocalModel]) -> None:
    """Also when a child of the parent still holds the pipe open, whose closing is the usual sign."""
    then = "import os\nchild = os.fork() if sys.argv[2:] else 0\nif child: print(child, flush=True)\ntime.sleep(60)"
    command = [sys.executable, "-W", "ignore", "-c", START + then, str(models["small"].gguf)]
    parent = subprocess.Popen([*command, *["fork"] * leaves_a_child], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        child = int(parent.stdout.readline()) if leaves_a_child else None
    assert is_running(pid)

    parent.kill()
    parent.wait()

    try:
        until(lambda: not is_running(pid))
    finally:
        if child is not None:
            os.kill(child, signal.SIGKILL)


@pytest.mark.slow
def test_it_ends_with_a_parent_that_forgets_it(models: dict[str, LocalModel]) -> None:
    done = subprocess.run([sys.executable, "-c", START, str(models["small"].gguf)], capture_output=True, text=True)

    until(lambda: not is_running(int(done.stdout)))


SERVE = """
import sys
from pathlib import Path
from distill.models.registry import LocalModel
from distill.server.serve import serve
sys.exit(serve(["small"], {"small": LocalModel(gguf=Path(sys.argv[1]))}, port=0))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_in_the_foreground_until_a_signal(number: signal.Signals, models: dict[str, LocalModel]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(models["small"].gguf)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with process.stderr:
        line = process.stderr.readline()
        assert line.startswith("Serving small at http://127.0.0.1:") and "no API key needed" in line
        url = line.split()[3]
        assert httpx2.get(f"{url}/models").json()["data"][0]["id"] == "small"
        assert process.stderr.readline() == "Press Ctrl-C to stop.\n"
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stderr.read() == ""
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/models")


def test_serving_other_machines_in_the_foreground_needs_a_key(models: dict[str, LocalModel]) -> None:
    with pytest.raises(LocalServerError, match="needs an API key"):
        serve(["small"], models, host="::", console=Console(file=io.StringIO()))
