"""A Promptfoo config becomes cases: every prompt with every test, filled in and never executed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.cases import load_cases
from distill.config import load_config
from distill.migration.folder import remarks_text, write_import
from distill.migration.imported import Import, ImportFailed, NoEqual
from distill.migration.nunjucks import as_grader_template
from distill.migration.reading import read_import
from distill.openai_graders.templates import render
from distill.sources import SourceError

CONFIG = """\
# yaml-language-server: $schema=https://promptfoo.dev/config-schema.json
description: Capital cities
prompts:
  - What is the capital of {{country}}?
  - label: chat
    raw: '[{"role": "developer", "content": "Be short."}, {"role": "user", "content": "Capital of {{ country }}?"}]'
providers:
  - id: openai:chat:gpt-4o-mini
    config: {temperature: 0.2, max_tokens: 20, apiKey: sk-of-somebody, tools: []}
  - openai:responses:gpt-5-mini
  - anthropic:claude-5
evaluateOptions: {repeat: 3, maxConcurrency: 4}
defaultTest:
  vars: {continent: Europe}
  assert:
    - {type: icontains, value: "{{capital}}"}
    - {type: javascript, value: output.length < 100}
tests:
  - description: the first
    vars: {country: France, capital: Paris}
    assert:
      - {type: equals, value: Paris}
  - vars: {country: Italy, capital: Rome}
"""


def read(folder: Path, text: str) -> Import:
    path = folder / "promptfooconfig.yaml"
    path.write_text(text)
    return read_import(path)


def with_tests(*tests: Any, **fields: Any) -> str:
    config = {"prompts": ["Say {{word}}"], "tests": list(tests), **fields}
    return yaml.safe_dump(config, sort_keys=False)


TEST = {"vars": {"word": "yes"}, "assert": [{"type": "equals", "value": "{{word}}"}]}


def test_every_prompt_meets_every_test(tmp_path: Path) -> None:
    found = read(tmp_path, CONFIG)

    assert [case.id for case in found.cases] == [
        "capital-cities-1-p1",
        "capital-cities-1-p2",
        "capital-cities-2-p1",
        "capital-cities-2-p2",
    ]
    assert found.cases[0].messages == [{"role": "user", "content": "What is the capital of France?"}]
    assert found.cases[3].messages == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Capital of Italy?"},
    ]
    assert found.cases[0].item == {"continent": "Europe", "country": "France", "capital": "Paris"}
    assert [grader["reference"] for grader in found.cases[0].graders] == ["{{item.capital}}", "Paris"]
    assert [grader["reference"] for grader in found.cases[2].graders] == ["{{item.capital}}"]
    assert found.models == ["gpt-4o-mini", "gpt-5-mini"]
    assert found.sampling == {"temperature": 0.2, "max_completion_tokens": 20}
    assert found.samples == 3


def test_what_is_not_in_the_result_is_listed_with_its_reason(tmp_path: Path) -> None:
    found = read(tmp_path, CONFIG + "scenarios: [{config: [], tests: []}]\nextensions: ['file://hook.js:before']\n")

    text = remarks_text(found)
    assert "assertion 'javascript output.length < 100' (2 times): it is code in another language" in text
    assert "the setting 'apiKey' of gpt-4o-mini: keys and accounts are taken from the environment" in text
    assert "a provider: it is not of OpenAI's kind" in text
    assert "`scenarios`: it is code, or a part of a config that has no equal here" in text
    assert "`extensions`: " in text
    assert "the settings of gpt-5-mini: a run has one `sampling`" in text
    assert "sk-of-somebody" not in text


def test_the_folder_can_be_evaluated_and_says_what_it_lacks(tmp_path: Path) -> None:
    output = tmp_path / "imported" / "capitals"
    write_import(read(tmp_path, CONFIG), output, source="promptfooconfig.yaml")

    settings_ = load_config(output / "distill.yaml")
    cases = load_cases(settings_.cases)
    page = (output / "IMPORT.md").read_text()
    assert (settings_.baseline, settings_.graders, settings_.samples) == ("gpt-4o-mini", ("testing_criteria",), 3)
    assert settings_.prices.is_file()
    assert [case.request for case in cases][:2] == ["What is the capital of France?", "Capital of France?"]
    assert json.loads((output / "graders" / "icontains-capital.json").read_text())["operation"] == "ilike"
    assert cases[0].graders[0] == json.loads((output / "graders" / "icontains-capital.json").read_text())
    assert "- `assertion 'javascript output.length < 100' (2 times)`: it is code in another language" in page
    assert "4 cases" in page
    assert not [path for path in output.rglob("*") if path.is_file() and "sk-of-somebody" in path.read_text()]


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    found = read(tmp_path, CONFIG)
    (tmp_path / "out").mkdir()

    with pytest.raises(ImportFailed, match=r"out is already there; move it away, or name another folder with --output"):
        write_import(found, tmp_path / "out", source="x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "promptfooconfig.yaml"]


def test_a_list_of_values_is_a_test_of_each(tmp_path: Path) -> None:
    test = {**TEST, "vars": {"word": ["a", "b"], "tone": ["x", "y"], "deep": {"list": [1]}}}

    found = read(tmp_path, with_tests(test, {**test, "options": {"disableVarExpansion": True}}))

    assert [case.messages[0]["content"] for case in found.cases] == [
        "Say a",
        "Say a",
        "Say b",
        "Say b",
        'Say ["a", "b"]',
    ]
    assert len({case.id for case in found.cases}) == 5


def test_a_value_is_not_looked_at_again(tmp_path: Path) -> None:
    odd = "{{other}} {% raw %} {{item.other}} {{sample.output_text}} ' \" \\"
    test = {"vars": {"word": odd, "other": "SECRET"}, "assert": TEST["assert"]}

    (case,) = read(tmp_path, with_tests(test)).cases

    assert case.messages == [{"role": "user", "content": f"Say {odd}"}]
    assert case.item["word"] == odd
    assert render(case.graders[0]["reference"], item=case.item, sample={}) == odd


def test_a_variable_without_a_value_is_empty_as_there(tmp_path: Path) -> None:
    test = {"vars": {}, "assert": [{"type": "contains", "value": "{{wanted}}"}]}

    found = read(tmp_path, with_tests(test))

    assert found.cases[0].messages == [{"role": "user", "content": "Say "}]
    assert found.cases[0].item == {"word": "", "wanted": ""}
    assert "it has no variable 'wanted', which is named there: it is empty" in remarks_text(found)


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ({"vars": {"word": "a"}}, "it has no assertion"),
        ({**TEST, "options": {"transform": "output.trim()"}}, "its `transform` is code"),
        ({**TEST, "options": {"transformVars": "vars"}}, "its `transformVars` is code"),
        ({**TEST, "options": {"prefix": "Hi"}}, "its option `prefix` is put around the prompt"),
        ({**TEST, "vars": "file://vars.yaml"}, "'file://vars.yaml' is not there"),
        ({**TEST, "vars": "file:///etc/passwd"}, "outside of the config's folder"),
        ({**TEST, "vars": {"word": "file://../secret.txt"}}, "outside of the config's folder"),
        ({**TEST, "vars": [1]}, "its `vars` are no object"),
        ("file://tests.csv", "save the tests as JSON or YAML beside the config"),
        ("https://example.com/tests.yaml", "'https://example.com/tests.yaml' is not there"),
        ("file://make_tests.py", "it is fetched, made by code, or a table"),
        (7, "it is no object"),
    ],
)
def test_a_test_that_cannot_be_taken_over_is_listed(test: Any, reason: str, tmp_path: Path) -> None:
    found = read(tmp_path, with_tests(test, TEST))

    assert len(found.cases) == 1
    assert reason in remarks_text(found)


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("file://prompt.py", "it is no text and no data"),
        ("exec:./prompt.sh", "would have to be executed or fetched"),
        ("prompt.js", "would have to be executed or fetched"),
        ("langfuse://my-prompt:3", "would have to be executed or fetched"),
        ("Say {{ word | upper }}", "is more than a variable"),
        ("{% if word %}Say{% endif %}", "only variables such as {{name}} are taken over"),
        ("Key {{env.OPENAI_API_KEY}}", "environment and history are not read"),
        ('[{"role": "user", "content": {{word}}}]', "its JSON is whole only when it is filled in"),
        ({"role": "tool", "content": "x"}, "a message of the role 'tool'"),
        ({"label": "made", "function": "x"}, "it is made by code"),
        (7, "it is neither a text nor a list of messages"),
    ],
)
def test_a_prompt_that_cannot_be_taken_over_is_listed(prompt: Any, reason: str, tmp_path: Path) -> None:
    (tmp_path / "prompt.py").write_text("def prompt(context): return 'x'")

    found = read(tmp_path, with_tests(TEST, prompts=[prompt, "Say {{word}}"]))

    assert len(found.cases) == 1
    assert reason.removeprefix("it is no text") in remarks_text(found)


def test_files_beside_the_config_are_read(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("From a file: {{word}}")
    (tmp_path / "chat.json").write_text(json.dumps([{"role": "user", "content": "Chat {{word}}"}]))
    (tmp_path / "tests.jsonl").write_text(json.dumps(TEST) + "\n\n" + json.dumps(TEST))
    (tmp_path / "default.yaml").write_text(yaml.safe_dump({"vars": {"more": 1}}))
    config = {"prompts": ["file://prompt.txt", "file://chat.json"], "tests": "file://tests.jsonl"}
    config["defaultTest"] = "file://default.yaml"

    found = read(tmp_path, yaml.safe_dump(config))

    assert [case.messages[0]["content"] for case in found.cases] == ["From a file: yes", "Chat yes"] * 2
    assert found.cases[0].item == {"more": 1, "word": "yes"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prompts: [a]\ntests: []\n", "nothing of this Promptfoo config can be imported"),
        (with_tests({"vars": {}}), "it has no assertion, so nothing would grade its answers"),
        (with_tests(TEST, defaultTest="file://none.yaml"), "`defaultTest` holds for every test, and cannot be read"),
        ("- a\n- b\n", "expected an eval saved from OpenAI"),
    ],
)
def test_a_config_of_which_nothing_is_left_is_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ImportFailed) as caught:
        read(tmp_path, text)

    assert words in str(caught.value)


@pytest.mark.slow
def test_yaml_that_builds_objects_or_has_no_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="could not determine a constructor"):
        read(tmp_path, "prompts: !!python/object/apply:os.system ['true']\ntests: []\n")
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for name, last in zip("bcdefgh", "abcdefg", strict=True):
        bomb += f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]\n"
    with pytest.raises(ImportFailed, match="more than 5,000,000 values"):
        read(tmp_path, bomb + "prompts: *h\ntests: []\n")


@settings(deadline=None)
@given(st.text(), st.text(alphabet="abz_{}[]().'\"% |0:\\", max_size=12), st.text())
def test_a_template_is_refused_or_filled_in_once(before: str, inside: str, value: str) -> None:
    text = f"{before}{{{{{inside}}}}}"
    try:
        template = as_grader_template(text)
    except NoEqual:
        return
    names = {"a": value, "b": {"a": value}, "z": [value]}
    try:
        filled = render(template, item=names, sample={})
    except (LookupError, ValueError):
        return
    assert "{{" in before or filled.startswith(before)
