"""The reference answers with the case's own specification."""

from __future__ import annotations

import pytest

from distill.cases import Case
from distill.models.completion import ModelError
from distill.models.reference import reference_completion


def test_the_first_accepted_command_is_the_answer() -> None:
    case = Case(
        id="branch-create",
        request="Create a branch called topic.",
        repository="linear",
        accept=("git branch topic", "git branch topic HEAD"),
        criteria="The branch exists.",
    )
    answer = reference_completion(case)
    assert (answer.text, answer.model) == ("git branch topic", "reference")
    assert (answer.prompt_tokens, answer.completion_tokens, answer.stored) == (None, None, False)


def test_a_case_that_only_grader_objects_score_has_no_reference_answer() -> None:
    case = Case(id="capital", request="What is the capital of France?", graders=({"type": "string_check"},))

    with pytest.raises(ModelError, match="case 'capital' has no accepted command"):
        reference_completion(case)
