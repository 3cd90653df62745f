"""A Promptfoo config, such as OpenAI's dashboard exports, as cases: every prompt with every test.

In: the config as data, and its folder. Out: an `Import`. Prompts and values are filled in here, once, with the test's
variables; assertions become grader objects over the same variables. A test keeps what can be said of it: an assertion
without an equal is listed and the others stay, and a test of which nothing is left is listed itself.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from distill.migration.assertion import Surroundings
from distill.migration.beside import lines_beside, read_beside
from distill.migration.combining import grader_objects
from distill.migration.imported import Import, ImportedCase, ImportFailed, NoEqual, Remarks, plain, unused
from distill.migration.messages import chat
from distill.migration.nunjucks import as_grader_template, variables_of
from distill.migration.providers import model_of, models_and_sampling
from distill.openai_graders.templates import VariableMissing, render

MOST_CASES = 100_000
_NO_MATTER = {"$schema", "description", "tags", "metadata", "outputPath", "sharing", "commandLineOptions", "tracing"}
_KNOWN = {"prompts", "providers", "targets", "tests", "defaultTest", "evaluateOptions", "assertionTemplates", "env"}
_OF_A_TEST = {"vars", "assert", "threshold", "description", "metadata", "options", "$ref", "provider"}
_NAMES_A_FILE = re.compile(r"(file|exec|https?|langfuse|portkey|helicone)://|exec:|\S+\.(js|cjs|mjs|ts|py|sh|rb|j2)$")


@dataclass(frozen=True, slots=True)
class _Prompt:
    label: str
    messages: Any
    """As in the config: texts with Promptfoo's templates in them."""


def import_promptfoo(config: Mapping[str, Any], folder: Path, *, slug: str) -> Import:
    """The cases of a config, named `slug-TEST`, or `slug-TEST-PROMPT` where there are several prompts.

    Raises `ImportFailed` when nothing can be imported.
    """
    return _Reader(config, folder, slug).read()


class _Reader:
    """Reads one config. What cannot be taken over goes into `remarks`."""

    def __init__(self, config: Mapping[str, Any], folder: Path, slug: str) -> None:
        self.config = config
        self.folder = folder
        self.slug = slug
        self.remarks = Remarks()
        self.default = self._default()

    def read(self) -> Import:
        config, remarks = self.config, self.remarks
        for key in config.keys() - _KNOWN - _NO_MATTER:
            remarks.leave_out(f"`{key}`", "it is code, or a part of a config that has no equal here")
        if config.get("env"):
            remarks.leave_out("`env`", "environment variables are set in the shell, and never taken from a file")
        prompts = list(self._prompts())
        cases: dict[str, ImportedCase] = {}
        for number, test in enumerate(self._tests(), start=1):
            for case in self._cases(test, number, prompts):
                identity = unused(case.id, cases)
                cases[identity] = ImportedCase(
                    id=identity, messages=case.messages, item=case.item, graders=case.graders
                )
                if len(cases) > MOST_CASES:
                    raise ImportFailed(f"the config makes more than {MOST_CASES:,} cases; split its tests")
        if not cases:
            listed = "\n".join(f"  {remark.what}: {remark.why}" for remark in list(remarks.left_out)[:20])
            raise ImportFailed(f"nothing of this Promptfoo config can be imported:\n{listed}")
        models, sampling = models_and_sampling(config.get("providers", config.get("targets")), remarks)
        description = config.get("description")
        options = config.get("evaluateOptions")
        repeat = options.get("repeat") if isinstance(options, Mapping) else None
        return Import(
            name=description if isinstance(description, str) and description.strip() else self.slug,
            origin="a Promptfoo config",
            cases=list(cases.values()),
            models=models,
            sampling=sampling,
            samples=repeat if isinstance(repeat, int) and not isinstance(repeat, bool) and 1 <= repeat <= 100 else 1,
            remarks=remarks,
        )

    def _prompts(self) -> Iterator[_Prompt]:
        given = self.config.get("prompts", ["{{prompt}}"])
        for number, prompt in enumerate(given if isinstance(given, list) else [given], start=1):
            label = f"prompt {number}"
            if isinstance(prompt, Mapping) and "role" not in prompt:
                label = str(prompt.get("label") or label)
                if prompt.get("function") or prompt.get("config"):
                    self.remarks.leave_out(label, "it is made by code, or has a provider's settings of its own")
                    continue
                prompt = prompt.get("raw", prompt.get("id"))
            try:
                yield _Prompt(label, self._messages(prompt))
            except NoEqual as reason:
                self.remarks.leave_out(label, reason)

    def _messages(self, prompt: Any) -> Any:
        if isinstance(prompt, Mapping):
            return [prompt]
        if isinstance(prompt, str) and prompt.startswith("file://"):
            prompt = read_beside(self.folder, prompt)
        elif isinstance(prompt, str) and _NAMES_A_FILE.match(prompt.strip()):
            raise NoEqual(f"{prompt.strip()[:60]!r} would have to be executed or fetched")
        if isinstance(prompt, list):
            return prompt
        if not isinstance(prompt, str):
            raise NoEqual("it is neither a text nor a list of messages")
        found = _conversation(prompt)
        if found is None and prompt.lstrip().startswith(("[", "{")) and '"role"' in prompt:
            raise NoEqual("its JSON is whole only when it is filled in; write each `content` as one text")
        return found or [{"role": "user", "content": prompt}]

    def _tests(self) -> Iterator[Mapping[str, Any]]:
        tests = self.config.get("tests", [])
        if isinstance(tests, str):
            tests = [tests]
        for number, test in enumerate(tests if isinstance(tests, list) else [], start=1):
            if isinstance(test, str):
                try:
                    found = self._test_file(test)
                except NoEqual as reason:
                    self.remarks.leave_out(f"tests in {test[:80]!r}", reason)
                    continue
                yield from (one for one in found if isinstance(one, Mapping))
            elif isinstance(test, Mapping):
                yield test
            else:
                self.remarks.leave_out(f"test {number}", "it is no object")

    def _test_file(self, reference: str) -> Sequence[Any]:
        if reference.endswith(".jsonl"):
            return lines_beside(self.folder, reference)
        if not reference.endswith((".json", ".yaml", ".yml")):
            raise NoEqual("it is fetched, made by code, or a table; save the tests as JSON or YAML beside the config")
        found = read_beside(self.folder, reference)
        return found if isinstance(found, list) else [found]

    def _cases(self, test: Mapping[str, Any], number: int, prompts: Sequence[_Prompt]) -> Iterator[ImportedCase]:
        label = f"test {number}"
        default = self.default
        options = {**_mapping(default.get("options")), **_mapping(test.get("options"))}
        try:
            if code := {"transform", "transformVars", "postprocess", "storeOutputAs"} & {*options, *test, *default}:
                raise NoEqual(f"its `{sorted(code)[0]}` is code, or needs the answer to another test")
            if affix := {"prefix", "suffix"} & options.keys():
                raise NoEqual(f"its option `{sorted(affix)[0]}` is put around the prompt; write it into the prompt")
            for key in test.keys() - _OF_A_TEST:
                self.remarks.leave_out(f"`{key}` of a test", "it has no equal here")
            if "provider" in test:
                self.remarks.leave_out("`provider` of a test", "a run puts every case to every --model")
            variables = {**self._variables(default), **self._variables(test)}
            graders, named = self._graders(test, default, options)
        except NoEqual as reason:
            self.remarks.leave_out(label, reason)
            return
        for place, values in enumerate(_combinations(variables, options), start=1):
            identity = f"{self.slug}-{number}" + (f"-{place}" if place > 1 else "")
            for order, prompt in enumerate(prompts, start=1):
                try:
                    messages, asked = self._asked(prompt, values)
                except NoEqual as reason:
                    self.remarks.leave_out(f"{label} with {prompt.label}", reason)
                    continue
                missing = dict.fromkeys(sorted((asked | named) - values.keys()), "")
                for name in missing:
                    self.remarks.change(label, f"it has no variable {name!r}, which is named there: it is empty")
                item = {**values, **missing}
                suffix = f"-p{order}" if len(prompts) > 1 else ""
                yield ImportedCase(id=f"{identity}{suffix}", messages=messages, item=item, graders=graders)

    def _asked(self, prompt: _Prompt, values: Mapping[str, Any]) -> tuple[list[dict[str, str]], set[str]]:
        """The messages, and the variables that they name. One without a value is empty, as in Promptfoo."""
        named: set[str] = set()

        def rendered(text: str) -> str:
            template = as_grader_template(text)
            names = {str(variable.steps[0]) for variable in variables_of(template)}
            named.update(names)
            return render(template, item={**dict.fromkeys(names, ""), **values}, sample={})

        try:
            return chat(prompt.messages, rendered), named
        except VariableMissing as error:
            raise NoEqual(str(error)) from None

    def _default(self) -> Mapping[str, Any]:
        default = self.config.get("defaultTest")
        if isinstance(default, str):
            try:
                default = read_beside(self.folder, default)
            except NoEqual as reason:
                raise ImportFailed(f"`defaultTest` holds for every test, and cannot be read: {reason}") from None
        return _mapping(default)

    def _variables(self, test: Mapping[str, Any]) -> dict[str, Any]:
        variables = test.get("vars", {})
        if isinstance(variables, str):
            variables = read_beside(self.folder, variables)
        if variables is None:
            return {}
        if not isinstance(variables, Mapping):
            raise NoEqual("its `vars` are no object")
        return {
            name: read_beside(self.folder, value) if isinstance(value, str) and value.startswith("file://") else value
            for name, value in variables.items()
        }

    def _graders(
        self, test: Mapping[str, Any], default: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[list[dict[str, Any]], set[str]]:
        """The grader objects of a test, and the variables that they name."""
        around = Surroundings(
            folder=self.folder,
            judge=model_of(options.get("provider")),
            rubric_prompt="rubricPrompt" in options,
            remarks=self.remarks,
        )
        assertions = [*_list(default.get("assert")), *_list(test.get("assert"))]
        threshold = test.get("threshold", default.get("threshold"))
        templates = _mapping(self.config.get("assertionTemplates"))
        return grader_objects(assertions, threshold, around, templates), around.named


def _conversation(text: str) -> list[Any] | None:
    """The messages that a text holds as JSON or YAML; None for a text that is just a text."""
    stripped = text.strip()
    if not stripped.startswith(("[", "{", "- role")):
        return None
    try:
        found = plain(yaml.safe_load(stripped) if stripped.startswith("- role") else json.loads(stripped))
    except (ValueError, RecursionError, yaml.YAMLError):
        return None
    found = found.get("messages") if isinstance(found, dict) else found
    whole = isinstance(found, list) and found and all(isinstance(one, dict) and "role" in one for one in found)
    return found if whole else None


def _combinations(variables: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A variable with a list of values makes a test of each, as Promptfoo does."""
    several = {name: value for name, value in variables.items() if isinstance(value, list) and value}
    if options.get("disableVarExpansion"):
        several = {}
    for values in itertools.product(*several.values()):
        yield {**variables, **dict(zip(several, values, strict=True))}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
