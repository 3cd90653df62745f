"""The trainer's input is checked, its output is JSON, a line at a time, and its folders are whole or not there."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.trainer.checkpoints import Checkpoints
from distill.trainer.events import Events, Failure
from distill.trainer.job import read_job
from distill.trainer.stopping import Stopped, Stopping


@settings(deadline=None)
@given(value=st.floats() | st.text() | st.integers() | st.none())
def test_every_event_is_one_line_of_json_whatever_it_holds(value: Any) -> None:
    output = io.StringIO()
    Events(output).tell("step", loss=value, metrics={"loss": value})
    line = output.getvalue()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_a_failure_says_what_and_where() -> None:
    output = io.StringIO()
    Events(output).fail(Failure("invalid_n_examples", "Too few.", "training_file"))
    assert json.loads(output.getvalue()) == {
        "event": "failed",
        "code": "invalid_n_examples",
        "message": "Too few.",
        "param": "training_file",
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot be read"),
        ("{", "Invalid JSON"),
        ("{}", "wrong at base"),
        ('{"base": "x", "training_file": "y", "method": "prayer"}', "wrong at method"),
        ('{"base": "x", "training_file": "y", "hyperparameters": {"n_epochs": 0}}', "n_epochs"),
        ('{"base": "x", "training_file": "y", "hyperparameters": {"rank": 1}}', "hyperparameters.rank"),
        ('{"base": "x", "training_file": "y", "seed": -1}', "seed"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, text: str | None, sentence: str) -> None:
    if text is not None:
        (tmp_path / "job.json").write_text(text)
    with pytest.raises(Failure, match=sentence) as caught:
        read_job(tmp_path)
    assert caught.value.code == "invalid_job"


class TestCheckpoints:
    def write(self, checkpoints: Checkpoints, step: int) -> Any:
        folder = checkpoints.writing / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        for name in ("adapter.gguf", "optimizer.pt"):
            (folder / name).write_text(str(step))
        return checkpoints.commit(folder, step)

    def test_one_has_its_name_only_when_it_is_whole(self, tmp_path: Path) -> None:
        checkpoints = Checkpoints(tmp_path)
        checkpoints.prepare()
        half = checkpoints.writing / "checkpoint-7"
        half.mkdir(parents=True)
        (half / "adapter.gguf").write_text("half")
        assert checkpoints.whole() == []
        Checkpoints(tmp_path).prepare()
        assert not half.exists()

    def test_one_in_between_goes_when_the_next_is_whole(self, tmp_path: Path) -> None:
        checkpoints = Checkpoints(tmp_path)
        checkpoints.prepare()
        for step in (3, 7, 12):
            self.write(checkpoints, step)
        assert [checkpoint.step for checkpoint in checkpoints.whole()] == [12]

    def test_one_that_was_reported_stays_without_what_only_training_needs(self, tmp_path: Path) -> None:
        checkpoints = Checkpoints(tmp_path)
        checkpoints.prepare()
        first = self.write(checkpoints, 10)
        checkpoints.describe(first, {"step": 10})
        last = self.write(checkpoints, 20)
        assert [checkpoint.report for checkpoint in checkpoints.whole()] == [{"step": 10}, None]
        assert sorted(path.name for path in first.path.iterdir()) == ["adapter.gguf", "checkpoint.json"]
        assert (last.path / "optimizer.pt").is_file()
        assert checkpoints.name(first) == "checkpoints/step-10"


class TestStopping:
    def test_outside_the_steps_the_process_just_ends(self) -> None:
        with pytest.raises(Stopped):
            Stopping()._receive(15, None)

    def test_between_steps_it_is_only_remembered(self) -> None:
        stopping = Stopping()
        with stopping.between_steps():
            stopping._receive(15, None)
            assert stopping.wanted
        with pytest.raises(Stopped):
            stopping.check()

    def test_steps_do_not_begin_after_it(self) -> None:
        stopping = Stopping()
        with pytest.raises(Stopped):
            stopping._receive(15, None)
        with pytest.raises(Stopped), stopping.between_steps():
            pytest.fail("it began")
