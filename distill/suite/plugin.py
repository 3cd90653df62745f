"""The pytest plugin: options, one item per question, the prefetch, and the exit code.

Prefetch, then assert: pytest runs items one after another whatever the event loop, so every selected question is
asked and graded when the selection is final, concurrently, and the items only read their row. The plugin is inert
in a session in which no test asks for `graded`.

With pytest-xdist the controller makes up the run's folder, every worker collects everything, and the first worker
to take the folder's lock does the prefetch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from distill.sources import SourceError
from distill.suite.experiment import Question, identifier
from distill.suite.options import add_options, experiment
from distill.suite.outcome import Graded, Missed, Unscored, report_of, word_of
from distill.suite.run import Run, SetupFailed

RUN = pytest.StashKey[Run]()
FAILURE = pytest.StashKey[str]()
FOLDER = "evaluation_folder"


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "graded" not in metafunc.fixturenames:
        return
    try:
        run = _run(metafunc.config)
        asked = run.questions()
    except (pytest.UsageError, SourceError) as error:
        raise pytest.Collector.CollectError(str(error)) from None
    names = [identifier(run.experiment, question) for question in asked]
    metafunc.parametrize("graded", asked, ids=names, indirect=True)


@pytest.fixture
def graded(request: pytest.FixtureRequest) -> Graded:
    """One answer with its grades. A test that asks for it is run once per (model, case, sample)."""
    failure = request.config.stash.get(FAILURE, None)
    if failure is not None:
        raise Unscored(failure)
    run = _run(request.config)
    row = run.row(request.param)
    properties = {"role": row.role, "model": row.model, "case": row.case, "status": row.status.value}
    properties |= {f"score.{name}": str(grade.score) for name, grade in row.grades.items()}
    request.node.user_properties.extend(properties.items())
    return Graded(row, run.deciding)


def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    asked = [question for item in session.items if (question := _question(item)) is not None]
    if not asked or config.option.collectonly or session.testsfailed:
        return
    capture = config.pluginmanager.getplugin("capturemanager")
    run = _run(config)
    try:
        with capture.global_and_fixture_disabled():
            run.perform(asked)
    except SetupFailed as error:
        if not _on_worker(config):
            raise pytest.UsageError(str(error)) from None
        config.stash[FAILURE] = str(error)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport | None:
    error = call.excinfo.value if call.excinfo else None
    return report_of(item, call, error) if isinstance(error, (Missed, Unscored)) else None


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    word = word_of(report) if report.failed else None
    if word == "missed":
        return "missed", "m", ("MISSED", {"yellow": True})
    if word == "unscored":
        return "unscored", "U", ("UNSCORED", {"red": True})
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """The exit code is the gate's: misses do not count as failures, a missed threshold does."""
    result = None
    try:
        result = yield
    finally:
        config = session.config
        run = config.stash.get(RUN, None)
        if run is not None and not _on_worker(config) and run.conclude():
            terminal = config.pluginmanager.getplugin("terminalreporter")
            forgiven = len(terminal.stats.get("missed", ())) + len(terminal.stats.get("unscored", ()))
            session.testsfailed = max(0, session.testsfailed - forgiven) + (not run.passed)
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    run = terminalreporter.config.stash.get(RUN, None)
    if run is None or run.report is None:
        return
    writer = terminalreporter._tw
    terminalreporter.section("evaluation")
    for line in run.terminal(width=writer.fullwidth, color=writer.hasmarkup).splitlines():
        terminalreporter.write_line(line)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist: tell each worker where the run's folder is."""
    with contextlib.suppress(pytest.UsageError):  # the workers say it, if they collect anything to evaluate
        node.workerinput[FOLDER] = str(_run(node.config).folder)


def _run(config: pytest.Config) -> Run:
    """The session's run, made when it is first needed. Raises `pytest.UsageError`."""
    if RUN not in config.stash:
        given = getattr(config, "workerinput", {}).get(FOLDER)
        config.stash[RUN] = Run(experiment(config), folder=given, command=config.invocation_params.args)
    return config.stash[RUN]


def _on_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _question(item: pytest.Item) -> Question | None:
    callspec = getattr(item, "callspec", None)
    value = callspec.params.get("graded") if callspec is not None else None
    return value if isinstance(value, Question) else None
