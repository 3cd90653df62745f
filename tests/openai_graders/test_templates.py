"""What `{{…}}` is replaced by, what is refused, and that a value is never looked at again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.openai_graders.templates import TemplateError, VariableMissing, parse_template, render

ITEM: dict[str, Any] = {
    "answer": "Paris",
    "count": 3,
    "ratio": 0.5,
    "yes": True,
    "nothing": None,
    "rows": [{"name": "first"}, {"name": "second"}],
    "a key with . in it": "dotted",
    "Correct Label": "spaced",
    "7": "a key of digits",
    "größe": "groß",
}


def rendered(text: str, **sample: Any) -> str:
    return render(text, item=ITEM, sample=sample)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("no variable", "no variable"),
        ("", ""),
        ("{{item.answer}}", "Paris"),
        ("{{ item.answer }}", "Paris"),
        ("{{\n\titem . answer\n}}", "Paris"),
        ("<{{item.answer}}{{item.answer}}>", "<ParisParis>"),
        ("{{item.count}} {{item.ratio}} {{item.yes}} {{item.nothing}}", "3 0.5 true null"),
        ("{{item.rows[1].name}} {{item.rows.0.name}}", "second first"),
        ("{{item.rows[1]}}", '{"name": "second"}'),
        ("{{item['a key with . in it']}}", "dotted"),
        ('{{item["a key with . in it"]}}', "dotted"),
        ("{{item.Correct Label}}", "spaced"),
        ("{{ item.7 }} {{item[7]}}", "a key of digits a key of digits"),
        ("{{item.größe}}", "groß"),
        ('{"said": {{item.count}}}', '{"said": 3}'),
        ("{{{item.answer}}}", "{Paris}"),
        ("} }} { }", "} }} { }"),
    ],
)
def test_variables_are_replaced(template: str, text: str) -> None:
    assert rendered(template) == text


def test_a_long_path_is_read_in_a_moment() -> None:
    with pytest.raises(VariableMissing):
        rendered("{{item" + ".a" * 200_000 + "}}")


def test_a_namespace_alone_is_all_of_it() -> None:
    assert json.loads(rendered("{{sample}}", output_text="x")) == {"output_text": "x"}
    assert json.loads(rendered("{{item}}")) == ITEM


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{answer}}", "begins with `item.` or `sample.`"),
        ("{{}}", "is no variable"),
        ("{{ }}", "is no variable"),
        ("{{items.answer}}", "is no variable"),
        ("{{item.answer", "is never closed"),
        ("a {{item.answer}", "is never closed"),
        ("{{item.}}", "is no path"),
        ("{{item..answer}}", "is no path"),
        ("{{item. .answer}}", "a step is empty"),
        ("{{item[}}", "is no path"),
        ("{{item[-1]}}", "is no path"),
        ("{{item[x]}}", "is no path"),
        ("{{item answer}}", "is no path"),
        ("{{item.answer|upper}} {{config}}", "'{{config}}' is no variable"),
        ("{{self.__class__}}", "is no variable"),
        ("{{" * 20000, "is never closed"),
    ],
)
def test_braces_that_hold_no_variable_are_refused(template: str, words: str) -> None:
    with pytest.raises(TemplateError) as error:
        parse_template(template)
    assert words in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    "template",
    [
        "{{item.none}}",
        "{{item.answer.upper}}",
        "{{item.answer.__class__}}",
        "{{item.rows[2]}}",
        "{{item.rows.first}}",
        "{{item.rows.²}}",
        "{{item.rows.-1}}",
        "{{item.nothing.x}}",
        "{{item.count.real}}",
        "{{item.answer|upper}}",
        "{{item.keys()}}",
        "{{sample.output_text}}",
    ],
)
def test_what_is_not_there_is_named(template: str) -> None:
    with pytest.raises(VariableMissing) as error:
        rendered(template)
    assert str(error.value).startswith(template + " has no value: ")
    assert not error.value.needs_json


def test_an_answer_that_is_no_json_is_told_apart() -> None:
    with pytest.raises(VariableMissing, match="the answer is not JSON") as error:
        rendered("{{sample.output_json.city}}", output_text="Paris")
    assert error.value.needs_json
    with pytest.raises(VariableMissing, match="there is no 'town' in an object with 'city'") as other:
        rendered("{{sample.output_json.town}}", output_json={"city": "Paris"})
    assert not other.value.needs_json


HOSTILE = st.text(st.sampled_from(list("{}item.sample_output_text[] \"'xé\n")), max_size=60)


@given(HOSTILE, HOSTILE)
def test_a_value_is_never_expanded_again(first: str, second: str) -> None:
    text = render("[{{item.a}}|{{sample.output_text}}]", item={"a": first}, sample={"output_text": second})
    assert text == f"[{first}|{second}]"


@given(HOSTILE)
def test_any_text_is_a_template_or_is_refused(text: str) -> None:
    try:
        pieces = parse_template(text)
    except TemplateError:
        assert "{{" in text
    else:
        again = "".join(piece if isinstance(piece, str) else f"{{{{{piece.text}}}}}" for piece in pieces)
        assert "".join(again.split()) == "".join(text.split())


@given(st.text(min_size=1).filter(lambda key: '"' not in key and "}}" not in key), st.text())
def test_any_key_can_be_named_in_quotes(key: str, value: str) -> None:
    assert render(f'{{{{item["{key}"] }}}}', item={key: value}, sample={}) == value
