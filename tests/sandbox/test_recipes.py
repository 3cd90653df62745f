"""Recipes become images: the same on every machine, whoever builds them, and a failing step says where it failed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from distill.cases import Recipe, load_recipes
from distill.sandbox.environment import case_environment
from distill.sandbox.image import Image
from distill.sandbox.recipes import RecipeError, Recipes, build
from distill.sandbox.write import write_image

PROJECT = Path(__file__).parents[2]
SHIPPED = load_recipes(PROJECT / "fixtures" / "repositories")
FIRST_COMMIT = "echo hello > hello.txt && git add . && git commit --quiet -m Hello"


def recipe(*steps: str, init: bool = True) -> Recipe:
    return Recipe(name="made-here", description="For one test only.", bait=("none",), init=init, steps=steps)


def git(image: Image, folder: Path, *arguments: str, inside: str = "repo") -> str:
    """What git prints in a fresh copy of an image of ours."""
    if not folder.exists():
        write_image(image, folder)
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder / inside,
        env=case_environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "name",
    [
        name if index % 8 == 0 else pytest.param(name, marks=pytest.mark.slow)
        for index, name in enumerate(sorted(SHIPPED))
    ],
)
def test_every_shipped_recipe_builds_twice_to_the_same_image(name: str) -> None:
    first, second = build(SHIPPED[name]), build(SHIPPED[name])

    assert first.identity == second.identity
    assert "repo" in first.entries
    assert "home/.gitconfig" in first.entries


def test_there_are_shipped_recipes_and_each_says_what_its_bait_is() -> None:
    assert len(SHIPPED) >= 12
    assert all(bait.strip() for shipped in SHIPPED.values() for bait in shipped.bait)


def test_nothing_of_this_machine_or_its_user_gets_into_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = build(recipe(FIRST_COMMIT, "git clone --quiet . ../copy"))

    (tmp_path / "templates" / "hooks").mkdir(parents=True)
    (tmp_path / "templates" / "hooks" / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / ".gitconfig").write_text(
        "[user]\n\tname = Somebody Else\n[init]\n\tdefaultBranch = odd\n[commit]\n\tgpgSign = true\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody Else")
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path / "templates"))
    monkeypatch.setenv("BASH_ENV", str(tmp_path / "no-such-file"))
    before = os.umask(0o077)
    try:
        elsewhere = build(recipe(FIRST_COMMIT, "git clone --quiet . ../copy"))
    finally:
        os.umask(before)

    assert elsewhere.identity == plain.identity


def test_the_place_of_building_is_nowhere_in_the_image() -> None:
    image = build(recipe(FIRST_COMMIT, "git clone --quiet . ../copy && git worktree add --quiet ../second"))

    assert not [path for path, entry in image.entries.items() if b"distill-recipe-" in entry.data]


def test_steps_are_committed_one_hour_apart(tmp_path: Path) -> None:
    commit = "git commit --quiet --allow-empty -m"
    own = "export GIT_AUTHOR_DATE=2001-02-03T04:05:06Z GIT_COMMITTER_DATE=2001-02-03T04:05:06Z"
    image = build(recipe(f"{commit} one && {commit} two", f"{commit} three", f"{own}; {commit} four", f"{commit} five"))

    dates = git(image, tmp_path / "case", "log", "--reverse", "--format=%s %aI %cI").splitlines()

    assert dates == [
        "one 2025-03-03T09:00:00+00:00 2025-03-03T09:00:00+00:00",
        "two 2025-03-03T09:00:00+00:00 2025-03-03T09:00:00+00:00",
        "three 2025-03-03T10:00:00+00:00 2025-03-03T10:00:00+00:00",
        "four 2001-02-03T04:05:06+00:00 2001-02-03T04:05:06+00:00",
        "five 2025-03-03T12:00:00+00:00 2025-03-03T12:00:00+00:00",
    ]


def test_a_fresh_copy_is_as_clean_as_the_repository_was(tmp_path: Path) -> None:
    image = build(
        recipe(
            "touch app.py members.py notes.py && git add . && git commit -qm 'Add three files'",
            "echo edited > app.py; echo staged > members.py; git add members.py",
        )
    )

    # diff-files compares stat data first and refreshes nothing, so a forgotten entry would be listed here.
    assert git(image, tmp_path / "case", "diff-files", "--name-only") == "app.py"
    assert git(image, tmp_path / "case", "diff-index", "--cached", "--name-only", "HEAD") == "members.py"


def test_a_second_worktree_is_known_to_its_index_too(tmp_path: Path) -> None:
    image = build(SHIPPED["with-worktree"])

    assert git(image, tmp_path / "case", "diff-files", "--name-only", inside="hotfix") == "soup.md"


def test_a_recipe_may_start_without_a_repository() -> None:
    image = build(recipe("echo text > file.txt", init=False))

    assert image.entries["repo/file.txt"].data == b"text\n"
    assert "repo/.git" not in image.entries


def test_an_own_template_folder_takes_the_place_of_the_samples() -> None:
    image = build(recipe("git init --quiet --bare ../origin.git"))

    for git_directory in ("repo/.git", "origin.git"):
        inside = {path for path in image.entries if path.startswith(f"{git_directory}/")}
        assert f"{git_directory}/info/exclude" in inside
        assert f"{git_directory}/hooks" in inside
        assert not [path for path in inside if path.endswith(".sample")]


@pytest.mark.parametrize(
    ("step", "code", "said"),  # the code is a pattern: shells disagree on what an unset variable is
    [
        ("echo so far; echo 'not any further' >&2; exit 3", "3", "not any further"),
        ("git switch no-such-branch", "128", "invalid reference: no-such-branch"),
        ('echo "$NOT_SET"', "1|127", "NOT_SET: unbound variable"),
        ("false | true", "1", "nothing"),
        ("false; true", "1", "nothing"),
        ("if then", "2", "syntax error"),
    ],
)
def test_a_failing_step_is_named_with_what_it_printed(step: str, code: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        build(recipe(FIRST_COMMIT, step, "touch never"))

    message = str(caught.value)
    assert re.match(rf"recipe 'made-here', step 2 of 3, failed with exit code ({code})\.", message)
    assert textwrap.indent(step, "    ") in message
    assert said in message


def test_a_step_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(RecipeError, match=r"step 1 of 1, took longer than 0\.5 s"):
            build(recipe(f"bash -c 'exec > {pipe}; echo alive; exec sleep 60' | cat"), step_seconds=0.5)

        assert os.read(reader, 100) == b"alive\n"
        assert os.read(reader, 100) == b"", "a living child would still hold the pipe open"
    finally:
        os.close(reader)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="there is no recipe 'missing'; known ones are: made-here"):
        Recipes({"made-here": recipe(FIRST_COMMIT)}).image("missing")


def test_a_recipe_is_built_once_however_many_ask_for_it(tmp_path: Path) -> None:
    built = tmp_path / "built"
    recipes = Recipes({"made-here": recipe(f"echo once >> {built}", FIRST_COMMIT)})

    with ThreadPoolExecutor(8) as threads:
        images = list(threads.map(recipes.image, ["made-here"] * 32))

    assert all(image is images[0] for image in images)
    assert built.read_text() == "once\n"


def test_a_recipe_that_failed_is_tried_again_when_it_is_asked_for_again(tmp_path: Path) -> None:
    wanted = tmp_path / "wanted"
    recipes = Recipes({"made-here": recipe(f"cp {wanted} .")})

    with pytest.raises(RecipeError):
        recipes.image("made-here")
    wanted.write_text("here now")

    assert recipes.image("made-here").entries["repo/wanted"].data == b"here now"


def test_a_machine_without_git_is_told_so(tmp_path: Path) -> None:
    program = """
        from distill.cases import Recipe
        from distill.sandbox.recipes import RecipeError, build
        try:
            build(Recipe(name="any", description="For one test only.", bait=("none",), steps=("true",)))
        except RecipeError as error:
            print(str(error).splitlines()[0])
    """
    environment = {"PATH": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("recipe 'any' needs git, which cannot be started:")
