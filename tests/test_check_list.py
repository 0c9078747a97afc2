"""Sentences by capability, and how models do on them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sentiment.models.lexicon import lexicon_scores
from sentiment.models.text_model import CheckScore, Reading, TextModel, check, checks, total

POSITIVE = {one.text: one.positive for one in checks()}


class _Says(TextModel):
    def __init__(self, probability: Any, usable: bool = True) -> None:
        self.probability, self.usable = probability, usable

    def read_texts(self, texts: Sequence[str]) -> Reading:
        found = np.array([self.probability(text) for text in texts], float)
        return Reading(found, np.full(len(texts), self.usable))


def _check(probability: Any, usable: bool = True) -> dict[str, CheckScore]:
    return check(_Says(probability, usable))


def test_check_list_has_each_sentence_once_and_both_labels_of_what_can_have_both() -> None:
    assert len(POSITIVE) == len(checks()) >= 100
    labels = Counter((one.capability, one.positive) for one in checks())
    assert min(labels.values()) >= 6
    one_sided = {name for name, positive in labels if labels[name, not positive] == 0}
    assert one_sided == {"not good", "not bad"}


@pytest.mark.parametrize(("certain", "right"), [(True, 1.0), (False, 0.0)])
def test_check_counts_what_is_right_by_capability(certain: bool, right: float) -> None:
    tallies = _check(lambda text: float(POSITIVE[text] == certain))
    assert {tally.right / tally.of for tally in tallies.values()} == {right}
    assert sum(tally.of for tally in tallies.values()) == len(checks())


def test_check_counts_only_positive_sentences_for_a_model_that_says_nothing_else() -> None:
    tallies = _check(lambda text: 1.0)
    assert tallies["not good"].right == 0
    assert tallies["not bad"].right == tallies["not bad"].of
    assert total(tallies) == (sum(POSITIVE.values()), len(POSITIVE))


def test_check_does_not_count_a_sentence_of_which_a_model_knows_no_word() -> None:
    assert total(_check(lambda text: float(POSITIVE[text]), usable=False)).right == 0


def test_check_list_can_be_answered_by_an_untrained_lexicon_in_most_parts() -> None:
    tallies = _check(lambda text: float(lexicon_scores([text])[0]))
    assert total(tallies).right / total(tallies).of > 0.8
