"""The formula of a multi grader, `calculate_output`: read by a small grammar and computed, never evaluated.

In: a text such as `0.7 * accuracy + 0.3 * min(style, 1)`. Out: a `Formula` that knows its variables and computes a
number from their values. Operators: + - * / and ^ (power, which binds tightest and to the right), signs and
parentheses. Functions: min, max, abs, floor, ceil, exp, sqrt, log (natural). Numbers are double floats throughout, so
that 9^9^9 is an overflow and not an hour of multiplying.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

LONGEST = 1000
"""Characters of a formula."""
DEEPEST = 60
"""How far operations may be nested in each other."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.Pow: math.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {ast.UAdd: lambda value: value, ast.USub: lambda v: -v}
_ONE: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "floor": lambda value: float(math.floor(value)),
    "ceil": lambda value: float(math.ceil(value)),
    "exp": math.exp,
    "sqrt": math.sqrt,
    "log": math.log,
}
_MANY: dict[str, Callable[[Iterable[float]], float]] = {"min": min, "max": max}
FUNCTIONS = frozenset((*_ONE, *_MANY))


class FormulaError(ValueError):
    """A formula that cannot be read, or has no value. The message says why."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that was read and checked."""

    text: str
    variables: frozenset[str]
    _tree: ast.expr

    def compute(self, values: Mapping[str, float]) -> float:
        """Its value, a finite number. Raises `FormulaError` for one that has none, such as a division by zero."""
        try:
            result = _compute(self._tree, values)
        except ZeroDivisionError:
            raise FormulaError(f"{self.text!r} divides by zero") from None
        except OverflowError:
            raise FormulaError(f"the value of {self.text!r} is too large") from None
        except ValueError:
            raise FormulaError(f"{self.text!r} takes a root, logarithm or power that is no real number") from None
        if not math.isfinite(result):
            raise FormulaError(f"the value of {self.text!r} is too large")
        return result


def parse_formula(text: str, variables: Iterable[str]) -> Formula:
    """Read a formula over `variables`. Raises `FormulaError` for anything that is not in the grammar."""
    known = frozenset(variables)
    if len(text) > LONGEST:
        raise FormulaError(f"a formula has at most {LONGEST} characters, and this one has {len(text)}")
    if "**" in text or "//" in text:
        raise FormulaError("the operators are + - * / and ^ (power)")
    if not text.isascii():
        raise FormulaError("a formula is written in ASCII characters")
    try:
        # As `**`, the caret has the precedence of a power; Python's own meaning of it has another.
        tree = ast.parse(" ".join(text.replace("^", "**").split()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise FormulaError(f"{text!r} is no formula: {reason}") from None
    used: set[str] = set()
    _check(tree, known, used, DEEPEST)
    return Formula(text, frozenset(used), tree)


def _check(node: ast.expr, known: frozenset[str], used: set[str], depth: int) -> None:
    if depth == 0:
        raise FormulaError(f"operations are nested more than {DEEPEST} deep")
    match node:
        case ast.Constant(value=bool()):
            raise FormulaError("True and False are no numbers")
        case ast.Constant(value=int() | float() as number):
            _finite(number)
        case ast.Name(id=name):
            if name not in known:
                hint = f"; the graders are {', '.join(sorted(known))}" if known else ""
                raise FormulaError(f"there is no grader {name!r} here{hint}")
            used.add(name)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
            _check(left, known, used, depth - 1)
            _check(right, known, used, depth - 1)
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _UNARY:
            _check(operand, known, used, depth - 1)
        case ast.Call(func=ast.Name(id=name), args=[_, *more] as arguments, keywords=[]) if name in FUNCTIONS:
            if name in _ONE and more:
                raise FormulaError(f"{name}() takes one value, and {len(arguments)} were given")
            for argument in arguments:
                _check(argument, known, used, depth - 1)
        case ast.Call(func=ast.Name(id=name)) if name not in FUNCTIONS:
            raise FormulaError(f"there is no function {name!r}; there are {', '.join(sorted(FUNCTIONS))}")
        case _:
            raise FormulaError(
                "a formula holds numbers, the names of graders, + - * / ^, parentheses and "
                f"{', '.join(sorted(FUNCTIONS))}, and nothing else"
            )


def _compute(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return _finite(number)
        case ast.Name(id=name):
            return float(values[name])
        case ast.BinOp(left=left, op=operator, right=right):
            return _BINARY[type(operator)](_compute(left, values), _compute(right, values))
        case ast.UnaryOp(op=sign, operand=operand):
            return _UNARY[type(sign)](_compute(operand, values))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            computed = [_compute(argument, values) for argument in arguments]
            return _ONE[name](computed[0]) if name in _ONE else _MANY[name](computed)
    raise AssertionError("the tree was checked when it was read")


def _finite(number: float) -> float:
    try:
        value = float(number)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise FormulaError("a number in the formula is too large")
    return value
