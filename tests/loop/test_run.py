"""The whole loop over a platform on loopback: done once, passed over the second time, gone on with after a failure."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from distill.config import Config, Training, anchored
from distill.loop.code import code_version
from distill.loop.lineage import lineage
from distill.loop.run import Declined, Loop, Wishes
from distill.loop.train import Observer
from distill.models.completion import ModelError
from distill.training.making import Wanted

from ..server.conftest import Platform, Start, words
from ..server.jobs.conftest import Trainer

RECIPE = """
name: small
description: One commit, and a file that git does not know.
bait: [new.txt is not tracked]
steps:
- echo one > kept.txt && git add . && git commit -qm 'Begin'
- echo bait > new.txt
"""
CASE = """
- id: {prefix}-branch-{number}
  request: {request}
  repository: small
  accept: [git branch {name}]
  reject: [git switch -c {name}]
  criteria: The branch exists.
  tags: [trained-operation]
"""
PRICES = "as_of: 2026-11-01\nmodels:\n  paid: {input: 1000, output: 1000}\n"


@pytest.fixture
def platform(start: Start, trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    platform = start(words("git branch topic-3"), jobs=trainer.settings(), data=tmp_path / "data")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{platform.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    return platform


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    folders = {name: tmp_path / name for name in ("cases", "recipes", "training")}
    for folder in folders.values():
        folder.mkdir()
    (folders["recipes"] / "small.yaml").write_text(RECIPE)
    (folders["cases"] / "held.yaml").write_text(
        "category: branch\ncases:"
        + CASE.format(prefix="held", number=1, request="Start a branch called other.", name="other")
    )
    learned = "".join(
        CASE.format(
            prefix="t", number=number, request=f"Make a branch topic-{number} and stay.", name=f"topic-{number}"
        )
        for number in range(1, 13)
    )
    (folders["training"] / "learned.yaml").write_text("category: branch\ncases:" + learned)
    (tmp_path / "prompt.md").write_text("Answer with git commands.")
    (tmp_path / "prices.yaml").write_text(PRICES)
    config = Config(
        teacher="reference",
        training=Training(base="small", hyperparameters={"n_epochs": 2}),
        system_prompt=Path("prompt.md"),
        cases=(Path("cases"),),
        repositories=Path("recipes"),
        prices=Path("prices.yaml"),
        store=Path("kept/completions.sqlite"),
        platform=Path("kept/platform"),
    )
    return anchored(config, tmp_path)


class Run:
    """The loop, as `distill run` does it, up to the comparison."""

    def __init__(self, settings: Config, tmp_path: Path) -> None:
        self.settings = settings
        self.wishes = Wishes(training=tmp_path / "training", wanted=Wanted(variants=0), evaluate=False)
        self.said: list[str] = []
        self.agrees = True

    def __call__(self) -> list[str]:
        self.said = []
        loop = Loop(
            self.settings,
            Path("distill.yaml"),
            self.wishes,
            say=self.said.append,
            agree=lambda _: self.agrees,
            observer=Observer(),
            stream=io.StringIO(),
        )
        assert loop.run() == 0
        return self.said


@pytest.fixture
def run(settings: Config, tmp_path: Path) -> Run:
    return Run(settings, tmp_path)


def test_from_a_teacher_to_a_student_and_nothing_twice(run: Run, platform: Platform, settings: Config) -> None:
    first = run()
    model = first[-1].removeprefix("student: ")
    second = run()

    assert model.startswith("ft:small:local:git:")
    assert [line.partition(":")[0] for line in second] == ["answers", "dataset", "student"]
    assert all("unchanged" in line for line in second)
    assert len(list(platform.client.fine_tuning.jobs.list())) == 1
    assert model in [each.id for each in platform.client.models.list()]

    known = lineage(settings.store.parent / "lineage", model)
    assert known["base"] == "small"
    assert known["dataset"]["examples"]["train"] == 12
    assert known["job"].startswith("ftjob-")
    assert known["code"] == code_version()


@pytest.mark.slow
def test_only_what_changed_is_done_again(run: Run, platform: Platform, settings: Config) -> None:
    run()
    other = settings.training.model_copy(update={"seed": 2})
    run.settings = settings.model_copy(update={"training": other})
    again = run()

    assert [line for line in again if "unchanged" in line] == again[:2]
    assert len(list(platform.client.fine_tuning.jobs.list())) == 2
    assert len(list(platform.client.files.list(purpose="fine-tune"))) == 1


@pytest.mark.slow
def test_after_a_failure_it_goes_on_where_it_was(run: Run, platform: Platform, trainer: Trainer) -> None:
    trainer.script(runs=[{"until": 2, "then": "fail"}])
    with pytest.raises(ModelError, match="--again"):
        run()

    trainer.script()
    run.wishes = replace(run.wishes, again=True)
    said = run()

    assert [line for line in said if "unchanged" in line] == said[:2]
    assert said[-1].startswith("student: ft:small:local:git:")


def test_a_teacher_that_is_none_is_not_learned_from(run: Run, platform: Platform, settings: Config) -> None:
    run.settings = settings.model_copy(update={"teacher": "other"})

    with pytest.raises(Exception, match="one and the same command, 'git branch topic-3'"):
        run()
    assert list(platform.client.fine_tuning.jobs.list()) == []


def test_what_was_declined_is_not_asked(run: Run, platform: Platform, settings: Config) -> None:
    run.settings = settings.model_copy(update={"teacher": "other"})
    run.agrees = False

    with pytest.raises(Declined):
        run()
    assert platform.engine.asked == []


def test_a_limit_in_money_stops_before_it_is_exceeded(run: Run, platform: Platform, settings: Config) -> None:
    run.settings = settings.model_copy(update={"teacher": "paid"})
    run.wishes = replace(run.wishes, max_cost=0.001)

    with pytest.raises(ModelError, match="12 requests were not asked"):
        run()
    assert platform.engine.asked == []


@pytest.mark.slow
def test_an_interrupted_step_leaves_nothing_that_looks_done(run: Run, settings: Config, platform: Platform) -> None:
    run()
    steps = settings.store.parent / "steps"
    (answers,) = steps.glob("answers-*.jsonl")

    assert all(json.loads(line)["source"] == "reference" for line in answers.read_text().splitlines())
    assert not list(steps.glob(".*"))
