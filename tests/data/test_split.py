"""Which texts are the same tweet, which names the same author, and that a part depends on nothing but the tweet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment.config import DataConfig, TextConfig
from sentiment.data.corpus import TEST, TRAIN, VALIDATION, part_code
from sentiment.data.text import Tokenizer, TweetForms, author_form, author_key, key_of, stable_unit
from tests.data.near_copies import COPIES, SPELLINGS, tweet_text

ANY = st.text(st.characters(exclude_categories=()), max_size=60)
TWEETISH = st.lists(
    st.sampled_from(
        ["RT", "@bob", "@bob:", "#win", "#", "good", "GOOD", "ﬁne", "!!", "…", "“", ":)", ":D", "&amp;lt;3"]
    )
    | st.text(max_size=6)
).map(" ".join)
USERS = st.sampled_from(["", "ann", "bob", "cleo"])
FORMS = TweetForms()


def _split(validation: float, test: float) -> DataConfig:
    return DataConfig(validation_fraction=validation, test_fraction=test)


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_the_same_tweet(copy: str) -> None:
    assert FORMS.of(COPIES[copy](tweet_text(7))) == FORMS.of(tweet_text(7)) != FORMS.of(tweet_text(8))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("so good", "so bad"),
        ("day 1", "day 2"),
        ("I am here :)", "I am here :("),
        ("I am here", "I am not here"),
        ("love it \U0001f44d", "love it \U0001f44e"),
        ("@ann thanks", "thanks"),
        ("off you go", "of you go"),
        ("#monday is fine", "#friday is fine"),
    ],
)
def test_what_may_mean_something_else_is_another_tweet(one: str, other: str) -> None:
    assert FORMS.of(one) != FORMS.of(other)


@pytest.mark.parametrize(
    ("text", "form"),
    [("http://a.b/c !!", ""), ("#only #tags", "only"), ("RT @bob", "rt <user>"), ("#a is #b @x", "a is b <user>")],
)
def test_of_a_tweet_of_marks_alone_something_is_left(text: str, form: str) -> None:
    assert FORMS.of(text) == form


@given(text=TWEETISH)
@pytest.mark.parametrize("options", [{}, {"lowercase": False}, {"hashtags": "remove", "stop_words": "all"}])
def test_a_form_does_not_depend_on_how_a_run_cleans(options: dict[str, object], text: str) -> None:
    tokenizer = Tokenizer(TextConfig.model_validate(options))
    assert TweetForms(beside=tokenizer).of(text, tokenizer(text)) == FORMS.of(text)


@pytest.mark.parametrize("spelled", SPELLINGS)
def test_an_author_is_the_same_however_the_name_is_spelled(spelled: object) -> None:
    assert callable(spelled)
    assert author_key(author_form(spelled("bob"))) == author_key("bob") != author_key("bobby")


def test_the_fractions_are_about_those_asked_for() -> None:
    codes = [part_code("", f"tweet {number}", _split(0.1, 0.2)) for number in range(10_000)]
    assert abs(codes.count(TEST) - 2_000) < 200
    assert abs(codes.count(VALIDATION) - 1_000) < 150
    assert codes.count(TRAIN) + codes.count(TEST) + codes.count(VALIDATION) == 10_000


def test_each_fold_draws_a_validation_part_of_its_own() -> None:
    """With one draw for all folds, the same tweets would choose the best epoch in each of them."""
    folds = [DataConfig(folds=5, fold=fold, validation_fraction=0.2) for fold in (1, 2)]
    codes = [[part_code("", f"tweet {n}", fold) for n in range(10_000)] for fold in folds]
    assert all(abs(of_fold.count(VALIDATION) - 2_000) < 150 for of_fold in codes)
    assert all(abs(of_fold.count(TEST) - 2_000) < 150 for of_fold in codes)
    pairs = [pair for pair in zip(*codes, strict=True) if TEST not in pair]
    again = pairs.count((VALIDATION, VALIDATION)) / sum(first == VALIDATION for first, _ in pairs)
    assert abs(again - 0.25) < 0.05  # as many as by chance: a fifth of all are a quarter of those outside the test part


def test_hashes_are_the_same_on_every_machine() -> None:
    assert stable_unit("ann", "user") == 0.9544092964670345
    assert key_of("so good") == -1864960767074102053


@given(text=ANY, author=USERS)
def test_any_text_can_be_hashed(text: str, author: str) -> None:
    assert part_code(author, FORMS.of(text), DataConfig()) in (TRAIN, VALIDATION, TEST)
    assert -(2**63) <= key_of(FORMS.of(text)) < 2**63
    assert author_form(text) == author_form(author_form(text))
