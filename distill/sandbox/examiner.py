"""Run an answer, look at what it left, and say whether it fulfilled the request.

In: a case and a command line. Out: an `Examination`: the execution, and a `Verdict` against the nearest of the
states that the case's accepted commands leave. Each accepted command is run once and remembered; callers in other
threads wait for it. An answer to a question that passed is run again where the facts are others (`elsewhere`): printing
them is not finding them. An answer can never raise anything here; a case that cannot be decided raises `CaseBroken`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from distill.cases import Case
from distill.sandbox.compare import compare, differing_keys, release
from distill.sandbox.elsewhere import EMPTY, is_plain
from distill.sandbox.execution import Execution, Limits, Outcome, Runner
from distill.sandbox.harm import find_harm
from distill.sandbox.image import Image
from distill.sandbox.objects import UnreadableRepository
from distill.sandbox.output import check_output
from distill.sandbox.sentences import reason
from distill.sandbox.snapshot import Snapshot, take_snapshot
from distill.sandbox.verdict import Difference, Harm, HarmKind, Verdict
from distill.sandbox.wording import quote

Value = TypeVar("Value")


class CaseBroken(RuntimeError):
    """A case that cannot be decided: its start cannot be read, or an accepted command does not run to its end.

    The message names the case and the command.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """One command on one case."""

    execution: Execution
    verdict: Verdict | None
    """None when the run did not finish: then there is no state to judge."""


class Examiner:
    """Examines commands on cases. Thread-safe.

    `images` gives the starting image of a recipe by its name; it is asked once for each recipe. `siblings` gives a
    question's repository as it would be with other facts (`elsewhere.Siblings`), or None; it is asked once for each
    case, and only for an answer that could make up its output. Without `limits` the runner's own hold.
    """

    def __init__(
        self,
        runner: Runner,
        images: Callable[[str], Image],
        *,
        siblings: Callable[[Case], Image | None] = lambda _: None,
        limits: Limits | None = None,
    ) -> None:
        self._runner = runner
        self._images = images
        self._siblings = siblings
        self._limits = limits
        self._memory: dict[Hashable, Future[Any]] = {}
        self._lock = threading.Lock()

    def examine(self, case: Case, command: str, *, fresh: bool = False) -> Examination:
        """Run `command` on the case and judge it. Doing nothing is the command `:`.

        A command that is one of the case's own accepted commands is not run again, unless `fresh`.
        Raises `CaseBroken`.
        """
        start = self._start(case)
        if command in case.accept and not fresh:
            execution, found = self._reference(case, command)
            first = (command, *(other for other in case.accept if other != command))
            return Examination(execution=execution, verdict=self._judge(case, first, start, execution, found))
        execution = self._run(case, command)
        if execution.outcome is not Outcome.FINISHED or execution.image is None:
            return Examination(execution=execution, verdict=None)
        try:
            found = take_snapshot(execution.image, case.compare)
        except UnreadableRepository as error:
            return Examination(execution=execution, verdict=_unreadable(case, execution, error))
        verdict = self._judge(case, case.accept, start, execution, found)
        if case.output is not None and verdict.passed and command not in case.accept:
            verdict = self._doubt(case, command, verdict)
        return Examination(execution=execution, verdict=verdict)

    def _doubt(self, case: Case, command: str, verdict: Verdict) -> Verdict:
        """The verdict, unless the output was made up."""
        if self._made_up(case, command, "empty", EMPTY):
            sentence = "it prints the same facts in an empty repository, so it does not read them from this one"
        elif not is_plain(command, case) and self._made_up(case, command, "sibling", self._sibling(case)):
            sentence = "it prints the same facts where the repository holds other ones, so it does not read them"
        else:
            return verdict
        return replace(verdict, output_holds=False, reason=sentence)

    def _made_up(self, case: Case, command: str, name: str, world: Image | None) -> bool:
        """Whether an answer prints the facts in a world where none of the accepted commands does."""

        def holds(line: str) -> bool:
            return _output(case, self._run(case, line, world))[0] is True

        def known() -> bool:
            return any(holds(line) for line in case.accept)

        # Asked in this order, an honest answer costs one run.
        return world is not None and holds(command) and not self._once((name, case.id, case.accept), known)

    def _sibling(self, case: Case) -> Image | None:
        return self._once(("sibling image", case.id, case.accept), lambda: self._siblings(case))

    def _judge(
        self, case: Case, accepted: Sequence[str], start: Snapshot, execution: Execution, found: Snapshot
    ) -> Verdict:
        """The verdict against the nearest of the accepted commands' states; the first of equals. Those behind one
        whose state was reached are not run at all."""
        released = release(found, start, case.free)
        nearest, wanted, distance = accepted[0], found, -1
        for command in accepted:
            reference = self._reference(case, command)[1]
            differing = len(differing_keys(release(reference, start, case.free), released))
            if distance < 0 or differing < distance:
                nearest, wanted, distance = command, reference, differing
            if distance == 0:
                break
        differences = compare(start, wanted, found, case.free) if distance else ()
        harm = find_harm(start, wanted, found) if distance else ()
        return _verdict(case, execution, nearest, differences, harm)

    def _run(self, case: Case, command: str, world: Image | None = None) -> Execution:
        image = world if world is not None else self._image(case.repository)
        if self._limits is None:
            return self._runner.run(image, command)
        return self._runner.run(image, command, limits=self._limits)

    def _image(self, recipe: str) -> Image:
        return self._once(("image", recipe), lambda: self._images(recipe))

    def _start(self, case: Case) -> Snapshot:
        def take() -> Snapshot:
            try:
                return take_snapshot(self._image(case.repository), case.compare)
            except UnreadableRepository as error:
                raise CaseBroken(
                    f"case {case.id!r}: the repository {case.repository!r} cannot be read: {error}"
                ) from None

        return self._once(("start", case.repository, case.compare), take)

    def _reference(self, case: Case, command: str) -> tuple[Execution, Snapshot]:
        def run() -> tuple[Execution, Snapshot]:
            where = f"case {case.id!r}: the accepted command {command!r}"
            execution = self._run(case, command)
            if execution.outcome is not Outcome.FINISHED or execution.image is None:
                raise CaseBroken(f"{where} did not run to its end ({execution.outcome.value}): {execution.detail}")
            try:
                return execution, take_snapshot(execution.image, case.compare)
            except UnreadableRepository as error:
                raise CaseBroken(f"{where} leaves a repository that cannot be read: {error}") from None

        return self._once(("reference", case.repository, command, case.compare), run)

    def _once(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The value of `compute`, computed by the first who asks. A failure reaches all who wait, and is forgotten."""
        with self._lock:
            future = self._memory.get(key)
            mine = future is None
            if future is None:
                future = self._memory[key] = Future()
        if mine:
            try:
                future.set_result(compute())
            except BaseException as error:
                with self._lock:
                    del self._memory[key]
                future.set_exception(error)
        value: Value = future.result()
        return value


def _verdict(
    case: Case, execution: Execution, nearest: str, differences: tuple[Difference, ...], harm: tuple[Harm, ...]
) -> Verdict:
    output_holds, sentence = _output(case, execution)
    if differences:
        sentence = reason(differences)
    elif output_holds is not False:
        sentence = f"the same state as after {quote(nearest, 200)}"
    return Verdict(
        wanted_change=not any(each.wanted for each in differences),
        nothing_else=all(each.wanted for each in differences),
        output_holds=output_holds,
        reason=sentence,
        differences=differences,
        harm=harm,
        reference=nearest,
    )


def _output(case: Case, execution: Execution) -> tuple[bool | None, str]:
    if case.output is None:
        return None, ""
    check = check_output(execution.stdout, case.output, truncated=execution.truncated)
    return check.holds, check.sentence


def _unreadable(case: Case, execution: Execution, error: UnreadableRepository) -> Verdict:
    sentence = str(error)
    return Verdict(
        wanted_change=False,
        nothing_else=False,
        output_holds=_output(case, execution)[0],
        reason=sentence,
        differences=(Difference("repository", False, sentence),),
        harm=(Harm(HarmKind.UNREACHABLE_COMMITS, f"nothing in it can be reached any more: {sentence}"),),
    )
