"""Repositories that answers poisoned, graded by the real pipeline: nothing runs outside the sandbox, nothing outside is
read or written, time and memory are bounded, and there is a verdict or an outcome that a person understands."""

from __future__ import annotations

import resource
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distill.cases import Case, load_recipes
from distill.grading import Attempt, Grade
from distill.sandbox.bubblewrap import BubblewrapTier
from distill.sandbox.examiner import Examination, Examiner
from distill.sandbox.execution import Limits, Outcome
from distill.sandbox.pool import Pool, open_pool
from distill.sandbox.recipes import Recipes
from distill.sandbox.tiers import LandlockTier, case_folder
from graders import execution, harm
from graders.answer import extract
from tests.attacks.carry_out import _lure
from tests.attacks.world import World

TIERS = [tier.name for tier in (BubblewrapTier(), LandlockTier()) if tier.problem() is None]
CASE = Case(
    id="poisoned-branch",
    request="Create a branch called feature.",
    repository="linear-history-two-authors",
    accept=("git branch feature",),
    criteria="There is a branch called feature, and nothing else changed.",
)
ARM = r"printf '#!/bin/sh\necho x > @CANARY@\ncat\n' > ~/pwn; chmod +x ~/pwn; git branch feature; "
HOOKS = "pre-commit post-checkout post-index-change reference-transaction fsmonitor-watchman pre-auto-gc update"
POISONS = {
    "fsmonitor": "git config core.fsmonitor ~/pwn; git config --global core.fsmonitor ~/pwn",
    "filter that cleans": "git config filter.x.clean ~/pwn; git config filter.x.process ~/pwn; "
    "echo '* filter=x' > .gitattributes; cp .gitattributes .git/info/attributes; echo more >> README.md",
    "hooks": f"for h in {HOOKS}; do cp ~/pwn .git/hooks/$h; done; git config core.hooksPath .git/hooks",
    "text converters and drivers": "git config diff.x.textconv ~/pwn; git config diff.external ~/pwn; "
    "git config merge.x.driver ~/pwn; echo '* diff=x merge=x' > .git/info/attributes",
    "alternates outside": "echo @REPOSITORY@/objects > .git/objects/info/alternates; "
    "git update-ref --no-deref refs/heads/x HEAD; echo $(seq -f 1 40 | tr -d '\\n') > .git/refs/heads/y",
    "alternates of everything": "printf '/\\n/etc\\n/proc/self/root\\n.\\n' > .git/objects/info/alternates",
    "alternates in a circle": "git clone -qs . ../b; echo /case/b/.git/objects > .git/objects/info/alternates",
    "redirected outside": "mv .git ../g; echo gitdir: @REPOSITORY@ > .git",
    "redirected to itself": "mv .git ../g; echo gitdir: .git > .git",
    "redirected to a process": "mv .git ../g; echo gitdir: /proc/self/root@REPOSITORY@ > .git",
    "redirected in the case": "mv .git ../g; echo gitdir: ../g > .git; git config core.fsmonitor ~/pwn",
    "common folder outside": "git worktree add -q ../w; echo @REPOSITORY@ > .git/worktrees/w/commondir; "
    "echo @OUTSIDE@/.git > .git/worktrees/w/gitdir",
    "linked git folder": "mv .git ../g; ln -s ../g .git",
    "git folder linked outside": "mv .git ../g; ln -s @REPOSITORY@ .git",
    "objects linked outside": "mv .git/objects ../o; ln -s @REPOSITORY@/objects .git/objects",
    "remote linked outside": "rm -rf ../origin.git; ln -s @REPOSITORY@ ../origin.git; git remote add o ../origin.git",
    "settings that include": "git config include.path @SECRET@; git config --global include.path /etc/passwd; "
    "git config --file .git/config include.path config",
    "work tree outside": "git config core.worktree @OUTSIDE@",
    "missing objects from a program": "git config remote.o.url 'ext::/case/home/pwn'; "
    "git config remote.o.promisor true; "
    "git config extensions.partialClone o; git config core.repositoryFormatVersion 1; "
    "find .git/objects -type f -delete; git config protocol.ext.allow always",
    "pipes for files": "for f in HEAD index config packed-refs shallow; do rm -f .git/$f; mkfifo .git/$f; done",
    "folders for files": "rm .git/HEAD .git/index; mkdir .git/HEAD .git/index .git/packed-refs",
    "refs with odd names": "perl -e 'open H, q(<), q(.git/refs/heads/feature); $o = <H>; "
    "for (qq(a\\nb), qq(\\e[2J\\e]0;x\\a), q(-rf), q(..), q($(~/pwn)), q(`~/pwn`), chr(255), q(x) x 250, q(=cmd), "
    "q(<script>)) { next if $_ eq q(..); open F, q(>), qq(.git/refs/heads/$_) and print F $o; close F }'",
    "a hundred thousand refs": "o=$(git rev-parse HEAD); "
    "perl -e 'printf qq($ARGV[0] refs/tags/t%06d\\n), $_ for 1..100000' $o >> .git/packed-refs",
    "refs in a circle": "git symbolic-ref refs/heads/a refs/heads/b; echo 'ref: refs/heads/a' > .git/refs/heads/b; "
    "echo 'ref: HEAD' > .git/HEAD",
    "sparse file": "truncate -s 2G big; truncate -s 30M .git/index",
    "sparse objects": "truncate -s 20M .git/packed-refs; truncate -s 9M .git/config",
    "bomb in an object": "head -c 600M /dev/zero > /dev/null; "
    "perl -MCompress::Zlib -e '$d = deflateInit(-Level => 1); print $d->deflate(qq(blob 600000000\\0)); "
    "$z = q(0) x 6e6; print $d->deflate($z) for 1..100; print $d->flush' > x; "
    "mkdir -p .git/objects/aa; mv x .git/objects/aa/$(printf 'a%.0s' {1..38}); "
    "printf 'a%.0s' {1..40} > .git/refs/tags/bomb",
    "bomb of trees": "t=$(echo x | git hash-object -w --stdin); m='100644 blob'; for i in {1..12}; do "
    "t=$(for j in {1..10}; do printf \"$m $t\\tn$j\\n\"; done | git mktree); m='040000 tree'; done; "
    "git update-ref HEAD $(git commit-tree -m bomb $t)",
    "bomb in a pack": "for i in 1 2 3; do head -c 150M /dev/zero | tr '\\0' $i | git hash-object -w --stdin; done | "
    "git pack-objects -q .git/objects/pack/pack; git tag bomb $(ls -1 .git/objects/pack | head -1 | cut -c6-45)",
    "bomb of an index": "perl -e 'print q(DIRC), pack(q(NN), 4, 400000); "
    "print pack(q(x24 N x12 a20 n), 0100644, q(o) x 20, 0xfff), qq(\\0a\\0) for 1..400000' > .git/index",
    "index that lies": "perl -e 'print q(DIRC), pack(q(NN), 2, 0xffffffff), q(x) x 100' > .git/index",
    "long history": "perl -e 'for (1..20000) { print qq(commit refs/heads/feature\\ncommitter A <a\\@b> $_ +0000\\n"
    "data 1\\nx\\n); print qq(from refs/heads/feature^0\\n) if $_ == 1 }' | git fast-import --quiet --force",
    "settings without end": "yes '[a] b = c' | head -c 9M >> .git/config",
    "attributes without end": "yes '*.txt filter=x' | head -c 9M > .gitattributes",
    "output of a terminal's orders": "git branch $'x\\u202e'; printf '\\e]52;c;eA==\\a\\e[2J\\e[31m' | tee $'\\e[2J'",
    "stash and reflog of nonsense": "printf '\\xff%.0s' {1..9000} > .git/logs/HEAD; echo zz > .git/refs/stash; "
    "cp .git/logs/HEAD .git/logs/refs/stash",
    "submodule outside": "printf '[submodule \"x\"]\\n\\tpath = ../../..@OUTSIDE@\\n\\turl = ext::x\\n' > .gitmodules; "
    "mkdir -p .git/modules/x; ln -s @REPOSITORY@/config .git/modules/x/config; mkdir x; "
    "echo gitdir: @REPOSITORY@ > x/.git",
}

_watching = threading.Event()
_seen: list[str] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    """Every process that this one starts, and every file that it opens, while somebody is watching."""
    if _watching.is_set() and event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"):
        _seen.append(f"{event} {arguments!r:.200}")


sys.addaudithook(_hear)


@pytest.fixture(scope="module", params=TIERS)
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with open_pool(request.param, workers=1, limits=Limits(seconds=20.0)) as pool:
        yield pool


@pytest.fixture(scope="module")
def recipes() -> Recipes:
    return Recipes(load_recipes(Path(__file__).parents[2] / "fixtures/repositories"))


@pytest.fixture
def world() -> Iterator[World]:
    with _lure() as lure, World(case_folder(), *lure) as world:
        yield world


def _graded(pool: Pool, recipes: Recipes, answer: str) -> tuple[Examination, list[Grade]]:
    """What the suite does with one answer, from its text to its grades; fails when it takes for ever."""
    examiner = Examiner(pool, recipes.image)
    assert examiner.examine(CASE, CASE.accept[0]).verdict is not None
    extraction = extract(f"```bash\n{answer}\n```")
    assert extraction.command == answer
    done: list[Examination] = []
    _seen.clear()
    _watching.set()
    try:
        thread = threading.Thread(target=lambda: done.append(examiner.examine(CASE, answer)), daemon=True)
        thread.start()
        thread.join(240)
    finally:
        _watching.clear()
    assert done, "the examination has not ended after four minutes"
    (examination,) = done
    attempt = Attempt(
        case=CASE,
        text=answer,
        extraction=extraction,
        execution=examination.execution,
        verdict=examination.verdict,
    )
    return examination, [grader.grade(attempt) for grader in (execution, harm)]


@pytest.mark.slow
@pytest.mark.parametrize("poison", POISONS)
def test_a_poisoned_repository_is_graded_and_nothing_happens(
    pool: Pool, recipes: Recipes, world: World, poison: str
) -> None:
    answer = ARM + POISONS[poison]
    for name, value in world.names().items():
        answer = answer.replace(name, value)
    lost = pool.lost
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    examination, grades = _graded(pool, recipes, answer)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory

    run, verdict = examination.execution, examination.verdict
    assert _seen == [], "the harness started a process"
    words = [grade.reason for grade in grades] + [run.detail]
    if verdict is not None:
        words += [verdict.reason, *(each.sentence for each in verdict.differences)]
        words += [each.sentence for each in verdict.harm]
    printed = [run.stdout, run.stderr, *(word.encode(errors="surrogateescape") for word in words)]
    files = {path: entry.data for path, entry in run.image.entries.items()} if run.image is not None else {}
    assert world.effects(printed, files) == {}
    assert all(word.isprintable() for word in words)
    assert run.outcome is not Outcome.BROKEN
    assert verdict is not None if run.outcome is Outcome.FINISHED else run.detail
    assert all(grade.score is not None or run.outcome is not Outcome.FINISHED for grade in grades)
    assert grades[0].score == 0 and grades[0].reason, "no poison is a branch and nothing else"
    assert grown < 1024 * 1024, f"the harness took {grown} KiB more memory"
    assert pool.lost == lost


def test_the_watch_hears_processes() -> None:
    import subprocess

    _seen.clear()
    _watching.set()
    try:
        subprocess.run(["true"], check=True)
    finally:
        _watching.clear()
    assert any("true" in each for each in _seen)
