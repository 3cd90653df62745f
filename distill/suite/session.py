"""The asking and the grading of one run, together: sandbox, store, local server, graders, facts.

In: an experiment and the questions that are still without a row. Out: rows, one at a time, and the facts of the run.
What has to be opened is opened in the order in which it can fail cheapest: files, names, graders, then the sandbox,
then the store, and last the local model, which is started only if one of its answers is not stored yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

from distill.cases import Recipe, case_set_hash
from distill.models.ask import Asker
from distill.models.ask import Question as Asked
from distill.models.completion import Completion, Message, ModelError, Prompt
from distill.models.keys import completion_key
from distill.models.prices import load_prices
from distill.models.reference import reference_completion
from distill.models.registry import REFERENCE, Target, bind, resolve
from distill.models.store import CompletionStore
from distill.openai_graders import Tools
from distill.openai_graders.embeddings import LocalEmbeddings
from distill.results import Row
from distill.runs import CaseSetFacts, ModelFacts, ProbeFacts, RunFacts, SandboxFacts, machine_facts
from distill.sandbox.elsewhere import Siblings
from distill.sandbox.examiner import Examiner
from distill.sandbox.pool import Pool, open_pool
from distill.sandbox.python_source import SourceSandbox
from distill.sandbox.recipes import Recipes
from distill.server.process import LocalServer
from distill.server.settings import JobSettings
from distill.suite.discovery import load_graders
from distill.suite.evaluate import Bench, grade_all
from distill.suite.experiment import Contender, Experiment, Question, prompt_for, read_system_prompt
from distill.suite.grader_tools import asking, models_asked, targets_for
from distill.suite.progress import Progress

_PACKAGES = ("distill", "openai", "pytest", "pydantic", "gitpython", "tree-sitter-bash", "scipy", "xllamacpp")
_JUDGE_TOKENS = 1024


class Session:
    """Everything between selected questions and their rows."""

    def __init__(
        self,
        experiment: Experiment,
        recipes: Mapping[str, Recipe],
        asked: Sequence[Question],
        *,
        command: Sequence[str] = (),
        given: Mapping[tuple[str, str, int], Completion | ModelError] | None = None,
    ) -> None:
        """`given`: answers that are known already, by the question's key; those are graded and not asked."""
        self._given = dict(given or {})
        self._experiment = experiment
        self._settings = experiment.settings
        self._models = experiment.settings.local_models()
        self._recipes = recipes
        self._asked = asked
        self._command = tuple(command)
        self._started = datetime.now(UTC)

    def evaluate(self, record: Callable[[Row], None], keep: Callable[[RunFacts], object], stream: TextIO) -> None:
        """Ask and grade everything; `record` is called once per question, `keep` with the facts when the first
        question is about to be asked and again at the end. Progress goes to `stream`.

        Raises what the rooms raise: `ModelError`, `SourceError`, `GraderError`, `SandboxUnavailable`, `StoreError`,
        `RecipeError`, `CaseBroken`.
        """
        settings = self._settings
        told = any(not question.case.messages for question in self._asked)
        system_prompt = read_system_prompt(settings.system_prompt) if told else ""
        graders = load_graders(settings.graders, self._experiment.root / "graders")
        prices = load_prices(settings.prices)
        targets = self._targets()
        judge = resolve(settings.judge, self._models) if settings.judge else None
        named = models_asked(graders, [question.case for question in self._asked])
        judges = targets_for(named, settings.judge, self._models)
        with contextlib.ExitStack() as stack:
            pool = stack.enter_context(open_pool(settings.sandbox))
            store = stack.enter_context(_opened(settings.store))
            sources = stack.enter_context(SourceSandbox(settings.sandbox))
            prompts = self._prompts(targets, system_prompt)
            asked_to_grade = [*judges.values(), *([judge] if judge else [])]
            address = self._serve(stack, self._local(prompts, store, asked_to_grade), stream)
            if address is not None:
                prompts = [(asked, bind(target, *address), prompt) for asked, target, prompt in prompts]
                judge = bind(judge, *address) if judge else None
                judges = {name: bind(target, *address) for name, target in judges.items()}
            facts = self._facts(pool, targets, system_prompt)
            keep(facts)
            progress = stack.enter_context(Progress(self._totals(), stream))

            def recorded(row: Row) -> None:
                record(row)
                progress.advance(row.role, failed=row.text is None)

            examiner = Examiner(pool, Recipes(self._recipes).image, siblings=Siblings(self._recipes))

            async def main() -> Asker:
                async with Asker(store, concurrency=settings.concurrency, offline=self._experiment.offline) as asker:
                    ask_judge = _judge(asker, judge, settings.metadata) if judge else None
                    ask = asking(asker, judges, settings.metadata)
                    bench = Bench(
                        examiner=examiner,
                        graders=graders,
                        judge=ask_judge,
                        prices=prices,
                        workers=pool.size,
                        tools=Tools(ask=ask, sandbox=sources, embed=LocalEmbeddings()),
                    )
                    await grade_all(self._answers(asker, prompts), bench, recorded)
                return asker

            asker = asyncio.run(main())
        models = tuple(
            model.model_copy(update={"dropped": tuple(sorted(asker.dropped.get(model.name, {})))})
            for model in facts.models
        )
        keep(facts.model_copy(update={"finished": datetime.now(UTC), "models": models}))
        for warning in asker.warnings:
            stream.write(f"warning: {warning}\n")

    def _targets(self) -> dict[str, Target]:
        used = {question.contender.role for question in self._asked if question.key not in self._given}
        return {
            contender.role: resolve(contender.name, self._models)
            for contender in self._experiment.contenders
            if contender.role in used
        }

    def _prompts(self, targets: Mapping[str, Target], system_prompt: str) -> list[tuple[Question, Target, Prompt]]:
        return [
            (question, target, prompt_for(self._experiment, question, system_prompt))
            for question in self._asked
            if question.key not in self._given and (target := targets[question.contender.role]).kind != "reference"
        ]

    def _local(
        self, prompts: Sequence[tuple[Question, Target, Prompt]], store: CompletionStore, judges: Sequence[Target]
    ) -> list[str]:
        """The local models that have to be started, because something is missing in the store."""
        if self._experiment.offline:
            return []
        keys = {
            completion_key(target.origin, target.model, prompt): target.model
            for _, target, prompt in prompts
            if target.kind == "local"
        }
        found = store.get_many(keys)
        names = [model for key, model in keys.items() if key not in found]
        names += [judge.model for judge in judges if judge.kind == "local"]
        return list(dict.fromkeys(names))

    def _serve(
        self, stack: contextlib.ExitStack, names: Sequence[str], stream: TextIO
    ) -> tuple[str, str | None] | None:
        if not names:
            return ("http://127.0.0.1:1/v1", None)  # every local answer is stored: this address is never asked
        settings = self._settings
        server = LocalServer(
            names,
            self._models,
            data=settings.platform,
            jobs=JobSettings(at_once=0),  # an evaluation trains nothing, even where a job waits for its turn
            report=lambda line: _say(stream, line),
        )
        stack.enter_context(server)
        return (server.base_url, server.api_key)

    async def _answers(
        self, asker: Asker, prompts: Sequence[tuple[Question, Target, Prompt]]
    ) -> AsyncIterator[tuple[Question, Completion | ModelError]]:
        for question in self._asked:
            if question.contender.name == REFERENCE:
                yield question, _reference(question)
            elif question.key in self._given:
                yield question, self._given[question.key]
        batch = [
            Asked(role=question.contender.role, target=target, prompt=prompt, id=question.key)
            for question, target, prompt in prompts
        ]
        by_key = {question.key: question for question, _, _ in prompts}
        async with contextlib.aclosing(asker.ask_all(batch)) as answers:
            async for asked, answer in answers:
                yield by_key[asked.id], answer  # type: ignore[index]  # the id is the key given above

    def _totals(self) -> dict[str, int]:
        totals: dict[str, int] = {}
        for question in self._asked:
            totals[question.contender.role] = totals.get(question.contender.role, 0) + 1
        return totals

    def _facts(self, pool: Pool, targets: Mapping[str, Target], system_prompt: str) -> RunFacts:
        settings = self._settings
        cases = {question.case.id: question.case for question in self._asked}
        roles = list(dict.fromkeys(question.contender for question in self._asked))
        return RunFacts(
            started=self._started,
            command=self._command,
            machine=machine_facts(),
            versions=_versions(),
            git=pool.git_version,
            sandbox=SandboxFacts(
                tier=pool.tier,
                probes=tuple(
                    ProbeFacts(name=probe.name, held=probe.held, detail=probe.detail) for probe in pool.probes
                ),
                unsafe=pool.tier == "none",
            ),
            case_set=CaseSetFacts(
                hash=case_set_hash(list(cases.values()), self._recipes),
                cases=len(cases),
                categories=len({case.category for case in cases.values()}),
            ),
            models=tuple(_model_facts(contender, targets.get(contender.role)) for contender in roles),
            samples=settings.samples,
            sampling=settings.sampling,
            system_prompt=hashlib.sha256(system_prompt.encode()).hexdigest(),
            graders=tuple(Path(name).stem for name in settings.graders),
            judge=settings.judge,
            thresholds=settings.thresholds,
            min_scores=self._experiment.min_scores,
        )


def _model_facts(contender: Contender, target: Target | None) -> ModelFacts:
    """`target` is None where every answer was given and the model is not asked."""
    if target is None:
        return ModelFacts(role=contender.role, name=contender.name)
    endpoint = target.origin if target.kind == "remote" else None
    return ModelFacts(role=contender.role, name=contender.name, kind=target.kind, endpoint=endpoint)


def _reference(question: Question) -> Completion | ModelError:
    try:
        return reference_completion(question.case)
    except ModelError as error:
        return error


def _judge(asker: Asker, target: Target, metadata: Mapping[str, str]) -> Any:
    async def ask(messages: Sequence[Message], *, json_schema: Mapping[str, Any] | None = None) -> str:
        parameters: dict[str, Any] = {"temperature": 0, "max_completion_tokens": _JUDGE_TOKENS}
        if json_schema is not None:
            shape = {"name": "grade", "strict": True, "schema": dict(json_schema)}
            parameters["response_format"] = {"type": "json_schema", "json_schema": shape}
        prompt = Prompt(messages=tuple(messages), parameters=parameters, metadata={**metadata, "purpose": "judge"})
        completion = await asker.ask(target, prompt)
        if completion.finish_reason == "length":  # what would be the verdict may be a quotation of the answer
            raise ModelError(f"the judge's reply was cut off at {_JUDGE_TOKENS} tokens", kind="malformed")
        return completion.text

    return ask


def _opened(path: Path) -> CompletionStore:
    path.parent.mkdir(parents=True, exist_ok=True)
    return CompletionStore(path)


def _say(stream: TextIO, line: str) -> None:
    stream.write(f"{line}\n")
    stream.flush()


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
