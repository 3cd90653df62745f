"""Run an answer, look at what it left, and say whether it fulfilled the request.

In: a case and a command line. Out: an `Examination`: the execution, and a `Verdict` against the nearest of the
states that the case's accepted commands leave. Each accepted command is run once and remembered; callers in other
threads wait for it. An answer can never raise anything here; a case that cannot be decided raises `CaseBroken`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from distill.cases import Case
from distill.sandbox.compare import compare, differing_keys, release
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

    `images` gives the starting image of a recipe by its name; it is asked once for each recipe. Without `limits`
    the runner's own hold.
    """

    def __init__(self, runner: Runner, images: Callable[[str], Image], *, limits: Limits | None = None) -> None:
        self._runner = runner
        self._images = images
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
        return Examination(execution=execution, verdict=self._judge(case, case.accept, start, execution, found))

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

    def _run(self, case: Case, command: str) -> Execution:
        image = self._image(case.repository)
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
