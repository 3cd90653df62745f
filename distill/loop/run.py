"""The whole loop: requests → a teacher's answers → those that work → a student → the comparison.

In: the experiment. Out: a student and a run that compares it with baseline and teacher. Each step is content-addressed:
it runs when its inputs changed and is passed over when they did not, so that the loop stops and resumes anywhere. The
comparison is pytest's, over the experiment's cases; what is stored is not asked again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

import distill
from distill.cases import Case, Recipe, case_set_hash, load_cases
from distill.config import Config
from distill.loop.answers import read_answers, write_answers
from distill.loop.budget import Estimate
from distill.loop.collect import collect
from distill.loop.dataset import Dataset, read_dataset, write_dataset
from distill.loop.steps import Step, files_hash, inputs_hash
from distill.loop.tasks import Task, every_recipe, keep_recipes, load_tasks, tasks_hash
from distill.loop.train import Observer, Trained, base_of, train
from distill.loop.verify import verify
from distill.models.completion import ModelError
from distill.models.prices import Prices, load_prices
from distill.runs import write_whole
from distill.sandbox.examiner import Examiner
from distill.sandbox.pool import open_pool
from distill.sandbox.recipes import Recipes
from distill.suite.experiment import read_system_prompt
from distill.training.making import Wanted, make
from distill.training.progress import Bars
from distill.training.variants import Material, write_variants

PATTERNS = Path("fixtures/patterns")


class Declined(Exception):
    """Somebody was shown what it would cost, and said no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What `distill run` can be told beyond the experiment."""

    training: Path
    wanted: Wanted = field(default_factory=Wanted)
    samples: int = 1
    max_cost: float | None = None
    validation: float = 0.05
    again: bool = False
    evaluate: bool = True
    pytest_arguments: tuple[str, ...] = ()


class Loop:
    """The steps in order; each gives what the next one takes."""

    def __init__(
        self,
        settings: Config,
        experiment: Path,
        wishes: Wishes,
        *,
        say: Callable[[str], None],
        agree: Callable[[Estimate], bool],
        observer: Observer,
        stream: TextIO,
    ) -> None:
        if settings.teacher is None:
            raise ModelError("There is no teacher: name one as `teacher:` in distill.yaml.", fatal=True)
        self._teacher = settings.teacher
        self._settings = settings
        self._experiment = experiment
        self._wishes = wishes
        self._say = say
        self._agree = agree
        self._observer = observer
        self._stream = stream
        self._folder = settings.store.parent / "steps"
        self._recipes: dict[str, Recipe] = every_recipe(settings)
        self._held: tuple[Case, ...] = load_cases(settings.cases, self._recipes)
        self._prices: Prices = load_prices(settings.prices)
        self._system_prompt = read_system_prompt(settings.system_prompt)

    def run(self) -> int:
        """Everything; the exit code of the comparison. Raises what the steps raise, and `Declined`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        variants = self._variants()
        tasks = load_tasks(self._wishes.training, self._recipes, variants)
        answers = self._answers(tasks)
        dataset = self._dataset(tasks, answers)
        trained = self._student(dataset)
        return self._compare(trained) if self._wishes.evaluate else 0

    def _variants(self) -> Path | None:
        wanted = self._wishes.wanted
        if wanted.variants == 0:
            return None
        sources = [*self._wishes.training.glob("*.yaml"), *PATTERNS.glob("*.yaml")]
        inputs = inputs_hash(
            wanted=asdict(wanted),
            sources=files_hash(sources),
            held=case_set_hash(self._held, self._recipes),
            code=distill.__version__,
        )
        step = Step(name="variants", inputs=inputs, folder=self._folder, suffix=".jsonl")
        if self._passed_over(step, "requests"):
            return step.result
        self._say(
            f"requests: {wanted.variants:,} variants of the training cases, and for each operation {wanted.alone} "
            f"requests alone and {wanted.together} with others, each one verified"
        )
        cases = load_cases([self._wishes.training], self._recipes)
        material = Material.load(PATTERNS)
        with open_pool(self._settings.sandbox) as pool, Bars(self._stream) as bars:
            found = make(
                cases,
                self._recipes,
                pool,
                material=material,
                seed=1,
                wanted=wanted,
                held_out=self._held,
                threads=pool.size,
                progress=bars.show,
            )
        keep_recipes(self._settings, found.twins)
        self._recipes |= {each.name: each for each in found.twins}
        write_variants(found, step.result)
        return step.result

    def _answers(self, tasks: tuple[Task, ...]) -> Path:
        teacher = self._teacher
        inputs = inputs_hash(
            teacher=teacher,
            tasks=tasks_hash(tasks),
            prompt=self._system_prompt,
            sampling=self._settings.sampling,
            samples=self._wishes.samples,
        )
        step = Step(name="answers", inputs=inputs, folder=self._folder, suffix=".jsonl")
        if self._passed_over(step, "answers"):
            return step.result
        self._say(f"answers: {teacher} is asked {len(tasks):,} requests")
        found = collect(
            tasks,
            self._settings,
            teacher,
            self._prices,
            samples=self._wishes.samples,
            max_cost=self._wishes.max_cost,
            agree=self._agree,
            stream=self._stream,
        )
        if found is None:
            raise Declined
        if found.unasked:
            raise ModelError(
                f"{found.unasked:,} requests were not asked, because --max-cost would have been exceeded. What was "
                "answered is stored: run it again with a higher limit, or with fewer requests.",
                fatal=True,
            )
        write_answers(found.answers, step.result)
        return step.result

    def _dataset(self, tasks: tuple[Task, ...], answers: Path) -> Dataset:
        inputs = inputs_hash(
            answers=files_hash([answers]),
            tasks=case_set_hash([task.case for task in tasks], self._recipes),
            held=case_set_hash(self._held, self._recipes),
            validation=self._wishes.validation,
            code=distill.__version__,
        )
        step = Step(name="dataset", inputs=inputs, folder=self._folder)
        if self._passed_over(step, "dataset"):
            return read_dataset(step.result)
        given = read_answers(answers)
        self._say(f"dataset: {len(given):,} answers are executed, and those that work are kept")
        by_id = {task.id: task for task in tasks}
        with open_pool(self._settings.sandbox) as pool, Bars(self._stream) as bars:
            examiner = Examiner(pool, Recipes(self._recipes).image)
            found = verify(
                given,
                by_id,
                self._held,
                examiner,
                threads=pool.size,
                on_progress=lambda done: bars.show("answers", done, len(given)),
            )
        for fate, count in found.fates.items():
            self._say(f"  {count:>6,}  {fate.value}")
        return write_dataset(found, by_id, self._system_prompt, step.result, validation=self._wishes.validation)

    def _student(self, dataset: Dataset) -> str:
        inputs = inputs_hash(
            base=base_of(self._settings),
            dataset=dataset.content_hash,
            training=self._settings.training.model_dump(mode="json"),
        )
        step = Step(name="student", inputs=inputs, folder=self._folder, suffix=".json")
        if not self._wishes.again and self._passed_over(step, "student"):
            return str(json.loads(step.result.read_text(encoding="utf-8"))["model"])
        examples = dataset.card["examples"]
        self._say(f"student: {base_of(self._settings)} is fine-tuned on {examples['train']:,} examples")
        found: Trained = train(
            dataset,
            self._settings,
            self._recipes,
            self._prices,
            again=self._wishes.again,
            observer=self._observer,
            stream=self._stream,
        )
        write_whole(step.result, json.dumps({"model": found.model, "job": found.job}) + "\n")
        self._say(f"student: {found.model}")
        return found.model

    def _compare(self, student: str) -> int:
        baseline = self._settings.baseline or base_of(self._settings)
        command = [sys.executable, "-m", "pytest", "evals/", "--experiment", str(self._experiment)]
        for role, name in (("baseline", baseline), ("teacher", self._teacher), ("student", student)):
            command += ["--model", f"{role}={name}"]
        self._say("comparison: baseline, teacher and student over the held-out cases")
        return subprocess.run([*command, *self._wishes.pytest_arguments], check=False).returncode

    def _passed_over(self, step: Step, what: str) -> bool:
        if step.done:
            self._say(f"{what}: unchanged ({step.result.name})")
        return step.done
