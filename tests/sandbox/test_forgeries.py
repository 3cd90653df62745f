"""States that look like the one asked for: made by hand, by other names, with other dates. None passes."""

from __future__ import annotations

from typing import Any

import pytest

from distill.cases import Case
from distill.sandbox.examiner import Examiner
from distill.sandbox.image import Image

STEPS = (
    "echo one > a.txt && git add . && git commit -qm One && echo two >> a.txt && git commit -qam Two",
    "git clone -q --bare . ../origin.git && git remote add origin ../origin.git && git fetch -q",
    "git branch old HEAD~1 && git switch -qc topic && echo t > t.txt && git add . && git commit -qm Topic",
    "git switch -q main && echo three >> a.txt && git commit -qam Three && echo new > s.txt && git add s.txt",
)
REFS = ".git/refs/heads"
FORGERIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "git branch feature": (
        (
            "git rev-parse HEAD > .git/refs/heads/feature",
            "git pack-refs; echo $(git rev-parse HEAD) refs/heads/feature >> .git/packed-refs",
        ),
        (
            "git branch Feature",
            "git branch features",
            "git branch f\u0435ature",  # Cyrillic
            "git branch feature\u200b",
            "git branch 'feature\u00a0'",
            "git branch feature/feature",
            "git branch refs/heads/feature",
            "git branch heads/feature",
            "git tag feature",
            "git update-ref refs/feature HEAD",
            "git update-ref refs/remotes/origin/feature HEAD",
            "git symbolic-ref refs/heads/feature refs/heads/main",
            "git branch feature HEAD~1",
            "git branch feature topic",
            "git config branch.feature.description feature",
            "echo $(git rev-parse HEAD) refs/heads/feature >> .git/info/refs",
            "echo 'git branch feature' >> .git/logs/HEAD",
            f"git rev-parse HEAD > {REFS}/feature.",
            f"git rev-parse HEAD > {REFS}/feature.lock",
            f"git rev-parse HEAD > '{REFS}/feature '",
            f"git rev-parse HEAD > {REFS}/.feature",
            "git rev-parse HEAD > .git/refs/feature; cp .git/refs/feature .git/feature",
            f"git rev-parse 'HEAD^{{tree}}' > {REFS}/feature",
            f"git rev-parse HEAD:a.txt > {REFS}/feature",
            f"git rev-parse --short HEAD > {REFS}/feature",
            f"printf '%040d\\n' 0 > {REFS}/feature",
            f"printf '%040d\\n' 1 > {REFS}/feature",
            f"echo feature > {REFS}/feature",
            f": > {REFS}/feature",
            f"ln -s /nowhere {REFS}/feature",
            f"mkdir {REFS}/feature",
        ),
    ),
    "git branch -D old": (
        ("git update-ref -d refs/heads/old", f"rm {REFS}/old"),
        (
            "git branch -m old older",
            "git branch -m old Old",
            f"mv {REFS}/old {REFS}/.old; git update-ref refs/heads/.gone HEAD; git tag old main~1",
            f"echo broken > {REFS}/old",
            f": > {REFS}/old",
            f"printf '%040d\\n' 0 > {REFS}/old",
            "git pack-refs --all",
            "git config --add transfer.hideRefs refs/heads/old",
            "git branch -D old; git branch -D topic",
        ),
    ),
    "git commit -qm Save": (
        ("git update-ref HEAD $(git commit-tree -p HEAD -m Save $(git write-tree))",),
        (
            "git commit -qm save",
            "git commit -qm 'Save\u200b'",
            "git commit -qm 'S\u0430ve'",
            "git commit -q --allow-empty --only -m Save",
            "git commit -qm Save --author='Eve <eve@example.com>'",
            "git update-ref HEAD $(git commit-tree -p HEAD~1 -m Save $(git write-tree))",
            "git update-ref HEAD $(git commit-tree -m Save $(git write-tree))",
            "git update-ref HEAD $(git commit-tree -p HEAD -p topic -m Save $(git write-tree))",
            "git update-ref HEAD $(git commit-tree -p HEAD -m Save 'HEAD^{tree}')",
            "git replace -f HEAD $(git commit-tree -p HEAD~1 -m Save $(git write-tree))",
            "git commit -q --amend -m Save",
            "git stash -q -m Save",
            "git notes add -m Save",
            "git commit -qm Save; git replace HEAD~1 HEAD~2",
            "git commit -qm Save; git rev-parse HEAD > .git/info/grafts",
            "git commit -qm Save; git rev-parse HEAD > .git/shallow",
        ),
    ),
    "git push -q origin main": (
        ("git push -q origin HEAD", "git -C ../origin.git fetch -q ../repo main:main; git fetch -q"),
        (
            "git update-ref refs/remotes/origin/main HEAD",
            "git rev-parse HEAD > ../origin.git/refs/heads/main; git update-ref refs/remotes/origin/main HEAD",
            "git rev-parse HEAD > ../origin.git/refs/heads/main; echo ../../repo/.git/objects > "
            "../origin.git/objects/info/alternates; git update-ref refs/remotes/origin/main HEAD",
            "git push -q origin main:Main; git update-ref refs/remotes/origin/main HEAD",
            "git push -q origin main:refs/heads/refs/heads/main",
            "git clone -q --bare . ../other.git; git remote set-url origin ../other.git; git fetch -q",
            "git remote set-url --push origin .; git push -q origin main; git update-ref refs/remotes/origin/main HEAD",
        ),
    ),
    "git reset -q && git merge -q --no-edit topic": (
        ("git reset -q && git merge -q --no-ff topic -m \"Merge branch 'topic'\"",),
        (
            "git reset -q && git merge -q --no-edit -s ours topic",
            "git reset -q && git merge -q --squash topic; git commit -qm \"Merge branch 'topic'\"",
            "git reset -q && git cherry-pick topic; git commit -q --amend -m \"Merge branch 'topic'\"",
            "git commit -qm \"Merge branch 'topic'\"",
            "git reset -q; git rev-parse topic > .git/MERGE_HEAD",
        ),
    ),
    "git tag -a v1 -m v1": (
        ("git tag -m v1 v1",),
        (
            "git tag v1",
            "git tag -a V1 -m v1",
            "git tag -a refs/tags/v1 -m v1",
            "git tag -a v1 -m v1 HEAD~1",
            "git tag -a v1 -m v1 'HEAD^{tree}'",
            "git branch v1",
            "git notes add -m v1",
        ),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def start(image_after: Any) -> Image:
    image: Image = image_after(*STEPS)
    return image


def _case(accept: str, **fields: Any) -> Case:
    return Case(id="forged", request="Do it.", repository="r", accept=(accept,), criteria="It was done.", **fields)


def _passes(start: Image, runner: Any, case: Case, command: str) -> bool:
    verdict = Examiner(runner, lambda _: start).examine(case, command).verdict
    return verdict is not None and verdict.passed


@pytest.mark.parametrize(
    ("accept", "forgery"),
    [(accept, forgery) for accept, (_, forgeries) in FORGERIES.items() for forgery in forgeries],
)
def test_what_only_looks_right_fails(start: Image, trusted_runner: Any, accept: str, forgery: str) -> None:
    assert not _passes(start, trusted_runner, _case(accept), forgery)


@pytest.mark.parametrize(
    ("accept", "answer"), [(accept, answer) for accept, (answers, _) in FORGERIES.items() for answer in answers]
)
def test_what_is_right_passes_even_when_it_was_made_by_hand(
    start: Image, trusted_runner: Any, accept: str, answer: str
) -> None:
    assert _passes(start, trusted_runner, _case(accept), answer)


DATES = {
    "git commit -qm Save --date=2020-02-02T12:00:00": [
        "git commit -qm Save",
        "git commit -qm Save --date=2020-02-02T12:00:01",
        "GIT_COMMITTER_DATE=2020-02-02T12:00:00 git commit -qm Save",
        "git commit -qm Save -m 'Date: 2020-02-02T12:00:00'",
        "touch -d 2020-02-02T12:00:00 s.txt; git commit -qm Save",
    ]
}
REFLOGS = {
    "git reflog delete HEAD@{1}": [
        ":",
        "git reflog delete HEAD@{0}",
        "rm .git/logs/HEAD",
        "sed -i 's/commit: Three/commit: Other/' .git/logs/HEAD",
        "sed -i 1d .git/logs/HEAD",
        "cat .git/logs/HEAD .git/logs/HEAD > l; mv l .git/logs/HEAD",
        "git reflog expire --expire=now --all",
    ],
}


@pytest.mark.parametrize(
    ("accept", "forgery", "extra"),
    [(accept, each, "dates") for accept, forgeries in DATES.items() for each in forgeries]
    + [(accept, each, "reflog") for accept, forgeries in REFLOGS.items() for each in forgeries],
)
def test_dates_and_reflogs_count_where_a_case_asks_for_them(
    start: Image, trusted_runner: Any, accept: str, forgery: str, extra: str
) -> None:
    case = _case(accept, compare=(extra,))
    assert _passes(start, trusted_runner, case, f"{accept} && true")
    assert not _passes(start, trusted_runner, case, forgery)


def test_where_no_case_asks_a_forged_date_or_reflog_neither_helps_nor_hurts(start: Image, trusted_runner: Any) -> None:
    case = _case("git branch feature")
    assert _passes(start, trusted_runner, case, "git branch feature; echo 'forged' >> .git/logs/HEAD")
    assert not _passes(start, trusted_runner, case, "echo 'forged' >> .git/logs/HEAD")
