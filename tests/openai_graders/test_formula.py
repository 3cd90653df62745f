"""Formulas compute what arithmetic says, and nothing else can be written in one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.openai_graders.formula import DEEPEST, LONGEST, FormulaError, parse_formula

VALUES = {"accuracy": 0.5, "style": 0.25, "zero": 0.0, "big": 1e200}


def computed(text: str) -> float:
    return parse_formula(text, VALUES).compute(VALUES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("accuracy", 0.5),
        ("0.5 * accuracy + 0.5 * style", 0.375),
        ("(accuracy + style) / 2.0", 0.375),
        ("2 * 3 ^ 2", 18),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", -4),
        ("2 ^ -1", 0.5),
        ("min(accuracy, style, 1)", 0.25),
        ("max(accuracy, style)", 0.5),
        ("max(3)", 3),
        ("abs(-style)", 0.25),
        ("floor(1.5) + ceil(1.5)", 3),
        ("floor(-0.5)", -1),
        ("exp(0) + sqrt(4) + log(1)", 3),
        ("1 - zero", 1),
        ("+accuracy--style", 0.75),
        (" accuracy\n+ style ", 0.75),
        ("1e3", 1000),
        (".5", 0.5),
    ],
)
def test_formulas_are_computed(text: str, value: float) -> None:
    assert computed(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "accuracy style",
        "accuracy)",
        "unknown",
        "accuracy.real",
        "accuracy[0]",
        "accuracy % 2",
        "accuracy // 2",
        "accuracy ** 2",
        "accuracy @ style",
        "accuracy | 1",
        "accuracy > 0",
        "accuracy if style else 0",
        "not accuracy",
        "~accuracy",
        "accuracy and style",
        "True",
        "None",
        "'1'",
        "1j",
        "...",
        "[1]",
        "(1, 2)",
        "{1}",
        "lambda: 1",
        "(accuracy := 1)",
        "f'{accuracy}'",
        "min()",
        "min(*accuracy)",
        "min(1, key=abs)",
        "abs(1, 2)",
        "log(8, 2)",
        "pow(2, 2)",
        "eval('1')",
        "__import__('os')",
        "min.__class__",
        "min",
        "max(1)(2)",
        "1; 2",
        "# nothing",
        "1e999",
        "9" * 400,
        "accurаcy",  # noqa: RUF001 # a Cyrillic letter
        "(" * 300 + "1" + ")" * 300,
        "-" * (LONGEST - 1) + "1",
        "+".join(["1"] * (2 * DEEPEST)),
        "1" * (LONGEST + 1),
        "\0",
        "1\\\n",
    ],
)
def test_nothing_else_is_a_formula(text: str) -> None:
    with pytest.raises(FormulaError):
        parse_formula(text, VALUES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 / zero", "divides by zero"),
        ("zero ^ -1", "no real number"),
        ("log(zero)", "no real number"),
        ("sqrt(-1)", "no real number"),
        ("(-8) ^ 0.5", "no real number"),
        ("9 ^ 9 ^ 9", "too large"),
        ("9^9^9^9^9^9^9", "too large"),
        ("exp(1000)", "too large"),
        ("big * big", "too large"),
        ("big * big - big * big", "too large"),
        ("floor(big * big)", "too large"),
    ],
)
def test_a_formula_without_a_value_says_so(text: str, words: str) -> None:
    with pytest.raises(FormulaError, match=words):
        computed(text)


def test_only_what_is_used_is_asked_for() -> None:
    assert parse_formula("accuracy + max(accuracy, 1)", VALUES).variables == {"accuracy"}


NUMBERS = st.floats(0, 1000).map(lambda number: round(number, 3))


def _expressions(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(children, st.sampled_from("+-*/^"), children).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(children, st.sampled_from("+-*"), children).map(lambda t: f"{t[0]} {t[1]} {t[2]}"),
        children.map(lambda one: f"-{one}"),
        st.tuples(st.sampled_from(["abs", "floor", "ceil", "sqrt", "exp", "log"]), children).map(
            lambda t: f"{t[0]}({t[1]})"
        ),
        st.tuples(st.sampled_from(["min", "max"]), children, children).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
    )


EXPRESSIONS = st.recursive(st.one_of(NUMBERS.map(repr), st.sampled_from(["a", "b"])), _expressions, max_leaves=8)


@given(EXPRESSIONS, NUMBERS, NUMBERS)
def test_a_formula_is_what_python_computes(text: str, a: float, b: float) -> None:
    names = {"a": a, "b": b, "min": min, "max": max, "abs": abs, "floor": math.floor, "ceil": math.ceil}
    names |= {"sqrt": math.sqrt, "exp": math.exp, "log": math.log, "__builtins__": {}}
    try:
        expected = eval(text.replace("^", "**"), names)  # noqa: S307 # made by this test from the grammar above
    except (ArithmeticError, ValueError, TypeError):
        expected = math.nan
    if isinstance(expected, complex) or not math.isfinite(expected):
        with pytest.raises(FormulaError):
            parse_formula(text, "ab").compute({"a": a, "b": b})
    else:
        assert parse_formula(text, "ab").compute({"a": a, "b": b}) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(st.text(st.sampled_from(list("ab01.()+-*/^, minlogexpsqrt\"'[]{}:=_\n\\#")), max_size=80))
def test_any_text_is_computed_or_refused(text: str) -> None:
    try:
        value = parse_formula(text, "ab").compute({"a": 0.5, "b": 2.0})
    except FormulaError:
        return
    assert math.isfinite(value)
