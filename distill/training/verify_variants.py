"""Whether a variant is still a case that can tell: decided by running it, as answers are graded.

In: a source case, a variant of it, and a `Runner`. Out: the variant as it will be kept, or `Dropped` with the reason.
Kept means: each accepted command ends with the exit code that it has in the source and passes; accepted commands agree
with the first one wherever they do so in the source (those that do not are left out); near misses fail; doing nothing
fails. When a variant asks about something else (another count, another file), the facts that its output has to hold are
taken anew from what its first accepted command prints. Equal runs from one start are made once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from distill.cases import Case, OutputFacts
from distill.sandbox.examiner import CaseBroken, Examination, Examiner
from distill.sandbox.execution import Execution, Limits, Runner
from distill.sandbox.image import Image
from distill.sandbox.output import check_output, readable

NOTHING = ":"


class Dropped(Exception):
    """A variant that is not kept. The message is a reason that is the same for all variants of its sort."""


class Unfit(Exception):
    """A source case that does not prove itself, so that nothing can be made from it. The message says why."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What an accepted command does in a case."""

    exit_code: int | None
    passed: bool
    agrees: bool
    """Whether it leaves the state that the first accepted command leaves."""


class Verifier:
    """Verifies variants of one source case. Not for several threads at a time.

    Raises `Unfit` when the source does not pass its own accepted commands, or passes doing nothing.
    """

    def __init__(self, runner: Runner, images: Callable[[str], Image], source: Case) -> None:
        self.runs = 0
        """How many commands were really run."""
        self._examiner = Examiner(_Remembering(runner, self._count), images)
        self._source = source
        self._before: list[_Run] = []
        try:
            self._before = [self._run(source, command) for command in source.accept]
            if not all(run.passed for run in self._before):
                raise Unfit("an accepted command of the source case fails")
            if self._passes(source, NOTHING):
                raise Unfit("doing nothing passes the source case")
        except CaseBroken as error:
            raise Unfit(str(error)) from None
        self._slack = self._lines(source) if source.output is not None else 0

    def verify(self, variant: Case, *, rejects: tuple[str, ...], facts_anew: bool) -> Case:
        """The variant with what proved wrong in it left out. Raises `Dropped`.

        `rejects`: the near misses that are tried. `facts_anew`: whether it asks about something else than the source.
        """
        if len(variant.accept) != len(self._source.accept):
            raise Dropped("two accepted commands became the same")
        try:
            if facts_anew and variant.output is not None:
                variant = variant.model_copy(update={"output": self._facts(variant, variant.output)})
            variant = self._accepted(variant)
            if self._passes(variant, NOTHING):
                raise Dropped("doing nothing passes")
            if any(self._passes(variant, command) for command in rejects):
                raise Dropped("a near miss passes")
        except CaseBroken:
            raise Dropped("an accepted command does not run to its end") from None
        return variant

    def _accepted(self, variant: Case) -> Case:
        kept = []
        for index, (command, before) in enumerate(zip(variant.accept, self._before, strict=True)):
            run = self._run(variant, command)
            if run == before:
                kept.append(command)
            elif index == 0:
                what = "fails" if run.exit_code != before.exit_code else "does not print the facts"
                raise Dropped(f"the reference {what}")
        if 2 * len(kept) < len(variant.accept):
            raise Dropped("most accepted commands no longer agree")
        return variant.model_copy(update={"accept": tuple(kept)})

    def _run(self, case: Case, command: str) -> _Run:
        """Against the first accepted command for the state, and against them all for a pass."""
        alone = self._examine(case.model_copy(update={"accept": case.accept[:1]}), command)
        verdict = alone.verdict
        agrees = verdict is not None and verdict.wanted_change and verdict.nothing_else
        passed = agrees and verdict is not None and verdict.output_holds is not False
        return _Run(alone.execution.exit_code, passed or self._passes(case, command), agrees)

    def _passes(self, case: Case, command: str) -> bool:
        verdict = self._examine(case, command).verdict
        return verdict is not None and verdict.passed

    def _examine(self, case: Case, command: str) -> Examination:
        return self._examiner.examine(case, command)

    def _facts(self, variant: Case, facts: OutputFacts) -> OutputFacts:
        """The texts that the source knows, sorted by whether the reference prints them now."""
        stdout = self._examine(variant, variant.accept[0]).execution.stdout
        text = readable(stdout)
        known = dict.fromkeys((*facts.must, *facts.must_not))
        printed = [each for each in known if check_output(stdout, OutputFacts(must=(each,))).holds]
        if facts.ordered:
            printed.sort(key=text.find)
        if not printed:
            raise Dropped("the output holds none of the known facts")
        most = None if facts.max_lines is None else max(1, _line_count(stdout) + self._slack)
        others = tuple(each for each in known if each not in printed)
        return facts.model_copy(update={"must": tuple(printed), "must_not": others, "max_lines": most})

    def _lines(self, case: Case) -> int:
        """How many more lines the source allows than its reference prints."""
        if case.output is None or case.output.max_lines is None:
            return 0
        return case.output.max_lines - _line_count(self._examine(case, case.accept[0]).execution.stdout)

    def _count(self) -> None:
        self.runs += 1


def _line_count(stdout: bytes) -> int:
    return sum(1 for line in readable(stdout).split("\n") if line.strip())


class _Remembering:
    """A runner that runs each command line from each image once."""

    def __init__(self, runner: Runner, count: Callable[[], None]) -> None:
        self._runner = runner
        self._count = count
        self._known: dict[tuple[str, str], Execution] = {}

    def run(self, image: Image, command: str, *, limits: Limits | None = None) -> Execution:
        key = (image.identity, command)
        if key not in self._known:
            self._count()
            execution = self._runner.run(image, command, limits=limits if limits is not None else Limits())
            self._known[key] = execution
        return self._known[key]
