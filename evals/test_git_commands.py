"""Every case, put to every model. The answers are asked for and graded before the first test runs."""

from distill.suite.outcome import Graded


def test_git_commands(graded: Graded) -> None:
    graded.check()
