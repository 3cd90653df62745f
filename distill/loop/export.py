"""Export: a student as files for other programs, graded again before they are given out.

In: a fine-tuned model of this machine, a format, a place. Out: `safetensors` (a folder for transformers, vLLM, …),
`gguf` (one file for llama.cpp, LM Studio, …) or `ollama` (that file and a Modelfile). Templates, end-of-turn tokens and
merges break in exports more often than in training, so the exported model answers held-out cases as the served one
does; one that lost more than a stated margin is refused and removed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from distill.cases import Case, Recipe
from distill.config import Config
from distill.loop.answers import TeacherAnswer
from distill.loop.collect import collect
from distill.loop.formats import Format
from distill.loop.tasks import Task
from distill.loop.verify import executed
from distill.models.prices import Prices
from distill.models.registry import LocalModel
from distill.sandbox.examiner import Examiner
from distill.sandbox.pool import open_pool
from distill.sandbox.recipes import Recipes
from distill.server.weights import locate
from distill.suite.experiment import prompt_of, read_system_prompt

MARGIN = 0.02
"""How much of its pass rate an exported model may lose."""

_CASES = {"gguf": 120, "ollama": 120, "safetensors": 24}
"""On how many held-out cases it is graded: transformers takes a second or more for each."""
_EXPORTED = "exported"


class ExportError(Exception):
    """A model that cannot be exported. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written, and how it was graded."""

    path: Path
    cases: int
    served: int
    """How many of the cases the model passes as it is served here."""
    exported: int
    """How many it passes as it was exported."""


def export(
    model: str,
    to: Format,
    output: Path,
    settings: Config,
    cases: Sequence[Case],
    recipes: dict[str, Recipe],
    prices: Prices,
    *,
    margin: float = MARGIN,
    say: Callable[[str], None] = lambda _: None,
    stream: TextIO,
) -> Exported:
    """Write `model` to `output`, a new file or folder. Raises `ExportError`, and what asking raises."""
    if output.exists():
        raise ExportError(f"{output} is there already; name another place with --output, or remove it.")
    adapter = _adapter(model, settings)
    settings = _unmerged(settings)
    base = locate(model, settings.local_models()).gguf
    output.parent.mkdir(parents=True, exist_ok=True)
    gguf = output
    if to is Format.SAFETENSORS:
        if not (adapter.parent / "adapter_config.json").exists():
            raise ExportError(
                f"{model} came as one GGUF file, {adapter}, which holds what is served and not what PEFT saved: export "
                "it --to gguf or --to ollama, or train it here (`distill run`) for safetensors."
            )
        _merge("safetensors", base, adapter.parent, output)
    else:
        if to is Format.OLLAMA:
            output.mkdir()
            gguf = output / "model.gguf"
            (output / "Modelfile").write_text(_modelfile(settings), encoding="utf-8")
        _merge("gguf", base, adapter, gguf)
    say("graded again: as it is served, and as it was exported")
    chosen = _chosen(cases, _CASES[to.value])

    def ask(name: str, served: Config) -> Sequence[TeacherAnswer]:
        found = collect(chosen, served, name, prices, stream=stream)
        return found.answers if found is not None else ()

    before = ask(model, settings)
    if to is Format.SAFETENSORS:
        after: Sequence[TeacherAnswer] = _answers_of_folder(output, chosen, settings)
    else:
        exported = {**settings.models, _EXPORTED: LocalModel(gguf=gguf.absolute())}
        after = ask(_EXPORTED, settings.model_copy(update={"models": exported}))
    by_id = {task.id: task for task in chosen}
    with open_pool(settings.sandbox) as pool:
        examiner = Examiner(pool, Recipes(recipes).image)
        counts = [
            sum(row.kept for row in executed(answers, by_id, examiner, threads=pool.size))
            for answers in (before, after)
        ]
    found = Exported(path=output, cases=len(chosen), served=counts[0], exported=counts[1])
    if found.exported < found.served - margin * found.cases:
        if output.is_dir():
            shutil.rmtree(output)
        else:
            output.unlink()
        raise ExportError(
            f"The exported model passes {found.exported} of {found.cases} held-out cases, and {model} as it is served "
            f"passes {found.served}: it lost more than {margin:.0%}, so {output} was removed."
        )
    return found


def _adapter(model: str, settings: Config) -> Path:
    known = settings.local_models().get(model)
    if known is None or known.adapter is None:
        trained = sorted(name for name, each in settings.local_models().items() if each.adapter)
        there = f"There are: {', '.join(trained)}." if trained else "None has been trained yet."
        raise ExportError(f"{model!r} is no model that was fine-tuned on this machine. {there}")
    return known.adapter


def _unmerged(settings: Config) -> Config:
    """The experiment with each adapter beside its base: what is merged already would be merged twice."""
    models = {name: model.model_copy(update={"merged": False}) for name, model in settings.models.items()}
    return settings.model_copy(update={"models": models})


def _merge(kind: str, base: Path, adapter: Path, target: Path) -> None:
    command = [sys.executable, "-m", "distill.trainer.merge", kind, str(base), str(adapter), str(target)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        if "ModuleNotFoundError" in reason:
            reason = f"{reason.partition(':')[2].strip()}: install what training needs with pip install '.[train]'"
        raise ExportError(f"{target} could not be written: {reason}")


def _modelfile(settings: Config) -> str:
    """What `ollama create NAME -f Modelfile` takes: the prompt that it was trained with, greedy answers, ChatML."""
    prompt = read_system_prompt(settings.system_prompt)
    longest = settings.sampling.get("max_completion_tokens", 128)
    return f'''FROM ./model.gguf
SYSTEM {json.dumps(prompt, ensure_ascii=False)}
TEMPLATE """{{{{- range .Messages }}}}<|im_start|>{{{{ .Role }}}}
{{{{ .Content }}}}<|im_end|>
{{{{ end }}}}<|im_start|>assistant
"""
PARAMETER temperature 0
PARAMETER num_predict {longest}
PARAMETER stop "<|im_end|>"
'''


def _chosen(cases: Sequence[Case], most: int) -> list[Task]:
    """The same cases each time, from everywhere in the set."""
    able = [case for case in cases if case.accept]
    ordered = sorted(able, key=lambda case: hashlib.sha256(case.id.encode()).digest())
    return [Task(case, case.id) for case in ordered[:most]]


def _answers_of_folder(folder: Path, tasks: Sequence[Task], settings: Config) -> list[TeacherAnswer]:
    prompt = read_system_prompt(settings.system_prompt)
    asked = [json.dumps(prompt_of(settings, task.case.request, prompt).messages) for task in tasks]
    done = subprocess.run(
        [sys.executable, "-m", "distill.trainer.answer", str(folder)],
        input="\n".join(asked) + "\n",
        check=False,
        capture_output=True,
        text=True,
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode or len(said) != len(tasks):
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ExportError(f"The exported model in {folder} could not be asked: {reason}")
    return [
        TeacherAnswer(task=task.id, request=task.case.request, model=_EXPORTED, text=text or None, source="asked")
        for task, text in zip(tasks, said, strict=True)
    ]
