"""The `reference` model: answers with the case's own first accepted command, where it has one.

It is the ceiling of an evaluation, and the teacher where there is no key. No network, no store, no tokens, no price.
"""

from __future__ import annotations

from distill.cases import Case
from distill.models.completion import Completion, ModelError
from distill.models.registry import REFERENCE


def reference_completion(case: Case) -> Completion:
    """The reference answer to a case. Raises `ModelError` for one that has no accepted command."""
    if not case.accept:
        raise ModelError(f"case {case.id!r} has no accepted command that the reference could answer with")
    return Completion(text=case.accept[0], model=REFERENCE, finish_reason="stop")
