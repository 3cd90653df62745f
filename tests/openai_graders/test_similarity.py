"""Each metric against values that can be checked by hand, and what holds for all of them whatever the texts."""

from __future__ import annotations

import asyncio
import builtins
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from distill.openai_graders.embeddings import LocalEmbeddings, cosine
from distill.openai_graders.similarity import LONGEST, SimilarityError, TextTooLong, similarity
from distill.openai_graders.tools import ModelFailed

WORDS = ["bleu", "gleu", "meteor", "rouge_1", "rouge_2", "rouge_3", "rouge_4", "rouge_5", "rouge_l"]
METRICS: list[Any] = ["fuzzy_match", *WORDS]
CAT = "the cat sat on the mat"


@pytest.mark.parametrize(
    ("metric", "text", "reference", "value"),
    [
        ("rouge_1", "the cat sat", CAT, 2 * 1 * 0.5 / 1.5),
        ("rouge_2", "the cat sat", CAT, 2 * 1 * 0.4 / 1.4),
        ("rouge_3", "the cat sat", CAT, 2 * 1 * 0.25 / 1.25),
        ("rouge_4", "the cat sat", CAT, 0),
        ("rouge_5", CAT, CAT, 1),
        ("rouge_5", "the cat", "the cat", 0),
        ("rouge_l", "the mat cat sat", CAT, 2 * 0.75 * 0.5 / 1.25),
        ("rouge_1", "The Cat!", "the cat", 1),
        ("gleu", "the cat", "the dog", 1 / 3),
        ("bleu", CAT, CAT, 1),
        ("bleu", "a b c d e f g h", "a b c d e f g x", (7 / 8 * 6 / 7 * 5 / 6 * 4 / 5) ** 0.25),
        ("bleu", "yes", "yes", 1),
        ("meteor", "the cat sat", "the cat sat", 1 - 0.5 * (1 / 3) ** 3),
        ("meteor", "cats", "cat", 0.5),
        ("meteor", "the dog", "a cow", 0),
        ("fuzzy_match", "New York!", "new york", 1),
        ("fuzzy_match", "abcd", "abxy", 0.5),
        ("fuzzy_match", "", "", 1),
        ("fuzzy_match", "", "x", 0),
        *((metric, "?!", "?!", 1) for metric in ("rouge_1", "rouge_l")),
        *((metric, "", "", 1) for metric in WORDS),
        *((metric, "", "cat", 0) for metric in WORDS),
        *((metric, "cat", "", 0) for metric in WORDS),
    ],
)
def test_values_that_can_be_checked_by_hand(metric: Any, text: str, reference: str, value: float) -> None:
    assert similarity(text, reference, metric) == pytest.approx(value)


@pytest.mark.parametrize("metric", METRICS)
def test_an_answer_that_is_closer_scores_higher(metric: Any) -> None:
    reference = "the quick brown fox jumps over the lazy dog near the old river bank"
    near = "the quick brown fox jumps over the lazy dog near the new river bank"
    far = "a slow green turtle crawls below one tall tree"
    assert 1 >= similarity(near, reference, metric) > similarity(far, reference, metric) >= 0


TEXTS = st.one_of(
    st.text(max_size=40), st.lists(st.sampled_from(["a", "b", "cat", "cats", "."]), max_size=12).map(" ".join)
)


@given(TEXTS, TEXTS, st.sampled_from(METRICS))
def test_every_metric_is_from_0_to_1_and_repeats(text: str, reference: str, metric: Any) -> None:
    value = similarity(text, reference, metric)
    assert 0 <= value <= 1
    assert similarity(text, reference, metric) == value


@given(TEXTS, TEXTS)
def test_rouge_l_is_the_librarys_own(text: str, reference: str) -> None:
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    expected = scorer.score(reference, text)["rougeL"].fmeasure
    if text.strip() != reference.strip():
        assert similarity(text, reference, "rouge_l") == pytest.approx(expected)


@pytest.mark.parametrize("metric", METRICS)
def test_a_text_that_is_too_long_is_refused(metric: Any) -> None:
    long = "a" * (LONGEST + 1)
    with pytest.raises(TextTooLong, match="the input has 50,001 characters"):
        similarity(long, "a", metric)
    with pytest.raises(TextTooLong, match="the reference has 50,001 characters"):
        similarity("a", long, metric)


def test_a_text_of_very_many_words_is_refused_where_each_is_compared_with_each() -> None:
    with pytest.raises(TextTooLong, match="at most 3,000 words"):
        similarity("a " * 3001, "a", "meteor")
    assert similarity("a " * 20_000, "a " * 20_000, "rouge_l") == 1


@pytest.mark.parametrize(("metric", "package"), [("bleu", "nltk"), ("meteor", "nltk"), ("rouge_l", "rouge_score")])
def test_a_missing_library_is_named(metric: Any, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SimilarityError, match=rf"{metric} needs {package}.*pip install 'distill\[graders\]'"):
        similarity("a", "b", metric)


def test_cosine_of_vectors() -> None:
    assert cosine([1, 0], [0, 2]) == 0
    assert cosine([1, 1], [2, 2]) == pytest.approx(1)
    assert cosine([1, 0], [1, 1]) == pytest.approx(math.sqrt(0.5))
    assert cosine([1, 0], [-1, 0]) == 0, "opposite is not alike"
    assert cosine([0, 0], [1, 1]) == 0
    assert cosine([1e300, 1e300], [1e300, 1e300]) == pytest.approx(1)
    with pytest.raises(ValueError, match="2 and 1"):
        cosine([1, 2], [1])
    with pytest.raises(ValueError, match="no finite number"):
        cosine([1, math.nan], [1, 2])


VECTORS = st.lists(st.floats(-1e150, 1e150), min_size=3, max_size=3)


@given(VECTORS, VECTORS)
def test_cosine_is_from_0_to_1_and_the_same_both_ways(first: list[float], second: list[float]) -> None:
    assert 0 <= cosine(first, second) <= 1
    assert cosine(first, second) == pytest.approx(cosine(second, first))


def test_embeddings_of_this_machine_know_what_belongs_together() -> None:
    embed = LocalEmbeddings()

    def alike(first: str, second: str) -> float:
        return cosine(*asyncio.run(embed([first, second])))

    assert alike("How do I reset my password?", "I forgot my login, how can I recover it?") > 0.4
    assert alike("How do I reset my password?", "What is the weather like tomorrow?") < 0.2
    assert alike("Paris is the capital of France.", "The capital of France is Paris.") > 0.95
    assert alike("", "anything") == 0


def test_embeddings_without_their_package_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wordllama", None)
    with pytest.raises(ModelFailed, match=r"pip install 'distill\[graders\]'"):
        asyncio.run(LocalEmbeddings()(["a"]))
