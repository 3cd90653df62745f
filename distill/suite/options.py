"""The command-line options of `pytest evals/`, and the experiment they describe together with `distill.yaml`.

Nothing is read from disk before `experiment()` is called, so that `pytest --help` and other test suites in the
same session cost nothing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.config import FILE_NAME, ROLES, Config, load_config
from distill.sources import SourceError
from distill.suite.experiment import Contender, Experiment, assign_roles

SANDBOXES = ("auto", "bubblewrap", "landlock", "docker", "seatbelt", "none")


def add_options(parser: pytest.Parser) -> None:
    """Register the group "evaluation" with pytest."""
    group = parser.getgroup("evaluation", "evaluation: ask models, grade their answers by executing them")
    group.addoption(
        "--model",
        action="append",
        default=[],
        metavar="[ROLE=]NAME",
        help="a model to evaluate; repeat it to compare. NAME is `reference` (the cases' own answers), a local model "
        "(smollm2-135m-instruct, or one under `models:` in distill.yaml), or anything that the server at "
        "OPENAI_BASE_URL knows. ROLE is baseline, teacher, student or a label of your own.",
    )
    group.addoption(
        "--cases",
        action="append",
        default=[],
        metavar="PATH",
        help="a case file, or a folder of them, instead of distill.yaml's; repeatable. A folder with a distill.yaml of "
        "its own, such as an imported eval, is evaluated by that one",
    )
    group.addoption(
        "--grader",
        action="append",
        default=[],
        metavar="NAME",
        help="a grader from graders/, the path of a Python file with a `grade` function, or of a JSON file with one of "
        "OpenAI's grader objects; repeatable; the first one decides whether a test passes (default: execution, "
        "criteria, harm)",
    )
    group.addoption("--judge", default=None, metavar="MODEL", help="the model that judges `criteria` and `judge`")
    group.addoption("--samples", type=_positive, default=None, metavar="N", help="answers per case (default: 1)")
    group.addoption(
        "--min-score",
        action="append",
        default=[],
        metavar="GRADER=VALUE",
        help="fail the run unless this grader's mean score is at least VALUE (0 to 1); repeatable",
    )
    group.addoption("--concurrency", type=_positive, default=None, metavar="N", help="requests in flight (default: 32)")
    group.addoption(
        "--sandbox",
        choices=SANDBOXES,
        default=None,
        help="where answers are executed (default: auto, the strongest tier that passes its self-test); `none` runs "
        "them unconfined on this machine, and every result says so",
    )
    group.addoption("--offline", action="store_true", help="answers from the completion store only; nothing is asked")
    group.addoption(
        "--report", default=None, metavar="DIR", help="the run's folder (default: reports/runs/ and the time)"
    )
    group.addoption(
        "--experiment", default=None, metavar="FILE", help=f"the experiment file (default: {FILE_NAME} in the root)"
    )


def experiment(config: pytest.Config) -> Experiment:
    """The experiment that the options and the file describe. Raises `pytest.UsageError` with a sentence."""
    option = config.getoption
    try:
        own = _own_experiment(config)
        settings = load_config(own) if own else _settings(config)
        overrides: dict[str, object] = {
            "judge": option("--judge"),
            "samples": option("--samples"),
            "concurrency": option("--concurrency"),
            "sandbox": option("--sandbox"),
            "graders": tuple(option("--grader")) or None,
            "cases": (tuple(_path(config, text) for text in option("--cases")) or None) if own is None else None,
        }
        given = {name: value for name, value in overrides.items() if value is not None}
        settings = Config.model_validate({**settings.model_dump(), **given})
        return Experiment(
            settings=settings,
            root=Path(config.rootpath),
            contenders=assign_roles(option("--model"), settings) if option("--model") else _bare(settings),
            min_scores=_min_scores(option("--min-score")),
            offline=option("--offline"),
            report=_path(config, option("--report")) if option("--report") else None,
        )
    except (SourceError, ValueError) as error:
        raise pytest.UsageError(str(error)) from None


def _settings(config: pytest.Config) -> Config:
    named = config.getoption("--experiment")
    if named:
        return load_config(_path(config, named))
    for folder in (config.invocation_params.dir, config.rootpath):
        if (folder / FILE_NAME).is_file():
            return load_config(folder / FILE_NAME)
    raise SourceError([f"there is no {FILE_NAME} in {config.rootpath}; name one with --experiment FILE"])


def _own_experiment(config: pytest.Config) -> Path | None:
    """The experiment of the only folder of cases that was named, if it has one and no other was named."""
    folders = [_path(config, text) for text in config.getoption("--cases")]
    if config.getoption("--experiment") or len(folders) != 1 or not (folders[0] / FILE_NAME).is_file():
        return None
    return folders[0] / FILE_NAME


def _bare(settings: Config) -> tuple[Contender, ...]:
    contenders = tuple(Contender(role, name) for role in ROLES if (name := getattr(settings, role)))
    if not contenders:
        raise ValueError("no model to evaluate: set baseline, teacher or student in distill.yaml, or give --model NAME")
    return contenders


def _min_scores(texts: list[str]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for text in texts:
        grader, separator, value = text.partition("=")
        try:
            score = float(value)
        except ValueError:
            score = -1.0
        if not separator or not grader or not 0.0 <= score <= 1.0:
            raise ValueError(f"--min-score {text}: expected GRADER=VALUE with a value from 0 to 1, as in execution=0.8")
        scores[grader] = score
    return scores


def _path(config: pytest.Config, text: str) -> Path:
    return (Path(config.invocation_params.dir) / text).resolve()


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value
