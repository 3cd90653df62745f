"""An eval saved from OpenAI, as cases: its testing criteria are the graders, its items the cases.

In: the objects of `client.evals.retrieve`, `client.evals.runs` and `client.evals.runs.output_items`, as JSON. Out: an
`Import`. The questions are those of one run: what was really sent (`sample.input` of its output items) or, where the
items were not saved, the run's own template over its rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distill.migration.criteria import checked
from distill.migration.imported import Import, ImportedCase, ImportFailed, NoEqual, Remarks, unused
from distill.migration.messages import chat
from distill.migration.sources import refuse_what_cannot_run
from distill.openai_graders.templates import TemplateError, VariableMissing, parse_template, render, value_of

_SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "max_completion_tokens": "max_completion_tokens",
    "max_completions_tokens": "max_completion_tokens",
    "response_format": "response_format",
    "reasoning_effort": "reasoning_effort",
}
"""OpenAI's names in an eval run: those of a chat completion."""
_DATED = r"(-\d{4}-\d{2}-\d{2})?"
_CLOSING = (
    (re.compile(rf"(gpt-5(-mini|-nano|-pro)?|o3(-pro)?){_DATED}"), "11 December 2026"),
    (re.compile(rf"gpt-4(o|\.1)(-mini)?{_DATED}"), "14 January 2027"),
)
"""Models that OpenAI shuts down, with their fine-tunes, and when, as announced by November 2026."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedEval:
    """What was saved of one eval."""

    definition: Mapping[str, Any]
    runs: Sequence[Mapping[str, Any]] = ()
    output_items: Sequence[Mapping[str, Any]] = ()
    files: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """The rows of the files that its runs read, by file id, as far as they were saved."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the run: what is asked, and about what."""

    label: str
    item: Mapping[str, Any]
    messages: Any
    """As they were sent; None where a template has to say them."""


def import_eval(saved: SavedEval, *, slug: str, run: str | None = None, prompt: str | None = None) -> Import:
    """The cases of a saved eval, named `slug-NUMBER`.

    `run` chooses one of its runs, by default the latest with rows. `prompt` is a template for the user's message, such
    as `{{item.question}}`, for an eval that asked no model. Raises `ImportFailed` when nothing can be imported.
    """
    remarks = Remarks()
    graders = list(_graders(saved.definition, remarks))
    name = str(saved.definition.get("name") or saved.definition.get("id") or "eval")
    if not graders:
        raise ImportFailed(f"none of the testing criteria of {name!r} can be run here:\n{_listed(remarks)}")
    chosen, rows = _rows(saved, run, remarks)
    given = chosen.get("data_source")
    source: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    cases: dict[str, ImportedCase] = {}
    for row in rows:
        try:
            messages = _messages(row, source, prompt)
        except NoEqual as reason:
            remarks.leave_out(f"item {row.label}", reason)
            continue
        identity = f"{slug}-{row.label}"
        if identity in cases and (cases[identity].item, cases[identity].messages) == (row.item, messages):
            remarks.change(f"item {row.label}", "it stands there several times, and is asked once; see --samples")
            continue
        identity = unused(identity, cases)
        cases[identity] = ImportedCase(id=identity, messages=messages, item=row.item, graders=graders)
    if not cases:
        raise ImportFailed(
            f"no item of {name!r} can be imported:\n{_listed(remarks)}\n"
            "Where an eval only graded answers that it was given, say what is to be asked: "
            "--prompt '{{item.question}}'"
        )
    models = [str(model) for model in (chosen.get("model"), source.get("model")) if model]
    return Import(
        name=name,
        origin=f"{saved.definition.get('id', 'an eval')}, run {chosen['id']}" if "id" in chosen else str(name),
        cases=list(cases.values()),
        models=list(dict.fromkeys(models)),
        sampling=_sampling(source, remarks),
        remarks=remarks,
    )


def _graders(definition: Mapping[str, Any], remarks: Remarks) -> Iterator[dict[str, Any]]:
    criteria = definition.get("testing_criteria")
    for number, criterion in enumerate(criteria if isinstance(criteria, list) else [], start=1):
        if not isinstance(criterion, Mapping):
            remarks.leave_out(f"testing criterion {number}", "it is no grader object")
            continue
        label = f"testing criterion {criterion.get('name') or number!r}"
        grader = {key: value for key, value in criterion.items() if value is not None and key != "id"}
        try:
            found = checked(grader)
            if found["type"] == "python":
                refuse_what_cannot_run(found["source"])
        except NoEqual as reason:
            remarks.leave_out(label, reason)
            continue
        if found.get("evaluation_metric") not in (None, "fuzzy_match", "cosine"):
            remarks.change(label, "the score is computed by another library, so it may differ a little")
        if found.get("evaluation_metric") == "cosine":
            remarks.change(
                label, "the embeddings are those of another model, so scores differ: choose the threshold anew"
            )
        model = str(found.get("model", ""))
        for family, day in _CLOSING:
            if family.fullmatch(model.removeprefix("ft:").partition(":")[0]):
                remarks.change(label, f"it asks {model}, which is shut down on {day}; --judge NAME asks another")
        yield found


def _rows(saved: SavedEval, wanted: str | None, remarks: Remarks) -> tuple[Mapping[str, Any], list[_Row]]:
    """The run that is taken, and its rows."""
    known = {str(run.get("id")): run for run in saved.runs}
    for item in saved.output_items:
        known.setdefault(str(item.get("run_id")), {"id": item.get("run_id"), "created_at": item.get("created_at")})
    if wanted is not None and wanted not in known:
        raise ImportFailed(f"there is no run {wanted!r} among the saved ones: {', '.join(known) or 'there are none'}")
    newest = sorted(known.values(), key=lambda run: _time(run.get("created_at")), reverse=True)
    candidates = [known[wanted]] if wanted is not None else newest
    for run in candidates:
        rows = list(_rows_of(run, saved))
        if rows:
            others = len(known) - 1
            if others and wanted is None:
                remarks.change(
                    f"run {run.get('id')}",
                    f"the latest one with items was taken; --run ID takes one of the {others} others",
                )
            return run, rows
    raise ImportFailed(
        "the eval has no items here: expected its runs' output items beside it or in it "
        "(client.evals.runs.output_items.list), which `distill export-openai --only evals` saves"
    )


def _rows_of(run: Mapping[str, Any], saved: SavedEval) -> Iterator[_Row]:
    mine = [item for item in saved.output_items if str(item.get("run_id")) == str(run.get("id"))]
    if mine:
        for place, item in enumerate(mine, start=1):
            sample = item.get("sample")
            sent = sample.get("input") if isinstance(sample, Mapping) else None
            label = item.get("datasource_item_id")
            yield _Row(
                str(label if isinstance(label, int) and label >= 0 else place),
                _item(item.get("datasource_item")),
                sent or None,
            )
        return
    source = run.get("data_source")
    where = source.get("source") if isinstance(source, Mapping) else None
    if not isinstance(where, Mapping):
        return
    content = where.get("content") if where.get("type") == "file_content" else saved.files.get(str(where.get("id")))
    for place, row in enumerate(content if isinstance(content, Sequence) else [], start=1):
        yield _Row(str(place), _item(row), None)


def _item(row: Any) -> Mapping[str, Any]:
    """A row's item: by itself, or under `item` beside the `sample` that was graded."""
    if isinstance(row, Mapping) and isinstance(row.get("item"), Mapping) and set(row) <= {"item", "sample"}:
        return dict(row["item"])
    return dict(row) if isinstance(row, Mapping) else {}


def _messages(row: _Row, source: Mapping[str, Any], prompt: str | None) -> list[dict[str, str]]:
    if prompt is not None:
        return chat([{"role": "user", "content": prompt}], lambda text: _rendered(text, row.item))
    if row.messages is not None:
        return chat(row.messages)
    asked = source.get("input_messages")
    if not isinstance(asked, Mapping):
        raise NoEqual("no model was asked: its answer was given with it, and there is no prompt")
    if asked.get("type") == "item_reference":
        try:
            (variable,) = parse_template(f"{{{{{asked.get('item_reference')}}}}}")
            found = None if isinstance(variable, str) else value_of(variable, row.item)
        except (TemplateError, VariableMissing, ValueError) as error:
            raise NoEqual(f"its messages are not where the run says: {error}") from None
        return chat(found)
    return chat(asked.get("template"), lambda text: _rendered(text, row.item))


def _rendered(text: str, item: Mapping[str, Any]) -> str:
    try:
        return render(text, item=item, sample={})
    except (TemplateError, VariableMissing) as error:
        raise NoEqual(f"its prompt cannot be filled in: {error}") from None


def _sampling(source: Mapping[str, Any], remarks: Remarks) -> dict[str, Any]:
    given = source.get("sampling_params")
    found: dict[str, Any] = {}
    for name, value in (given if isinstance(given, Mapping) else {}).items():
        if value is None or value == []:
            continue
        if name in _SAMPLING:
            found[_SAMPLING[name]] = value
        else:
            remarks.leave_out(f"the sampling parameter {name!r}", "answers are graded as text, from a chat completion")
    return found


def _time(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _listed(remarks: Remarks) -> str:
    return "\n".join(f"  {remark.what}: {remark.why}" for remark in list(remarks.left_out)[:20])
