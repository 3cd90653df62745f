"""Escaping, read back with a real Markdown parser."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from distill.reporting.markdown import TEXT_LIMIT, code, escape
from distill.reporting.report import build_report
from distill.reporting.text import clean
from distill.results import GradeRow, Status
from distill.runs import ModelFacts, ProbeFacts, SandboxFacts

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PLAIN = {"text", "paragraph_open", "paragraph_close", "inline", "softbreak"}

syntax = st.text(st.sampled_from(list("|`*_~[]()<>!#\\&$@:;-+=.0129 \n\r\t\0\u202ea/w")), max_size=40)
anything = st.one_of(syntax, st.text(st.characters(exclude_categories=()), max_size=60))
ATTACKS = [
    "a | b\n| c | d |",
    "`` ` ```sh\nrm -rf ~\n```",
    "</details><script>alert(1)</script>",
    "<!-- hidden",
    "[click](https://example.com) ![](https://example.com/x.png)",
    "https://example.com www.example.com",
    "# heading",
    "1. one",
    "- item",
    "+ item",
    "===",
    "---",
    "> quote",
    "&lt;b&gt; &#124; &amp;",
    "\\| \\` \\",
    "{{ 7 * 7 }} {% raw %} ${{ secrets.KEY }}",
    "\x1b[31mred\x1b[0m \u202eeslaf\u202c",
    "    indented",
    "[x] done",
    "[^1] @someone #12 :tada:",
]


def tokens_of(markdown: str) -> list[Token]:
    flat: list[Token] = []
    for token in PARSER.parse(markdown):
        flat.append(token)
        flat.extend(token.children or ())
    return flat


def text_of(tokens: Iterable[Token]) -> str:
    return "".join(token.content for token in tokens if token.type in ("text", "text_special", "code_inline"))


def attacked(test):
    for attack in ATTACKS:
        test = example(attack)(test)
    return test


@attacked
@given(anything)
def test_escaped_text_stays_in_its_table_cell(text: str) -> None:
    tokens = tokens_of(f"| a | b |\n|---|---|\n| {escape(text)} | mark |\n")
    types = [token.type for token in tokens]
    assert types.count("tr_open") == 2
    assert types.count("td_open") == 2
    assert {kind for kind in types if kind not in PLAIN} <= {
        f"{part}_{side}" for part in ("table", "thead", "tbody", "tr", "th", "td") for side in ("open", "close")
    } | {"text_special"}
    cells = [token for token in tokens if token.type == "inline"][2:]
    assert text_of(cells[0].children or ()) == clean(text, TEXT_LIMIT)
    assert text_of(cells[1].children or ()) == "mark"


@attacked
@given(anything)
@pytest.mark.parametrize("before", ["", "- ", "> ", "#### ", "- **bold**: "])
def test_escaped_text_starts_nothing_wherever_it_stands(before: str, text: str) -> None:
    def kinds(inner: str) -> list[str]:
        return [token.type for token in tokens_of(f"{before}{inner}\n") if token.type not in ("text", "text_special")]

    if clean(text):
        assert kinds(escape(text)) == kinds("word")


@attacked
@given(anything)
def test_code_is_one_code_span_that_holds_the_text(text: str) -> None:
    tokens = [token for token in tokens_of(f"- answered {code(text)} end\n") if token.type not in PLAIN]
    if clean(text):
        (span,) = (token for token in tokens if token.type == "code_inline")
        assert span.content == clean(text, TEXT_LIMIT)
    assert {token.type for token in tokens} <= {
        "bullet_list_open",
        "list_item_open",
        "code_inline",
        "list_item_close",
        "bullet_list_close",
    }


def test_an_address_does_not_become_a_link() -> None:
    linkified = MarkdownIt("gfm-like", {"linkify": False})
    assert "href" not in linkified.render(str(escape("see https://example.com and <https://example.com>")))
    assert re.search(r"(?i)www\.", str(escape("WWW.example.com www.example.com"))) is None
    assert "://" not in escape("https://example.com")


def test_long_texts_are_cut() -> None:
    assert len(code("x" * 5000)) == TEXT_LIMIT + 2
    assert code("") == code(" \n ") == "(empty)"


@attacked
@settings(max_examples=25, deadline=None)
@given(anything)
def test_a_model_cannot_change_the_shape_of_the_report(row, facts, text: str) -> None:
    """The same blocks in the same order, whatever a model, a server or a grader says."""

    def shape(said: str) -> list[str]:
        rows = [
            row(
                "a",
                0.0,
                harm=0.0,
                model=f"m{said}",
                text=f"x{said}",
                command=f"y{said}",
                request=f"z{said}",
                grades={
                    "execution": GradeRow(score=0.0, reason=f"r{said}"),
                    "harm": GradeRow(score=0.0, reason=f"h{said}"),
                },
            ),
            row(
                "b",
                None,
                status=Status.NO_ANSWER,
                text=None,
                command=None,
                error=f"e{said}",
                grades={},
                model=f"m{said}",
            ),
        ]
        told = facts(
            models=(ModelFacts(role="student", name=f"m{said}", dropped=(f"d{said}",)),),
            command=("pytest", f"c{said}"),
            sampling={"stop": f"s{said}"},
            judge=f"j{said}",
            sandbox=SandboxFacts(tier="landlock", probes=(ProbeFacts(name="p", held=False, detail=f"t{said}"),)),
        )
        report = build_report(told, rows)
        flat = [*tokens_of(report.markdown()), *tokens_of(report.step_summary())]
        return [
            f"{token.type} {token.content if 'html' in token.type else ''}"
            for token in flat
            if "text" not in token.type
        ]

    assert shape(text) == shape("word")
