"""OpenAI's grader objects: read, checked and run on this machine.

In: a grader as OpenAI's API describes it, an `item` (a row of a data set) and a `sample` (a model's answer). Out: a
`GraderResult`, which says a score, whether that passes, and which of OpenAI's error flags are set. The six types are
string_check, text_similarity, label_model, score_model, python and multi.

    grader = parse({"type": "string_check", "name": "same", "operation": "eq",
                    "input": "{{sample.output_text}}", "reference": "{{item.answer}}"})
    result = await run(grader, item={"answer": "4"}, sample=sample_of("4"), tools=Tools())
    result.score, result.passed, result.errors.any                     # 1.0, True, False

- `parse(data, path="grader") -> Grader` raises `GraderInvalid`, a `ValueError` with one `Problem(path, message)` for
  each thing that is wrong; `dump(grader)` gives the object back as it was written.
- `run(grader, *, item, sample, tools)` raises nothing for what an item, an answer, a model or a grader's code does:
  that is score 0 and a flag in `result.errors`, with a sentence for a person in `result.problems`.
- `sample_of(text, completion=None)` is the `sample` namespace: `output_text`, `output_json` when the text is JSON and
  with a chat completion `choices`, `model` and `output_tools`.
- `Tools(ask=, sandbox=, embed=)` is what some types need and nobody else: `ask(model, messages, parameters) -> Reply`
  for the two that ask a model (it raises `ModelFailed`), a `SourceRunner` for `python`, and `embed(texts) -> vectors`
  for `cosine`. What is missing is an error flag, never a score.
- `requirements(grader) -> Requirements` says which models it asks, and whether it needs a sandbox or embeddings.

Nothing that an item, an answer or a grader says is ever run, evaluated or expanded in this process: templates are
replaced once and their values are not looked at again, formulas are computed from a checked tree, and Python sources
run in the sandbox only.
"""

from distill.openai_graders.definitions import (
    Grader,
    LabelModel,
    Multi,
    PythonSource,
    ScoreModel,
    StringCheck,
    TextSimilarity,
)
from distill.openai_graders.parsing import GraderInvalid, Problem, dump, parse
from distill.openai_graders.results import GraderErrors, GraderResult, TokenUsage
from distill.openai_graders.running import Requirements, requirements, run
from distill.openai_graders.sample import sample_of
from distill.openai_graders.tools import Ask, Embed, ModelFailed, Reply, SourceRunner, Tools

__all__ = [
    "Ask",
    "Embed",
    "Grader",
    "GraderErrors",
    "GraderInvalid",
    "GraderResult",
    "LabelModel",
    "ModelFailed",
    "Multi",
    "Problem",
    "PythonSource",
    "Reply",
    "Requirements",
    "ScoreModel",
    "SourceRunner",
    "StringCheck",
    "TextSimilarity",
    "TokenUsage",
    "Tools",
    "dump",
    "parse",
    "requirements",
    "run",
    "sample_of",
]
