"""How alike two texts are, by each of OpenAI's metrics but `cosine` (`embeddings` has that one).

In: two texts. Out: a number from 0 to 1. Nothing is downloaded, and nothing depends on the machine.

- fuzzy_match: rapidfuzz's weighted ratio, after both texts are put into lower case and everything else than letters and
  digits has become white space.
- bleu, gleu: NLTK's, of up to four words, bleu smoothed by NLTK's method 4 so that short texts have a value at all.
- meteor: NLTK's, by equal words and equal stems. The original also counts synonyms from WordNet, a database that would
  have to be downloaded: texts that say the same in other words score lower here than with it.
- rouge_1 to rouge_5 and rouge_l: the F measure of Google's rouge-score, without stemming.

The libraries are an extra, `pip install distill[graders]`; without them everything but fuzzy_match is an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rapidfuzz import fuzz, utils
from rapidfuzz.distance import LCSseq

from distill.openai_graders.definitions import Metric

LONGEST = 50_000
"""Characters of each text. Some metrics take time that grows with the product of both."""

_MOST_WORDS = 3000


class SimilarityError(Exception):
    """There is no number for these texts. The message says why."""


class TextTooLong(SimilarityError):
    """One of them is longer than `LONGEST`."""


def similarity(text: str, reference: str, metric: Metric) -> float:
    """How alike they are, from 0 to 1; two texts without a word are alike when they are equal.

    Takes a second or two for the longest texts. Raises `SimilarityError`, and `ValueError` for `cosine`.
    """
    check_lengths(text, reference)
    value = _value(text, reference, metric)
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0


def check_lengths(text: str, reference: str) -> None:
    """Raises `TextTooLong` when one of them is."""
    for name, one in (("input", text), ("reference", reference)):
        if len(one) > LONGEST:
            raise TextTooLong(f"the {name} has {len(one):,} characters, and at most {LONGEST:,} are compared")


def _value(text: str, reference: str, metric: Metric) -> float:
    if metric == "fuzzy_match":
        if text == reference:
            return 1.0
        return fuzz.WRatio(text, reference, processor=utils.default_process) / 100
    if metric == "cosine":
        raise ValueError("cosine is computed from embeddings")
    try:
        return _by_words(text, reference, metric)
    except ImportError as error:
        raise SimilarityError(
            f"{metric} needs {error.name}, which is not installed: pip install 'distill[graders]'"
        ) from None


def _by_words(text: str, reference: str, metric: Metric) -> float:
    if metric.startswith("rouge"):
        from rouge_score.tokenizers import DefaultTokenizer

        split: Callable[[str], list[str]] = DefaultTokenizer(use_stemmer=False).tokenize
    else:
        from nltk.tokenize import wordpunct_tokenize

        split = wordpunct_tokenize
    words, wanted = split(text), split(reference)
    if metric == "meteor" and max(len(words), len(wanted)) > _MOST_WORDS:
        raise TextTooLong(f"meteor compares at most {_MOST_WORDS:,} words, for it compares each with each")
    if not words or not wanted:
        return float(words == wanted and text.strip() == reference.strip())
    if metric == "rouge_l":
        from rouge_score import scoring

        # The library's own table of this would take gigabytes for two long texts.
        common = LCSseq.similarity(words, wanted)
        return float(scoring.fmeasure(common / len(words), common / len(wanted)))
    if metric.startswith("rouge"):
        from rouge_score import rouge_scorer

        kind = metric.replace("_", "")
        return float(rouge_scorer.RougeScorer([kind], use_stemmer=False).score(reference, text)[kind].fmeasure)
    if metric == "bleu":
        from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

        longest = min(4, len(words), len(wanted))
        weights = (1 / longest,) * longest
        return float(sentence_bleu([wanted], words, weights, smoothing_function=SmoothingFunction().method4))
    if metric == "gleu":
        from nltk.translate.gleu_score import sentence_gleu

        return float(sentence_gleu([wanted], words))
    from nltk.translate.meteor_score import single_meteor_score

    return float(single_meteor_score(wanted, words, wordnet=_NoSynonyms()))


class _NoSynonyms:
    """Stands where METEOR expects WordNet, and knows no word."""

    def synsets(self, _word: str) -> list[Any]:
        return []
