"""Which texts are the same tweet, and that the split and the sample depend on nothing but the tweet."""

from hypothesis import given
from hypothesis import strategies as st

from sentiment.data.corpus.split import (
    TEST,
    TRAIN,
    VALIDATION,
    folded_part_code,
    identify,
    normalise,
    part_code,
    stable_unit,
)

TEXTS = st.text(max_size=40)
USERS = st.none() | st.sampled_from(["ann", "bob", "cleo"])


@given(text=TEXTS, blanks=st.sampled_from(["  ", "\t", "\n "]))
def test_texts_that_differ_only_in_case_blanks_or_escapes_are_the_same_tweet(text: str, blanks: str) -> None:
    original = f"{text} @ann http://a.b/c Fish & Chips"
    disguised = f"{text}{blanks}@robert https://x.yz fish &amp; CHIPS  "
    if text.isascii() and "&" not in text and not text.endswith(("@", "/")):
        assert identify(normalise(original)) == identify(normalise(disguised))


def test_other_words_make_another_tweet() -> None:
    assert identify(normalise("so good")) != identify(normalise("so bad"))


@given(text=TEXTS, user=USERS, texts=st.lists(TEXTS))
def test_the_part_of_a_row_does_not_depend_on_the_other_rows(text: str, user: str | None, texts: list[str]) -> None:
    before = part_code(user, text, 0.1, 0.2)
    for other in texts:
        part_code(user, other, 0.1, 0.2)
    assert part_code(user, text, 0.1, 0.2) == before


@given(user=st.text(min_size=1, max_size=15), texts=st.lists(TEXTS, min_size=2))
def test_all_tweets_of_a_user_are_in_one_part(user: str, texts: list[str]) -> None:
    assert len({part_code(user, text, 0.3, 0.3) for text in texts}) == 1


def test_the_fractions_are_about_those_asked_for() -> None:
    codes = [part_code(None, f"tweet {number}", 0.1, 0.2) for number in range(10_000)]
    assert abs(codes.count(TEST) - 2_000) < 200
    assert abs(codes.count(VALIDATION) - 1_000) < 150
    assert codes.count(TRAIN) + codes.count(TEST) + codes.count(VALIDATION) == 10_000


def test_each_fold_draws_a_validation_part_of_its_own() -> None:
    """With one draw for all folds, the same tweets would choose the best epoch in each of them."""
    codes = [[folded_part_code(None, f"tweet {n}", 5, fold, 0.2) for n in range(10_000)] for fold in (1, 2)]
    assert all(abs(of_fold.count(VALIDATION) - 2_000) < 150 for of_fold in codes)
    assert all(abs(of_fold.count(TEST) - 2_000) < 150 for of_fold in codes)
    pairs = [pair for pair in zip(*codes, strict=True) if TEST not in pair]
    again = pairs.count((VALIDATION, VALIDATION)) / sum(first == VALIDATION for first, _ in pairs)
    assert abs(again - 0.25) < 0.05  # as many as by chance: a fifth of all are a quarter of those outside the test part


def test_thinning_does_not_depend_on_the_side() -> None:
    texts = [f"tweet {number}" for number in range(10_000)]
    kept = [part_code(None, text, 0.1, 0.5) for text in texts if identify(text).thinning < 0.2]
    assert abs(len(kept) - 2_000) < 200
    assert abs(kept.count(TEST) / len(kept) - 0.5) < 0.05


def test_hashes_are_the_same_on_every_machine() -> None:
    assert stable_unit("ann", "user") == 0.9544092964670345
    assert identify("so good").key == 1999043695568673213


@given(text=st.text(st.characters(exclude_categories=()), max_size=30))
def test_any_text_can_be_hashed(text: str) -> None:
    assert 0 <= stable_unit(text, "x") < 1
    assert 0 <= identify(normalise(text)).thinning < 1
