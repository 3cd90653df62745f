"""What OpenAI's grader objects need in a run: the models that they ask, by name.

In: the graders and cases of a run, and the run's own way of asking. Out: the targets to have ready, and an `Ask`. With
a judge (`--judge MODEL`) that one answers in place of whatever model an object names: an object that was written for a
model that is gone is then graded by one that is there. Answers come from the completion store where it has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from distill.cases import Case
from distill.models.ask import Asker
from distill.models.completion import Message, ModelError, Prompt
from distill.models.registry import LocalModel, Target, resolve
from distill.openai_graders import Ask, ModelFailed, Reply, TokenUsage, parse, requirements
from distill.openai_graders.model_graders import bounded
from distill.suite.discovery import GradeFunction
from graders import testing_criteria
from graders.openai_object import GraderObject


def models_asked(graders: Mapping[str, GradeFunction], cases: Iterable[Case]) -> list[str]:
    """The models that the grader objects of a run name, sorted."""
    objects = [function.grader for function in graders.values() if isinstance(function, GraderObject)]
    if any(function is testing_criteria.grade for function in graders.values()):
        objects += [parse(one) for case in cases for one in case.graders]
    return sorted({model for grader in objects for model in requirements(grader).models})


def targets_for(names: Iterable[str], judge: str | None, models: Mapping[str, LocalModel]) -> dict[str, Target]:
    """Who is asked in place of each model. Raises `ModelError` for one that cannot be asked as things are."""
    targets = {name: resolve(judge or name, models) for name in names}
    for name, target in targets.items():
        if target.kind == "reference":
            raise ModelError(f"a grader object cannot ask {name!r}, which is no model; name one with --judge MODEL")
    return targets


def asking(asker: Asker, targets: Mapping[str, Target], metadata: Mapping[str, str]) -> Ask:
    """Asks a model by the name that a grader object has for it."""

    async def ask(model: str, messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any], /) -> Reply:
        target = targets[model]
        prompt = Prompt(
            messages=tuple(_message(message) for message in messages),
            parameters=bounded(parameters) if target.kind == "local" else dict(parameters),
            metadata={**metadata, "purpose": "judge"},
        )
        try:
            answer = await asker.ask(target, prompt)
        except ModelError as error:
            raise ModelFailed(str(error)) from None
        usage = TokenUsage(prompt_tokens=answer.prompt_tokens or 0, completion_tokens=answer.completion_tokens or 0)
        return Reply(text=answer.text, model=answer.model, usage=usage)

    return ask


def _message(message: Mapping[str, Any]) -> Message:
    """Compatible servers know no `developer`, which is what OpenAI calls `system` by now."""
    return {"role": "system" if message["role"] == "developer" else message["role"], "content": message["content"]}
