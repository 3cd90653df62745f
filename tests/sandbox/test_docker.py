"""The docker tier without an engine: its exact command line, what it passes on, and what it says when it cannot be."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
from pathlib import Path

import pytest

from distill.sandbox.container_image import BASE, ContainerImage, Engine, build_context
from distill.sandbox.docker import ENGINE, DockerTier, client_environment, explain
from distill.sandbox.execution import Limits, SandboxUnavailable
from distill.sandbox.pool import open_tier

SIZE = 2 * 32 * 1024**2 + 16 * 1024**2


@pytest.fixture(autouse=True)
def no_variables_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (ENGINE, BASE, "DOCKER_HOST", "CONTAINER_HOST"):
        monkeypatch.delenv(name, raising=False)


def test_the_exact_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = engine(tmp_path, 'echo "27.0.1"', monkeypatch)
    launch = DockerTier().launch(9, Limits(processes=100, memory_bytes=2 * 1024**3))
    container = launch.command[launch.command.index("--name") + 1]
    user = launch.command[launch.command.index("--user") + 1]
    memory = str(2 * 1024**3 + 2 * SIZE + 1024**3)
    proxies = [
        argument
        for name in ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
        for argument in ("--env", f"{name}=", "--env", f"{name.upper()}=")
    ]
    *command, settings = launch.command
    assert command == [
        *(program, "run", "--rm", "--interactive", "--pull", "never"),
        *("--name", container, "--label", "distill=sandbox", "--log-driver", "none", "--hostname", "sandbox"),
        *("--workdir", "/", "--user", user, "--network", "none", "--ipc", "none", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges", "--read-only", "--pids-limit", "132"),
        *("--memory", memory, "--memory-swap", memory, "--ulimit", "msgqueue=0:0"),
        *("--tmpfs", f"/case:rw,exec,nosuid,nodev,size={SIZE},mode=0777"),
        *("--tmpfs", f"/scratch:rw,exec,nosuid,nodev,size={SIZE},mode=0777"),
        *proxies,
        *("--entrypoint", "python3", ContainerImage(Engine(program, {})).name),
        *("-I", "-S", "-B", "-X", "utf8", "-c"),
        "import sys; sys.path.insert(0, '/harness'); from distill.sandbox.worker import main; main()",
    ]
    number, group = map(int, user.split(":"))
    assert number == group and 20000 <= number < 60000
    said = json.loads(settings)
    assert said["channel"] is None and said["first"] and said["memory"] and said["confined"]
    assert launch.standard and launch.folder is None and launch.shared_user is None
    assert launch.clear == (program, "rm", "--force", container)


def test_two_workers_are_two_users_in_two_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(tmp_path, "exit 0", monkeypatch)
    launches = [DockerTier().launch(9, Limits()) for _ in range(8)]
    for option in ("--name", "--user"):
        assert len({launch.command[launch.command.index(option) + 1] for launch in launches}) == 8


def test_the_client_gets_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(tmp_path, "exit 0", monkeypatch)
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    monkeypatch.setenv("DOCKER_HOST", "unix:///somewhere")
    environment = client_environment()
    assert environment["DOCKER_HOST"] == "unix:///somewhere" and environment["PATH"] == os.environ["PATH"]
    assert "a-key" not in environment.values() and DockerTier().launch(9, Limits()).environment == environment


@pytest.mark.parametrize(
    ("does", "sentence"),
    [
        ("echo 27.0; echo 'Cannot connect to the Docker daemon.' >&2; exit 1", "Cannot connect to the Docker daemon."),
        ("echo; exit 0", "it does not say why"),
    ],
)
def test_an_engine_that_is_not_reached_is_a_problem(
    does: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = engine(tmp_path, does, monkeypatch)
    assert DockerTier().problem() == f"`{program}` does not reach its engine: {sentence}"


def test_no_engine_at_all_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    problem = DockerTier().problem()
    assert problem is not None and "neither `docker` nor `podman`" in problem and "install" in problem
    monkeypatch.setenv(ENGINE, "nerdctl")
    assert DockerTier().problem() == "DISTILL_DOCKER names `nerdctl`, and there is no such program"


def test_podman_is_taken_where_there_is_no_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = engine(tmp_path, "echo 5.0", monkeypatch, name="podman")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert DockerTier().problem() is None
    assert DockerTier().description.startswith("podman 5.0, no network")
    assert DockerTier().launch(9, Limits()).command[0] == program


def test_a_missing_image_is_built_and_every_step_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    does = (
        f"case $1 in version) echo 27;; image) test -e {tmp_path}/built;;\n"
        f'build) cat > {tmp_path}/built; echo "$@" > {tmp_path}/order; echo Step 1/4;; esac'
    )
    program = engine(tmp_path, does, monkeypatch)
    monkeypatch.setenv(BASE, "mirror.example/base:1")
    waiting = DockerTier(build=False).problem()
    assert waiting is not None and "not built yet" in waiting and not (tmp_path / "built").exists()
    DockerTier().launch(9, Limits())
    name = ContainerImage(Engine(program, {})).name
    said = capsys.readouterr().err
    assert f"Building the sandbox's image {name}" in said and "\n  Step 1/4\n" in said
    assert (tmp_path / "built").read_bytes() == build_context()
    assert (tmp_path / "order").read_text().split() == [
        *("build", "--tag", name, "--label", "distill=sandbox", "--build-arg", "BASE=mirror.example/base:1", "-")
    ]
    assert DockerTier(build=False).problem() is None
    DockerTier().launch(9, Limits())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "dial tcp: lookup registry.example: no such host",
            r".*the network was not there: .*no such host.*set DIS",
        ),
        ("E: Unable to locate package git", r"its image could not be built: .*Unable to locate package git$"),
    ],
)
def test_an_image_that_cannot_be_built_is_no_tier(
    words: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(tmp_path, f"case $1 in version) echo 27;; *) echo '{words}' >&2; exit 1;; esac", monkeypatch)
    with pytest.raises(SandboxUnavailable, match=f"^docker: {sentence}"):
        open_tier(DockerTier(), workers=2)


def test_what_the_client_says_of_its_failure_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    does = "case $1 in run) echo 'docker: no space left.' >&2; echo \"See 'docker run --help'.\" >&2; exit 125;; esac"
    engine(tmp_path, f"echo 27; {does}", monkeypatch)
    with pytest.raises(SandboxUnavailable, match=r"^docker: no space left\.$"):
        open_tier(DockerTier(), workers=1)
    assert explain("") == ""


def test_the_image_holds_the_worker_and_its_name_follows_its_content(monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(fileobj=io.BytesIO(build_context())) as tar:
        names = tar.getnames()
        assert all(member.uid == 0 and member.mtime == 0 and member.mode == 0o644 for member in tar)
    assert names[:2] == ["Dockerfile", "distill/__init__.py"] and "distill/sandbox/worker.py" in names
    assert all(name.startswith("distill/sandbox/") for name in names[2:])
    assert build_context() == build_context()
    one, same = (ContainerImage(Engine("docker", {})).name for _ in range(2))
    assert one == same != ContainerImage(Engine("docker", {}), base="other").name
    monkeypatch.setattr("distill.sandbox.container_image._DOCKERFILE", Path(__file__))
    assert ContainerImage(Engine("docker", {})).name != one


def engine(folder: Path, does: str, monkeypatch: pytest.MonkeyPatch, name: str = "docker") -> str:
    """A client that does what a test wants, first on PATH."""
    program = folder / name
    program.write_text(f"#!/bin/bash\n{does}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return str(program)
