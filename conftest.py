"""Puts the evaluation plugin in place for `pytest evals/`; it does nothing in any other session."""

pytest_plugins = ["distill.suite.plugin"]
