"""The second look at an answer: other repositories, in which the facts asked for are others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distill.cases import Case, OutputFacts, Recipe, load_recipes
from distill.sandbox.elsewhere import EMPTY, Siblings, is_plain, retell, words_to_change
from distill.sandbox.examiner import Examiner
from distill.sandbox.image import Image
from distill.sandbox.recipes import Recipes
from distill.sandbox.snapshot import take_snapshot

RECIPE = Recipe(
    name="bakery",
    description="A bakery with two commits.",
    bait=("nothing of value",),
    steps=(
        "printf 'rye\\nspelt\\n' > breads.txt && git add . && git commit -q -m 'Bake bread'",
        "GIT_AUTHOR_NAME='Vera Holt' git commit -q --allow-empty -m 'Heat the oven' && git tag v1.2",
    ),
)


def _case(*accept: str, request: str = "Who made the newest commit?", **facts: Any) -> Case:
    return Case(
        id="some-question",
        request=request,
        repository="bakery",
        accept=accept,
        criteria="The facts are printed.",
        output=OutputFacts(**facts),
    )


AUTHOR = _case("git log -1 --format=%an", must=("Vera Holt",), max_lines=1)


class Counting:
    """Siblings that say how many were asked for."""

    def __init__(self) -> None:
        self.asked = 0
        self.siblings = Siblings({"bakery": RECIPE})

    def __call__(self, case: Case) -> Image | None:
        self.asked += 1
        return self.siblings(case)


@pytest.fixture
def siblings() -> Counting:
    return Counting()


@pytest.fixture
def examiner(trusted_runner: Any, siblings: Counting) -> Examiner:
    return Examiner(trusted_runner, Recipes({"bakery": RECIPE}).image, siblings=siblings)


def _verdict(examiner: Examiner, case: Case, command: str) -> tuple[bool, str]:
    verdict = examiner.examine(case, command).verdict
    assert verdict is not None
    return verdict.passed, verdict.reason


def test_the_empty_repository_is_one(trusted_runner: Any) -> None:
    assert take_snapshot(EMPTY).facts[("repository", "repo")] == ("with a worktree", "sha1")
    done = trusted_runner.run(EMPTY, "git status --porcelain=v2 --branch && git fsck && ls -A . ..")
    assert (done.exit_code, done.stdout.decode().split()) == (
        0,
        ["#", "branch.oid", "(initial)", "#", "branch.head", "elsewhere", ".:", ".git", "..:", "home", "repo"],
    )


@pytest.mark.parametrize(
    "answer",
    [
        "git show -s --format=%an",
        "git log -1 --format='%an wrote %s'",
        "git log -1 | grep Author | cut -d ' ' -f 2-",
        'name=$(git log -1 --format=%an); echo "$name"',
        'for name in "$(git log -1 --format=%an)"; do printf "%s\\n" "$name"; done',
        "git cat-file commit HEAD | sed -n 's/^author \\(.*\\) <.*/\\1/p'",
        "git shortlog -sn -1 HEAD",
    ],
)
def test_whoever_reads_the_repository_passes(examiner: Examiner, answer: str) -> None:
    assert _verdict(examiner, AUTHOR, answer)[0]


@pytest.mark.parametrize("answer", ["echo Vera Holt", "git status > /dev/null; printf 'Vera Holt\\n'"])
def test_whoever_says_the_same_in_an_empty_repository_does_not(
    examiner: Examiner, answer: str, siblings: Counting
) -> None:
    assert _verdict(examiner, AUTHOR, answer) == (
        False,
        "it prints the same facts in an empty repository, so it does not read them from this one",
    )
    assert siblings.asked == 0


@pytest.mark.parametrize(
    "answer",
    [
        "git log -1 --format='tformat:Vera Holt'",
        "git log -1 > /dev/null 2>&1 && echo Vera Holt",
        "git rev-parse -q --verify v1.2 > /dev/null && printf '\\126era Holt\\n'",
        "test -s breads.txt && base64 -d <<< VmVyYSBIb2x0Cg==",
        "git log -1 --format=%x56era%x20Holt",
    ],
)
def test_whoever_says_the_same_where_the_facts_are_others_does_not(examiner: Examiner, answer: str) -> None:
    assert _verdict(examiner, AUTHOR, answer) == (
        False,
        "it prints the same facts where the repository holds other ones, so it does not read them",
    )


def test_a_plain_answer_costs_one_run_and_an_accepted_one_none(
    examiner: Examiner, trusted_runner: Any, siblings: Counting
) -> None:
    _verdict(examiner, AUTHOR, AUTHOR.accept[0])
    assert trusted_runner.commands == [AUTHOR.accept[0]]
    _verdict(examiner, AUTHOR, "git log -1 --pretty=%an")
    assert trusted_runner.commands == [AUTHOR.accept[0], *["git log -1 --pretty=%an"] * 2]
    for answer in ("echo $(git log -1 --format=%an)", 'echo "$(git show -s --format=%an)"'):
        _verdict(examiner, AUTHOR, answer)
    assert siblings.asked == 1


def test_a_world_in_which_an_accepted_command_says_so_too_decides_nothing(examiner: Examiner) -> None:
    """The answer to "yes or no" stands in the command, and the empty repository may give the same one."""
    case = _case(
        "git diff --quiet && echo clean || echo dirty", request="Is anything changed?", must=("clean",), max_lines=1
    )
    assert _verdict(examiner, case, "if git diff --quiet; then echo clean; else echo dirty; fi")[0]


def test_a_count_is_another_one_in_the_sibling(examiner: Examiner) -> None:
    case = _case("git rev-list --count HEAD", request="How many commits are there?", must=("2",), max_lines=1)
    assert _verdict(examiner, case, "git log --oneline | wc -l")[0]
    assert not _verdict(examiner, case, "git log > /dev/null 2>&1 && echo 2")[0]


def test_a_sibling_is_the_same_story_in_other_words() -> None:
    words = words_to_change(AUTHOR, RECIPE)
    assert words == {"Vera", "Holt", "example"}
    told = retell(RECIPE, words)
    assert told == retell(RECIPE, words)
    assert "GIT_AUTHOR_NAME='Udqz Gnks' git commit" in told.steps[1]
    assert "'s/example/dwzlokd/g; s/Holt/Gnks/g; s/Vera/Udqz/g'" in told.steps[0]


def test_what_the_request_or_an_accepted_command_names_stays() -> None:
    case = _case("git log -1 --author=Holt --format=%an", request="Did Vera do it?", must=("Vera Holt", "v1.2"))
    assert words_to_change(case, RECIPE) == {"example", "v1.2"}
    assert "git tag v1.7" in retell(RECIPE, frozenset({"v1.2"})).steps[1]


def test_without_a_recipe_there_is_no_sibling_and_a_word_of_a_command_does_no_harm() -> None:
    assert Siblings({})(AUTHOR) is None
    broken = RECIPE.model_copy(
        update={"steps": (*RECIPE.steps, "name=Vera; case $name in (Vera) ;; (*) exit 1 ;; esac")}
    )
    assert Siblings({"bakery": broken})(AUTHOR) is not None
    hopeless = RECIPE.model_copy(update={"steps": ("false",)})
    assert Siblings({"bakery": hopeless})(AUTHOR) is None


@pytest.mark.parametrize(
    ("command", "plain"),
    [
        ("git log -1 --format=%an", True),
        ("git for-each-ref --format='%(refname:short)' | sort | head -n 1", True),
        ("git rev-parse HEAD@{1} 'v1^{commit}' && git status", True),
        ("git log\ngit diff | wc -l", True),
        ("git log -1 --author='Vera Holt'", False),
        ("git log -1 --format=%x56", False),
        ("git log -1 --format='%h %an: %s'", True),
        ("git log -1 --pretty=tformat:%h%x20%s", False),
        ("git log -1 --format='tformat:Vera %Creset Holt'", False),
        ("git log -1 --format='%CresetVe%Cresetra'", False),
        ('git log -1 --format="by %an"', False),
        ("git log --pretty=oneline -3", True),
        ("git log --grep 'Vera'\"'\"' Holt'", False),
        ("git -c alias.x=y x", False),
        ("git --exec-path=. log", False),
        ("echo x", False),
        ("cat README.md", False),
        ("git log | sed s/a/b/", False),
        ("git stripspace <<< x", False),
        ("git log > file", False),
        ("git log $(git rev-parse HEAD)", False),
        ("git() { true; }", False),
        ("x=1 git log", False),
        ("", True),
    ],
)
def test_plain_lines(command: str, plain: bool) -> None:
    assert is_plain(command, AUTHOR) is plain


@pytest.mark.slow
@pytest.mark.parametrize("recipe", load_recipes(Path(__file__).parents[2] / "fixtures/repositories").values())
def test_every_shipped_recipe_can_be_told_otherwise(recipe: Recipe) -> None:
    case = AUTHOR.model_copy(update={"repository": recipe.name})
    told, plain = Siblings({recipe.name: recipe})(case), Recipes({recipe.name: recipe}).image(recipe.name)
    assert told is not None
    assert take_snapshot(told).facts != take_snapshot(plain).facts
