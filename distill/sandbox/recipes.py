"""Starting repositories: recipes turned into images.

In: recipes, as `distill.cases.load_recipes` reads them. Out: one `Image` a recipe, built on first use and
kept. A recipe's steps are ours and trusted, so they run here, outside the sandbox, but under nothing that this
machine or its user set: an empty environment but for ours, a private HOME, fixed dates, a fixed umask and
an own template folder, so that a recipe gives the same image everywhere. Nothing a model wrote may come here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from distill.cases import Recipe
from distill.sandbox.environment import case_environment, write_global_config
from distill.sandbox.freshness import capture_start
from distill.sandbox.image import Image

FIRST_STEP = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
"""The commit date of the first step; every further one is an hour later."""

STEP_SECONDS = 30.0
"""How long one step may take."""

_REFRESH = r"find .. -name .git -prune -execdir git update-index -q --refresh \;"
"""So that every worktree's index knows its files as they are now, whatever a step did to them."""

_BASH = ("bash", "--norc", "--noprofile", "-euo", "pipefail", "-c")


class RecipeError(RuntimeError):
    """A recipe that cannot be built. The message names the recipe, and the step with what it printed."""


class Recipes:
    """The images of a set of recipes, each built once, on first use. Thread-safe."""

    def __init__(self, recipes: Mapping[str, Recipe]) -> None:
        self._recipes = dict(recipes)
        self._images: dict[str, Image] = {}
        self._locks = {name: Lock() for name in self._recipes}

    def add(self, recipe: Recipe) -> Image:
        """Take in one more recipe, and build it. Raises `RecipeError`, and then does not know it."""
        image = build(recipe)
        self._images[recipe.name] = image
        self._locks[recipe.name] = Lock()
        self._recipes[recipe.name] = recipe
        return image

    def image(self, name: str) -> Image:
        """The image of the recipe called `name`. Raises `RecipeError` when there is none, or a step fails."""
        if name not in self._recipes:
            known = ", ".join(sorted(self._recipes)) or "none at all"
            raise RecipeError(f"there is no recipe {name!r}; known ones are: {known}")
        with self._locks[name]:
            if name not in self._images:
                self._images[name] = build(self._recipes[name])
            return self._images[name]


def build(recipe: Recipe, *, step_seconds: float = STEP_SECONDS) -> Image:
    """Run the steps of a recipe in a new temporary directory, and capture what they leave.

    Raises `RecipeError` when a step fails, when it takes longer than `step_seconds`, or when there is no git.
    """
    with tempfile.TemporaryDirectory(prefix="distill-recipe-") as folder:
        place = Path(folder).resolve()
        root = _directory(place / "root")
        template = _directory(place / "template")
        _directory(template / "hooks")
        (_directory(template / "info") / "exclude").write_text("# Ignored here and nowhere else: one pattern a line.\n")
        _directory(root / "repo")
        write_global_config(_directory(root / "home"))
        builder = _Builder(recipe, root, template, step_seconds)
        if recipe.init:
            builder.run("git init --quiet", step=0)
        for number, step in enumerate(recipe.steps, start=1):
            builder.run(step, step=number)
        builder.run(_REFRESH, step=len(recipe.steps))
        return capture_start(root)


class _Builder:
    def __init__(self, recipe: Recipe, root: Path, template: Path, seconds: float) -> None:
        try:
            import git  # here, because GitPython refuses to be imported where git is missing
        except ModuleNotFoundError:
            raise
        except ImportError as error:
            raise RecipeError(f"recipe {recipe.name!r} needs git, which cannot be started: {error}") from None
        self._recipe = recipe
        self._git = git.Git(root / "repo")
        self._seconds = seconds
        self._environment = {**case_environment(root), "GIT_TEMPLATE_DIR": str(template)}

    def run(self, text: str, *, step: int) -> None:
        """Run one step. `env -i`, because GitPython adds to this process's environment instead of replacing it."""
        date = (FIRST_STEP + timedelta(hours=max(step - 1, 0))).strftime("%Y-%m-%dT%H:%M:%S+00:00")
        environment = {**self._environment, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        variables = [f"{name}={value}" for name, value in environment.items()]
        code, output = self._communicate(["env", "-i", *variables, *_BASH, text])
        if code != 0:
            outcome = f"took longer than {self._seconds:g} s" if code is None else f"failed with exit code {code}"
            raise RecipeError(
                f"recipe {self._recipe.name!r}, step {step} of {len(self._recipe.steps)}, {outcome}.\n"
                f"The step:\n{_indented(text)}\nIt printed on standard error:\n{_indented(output) or '    nothing'}"
            )

    def _communicate(self, command: Iterable[str]) -> tuple[int | None, str]:
        """The exit code (None: too slow, and killed with all its children) and what stood on standard error."""
        options: dict[str, Any] = {"start_new_session": True, "umask": 0o022}
        handle = self._git.execute(list(command), as_process=True, **options)  # kills its process when it is dropped
        process = handle.proc
        assert isinstance(process, subprocess.Popen)  # noqa: S101 # what as_process promises, for the type checker
        try:
            _, error = process.communicate(timeout=self._seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            _, error = process.communicate()
            return None, error.decode("utf-8", "replace")
        return process.returncode, error.decode("utf-8", "replace")


def _directory(path: Path) -> Path:
    """Make a directory with the permissions that a captured tree should have, whatever our umask is."""
    path.mkdir()
    path.chmod(0o755)
    return path


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines())
