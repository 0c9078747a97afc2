"""Which texts are the same tweet; validation and test stay the same whatever is trained on, and nothing of them is.

Of external test sets neither a tweet nor an author is in validation.
"""

import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from sentiment.config import PARTS, DataConfig, TextConfig, TextFile, VectorsConfig
from sentiment.config_file import resolve
from sentiment.console import silent
from sentiment.data.corpus import Corpus, prepare_corpus, without_train_rows
from sentiment.data.preparation import TEST, TRAIN, VALIDATION, part_code
from sentiment.data.text import Tokenizer, TweetForms, author_form, author_key, key_of, stable_uniform
from sentiment.data.vocabulary import training_text
from sentiment.errors import DataError
from sentiment.runs.run_dir import Results
from tests.small_runs import write_tweets

COPIES: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "capitals and blanks": lambda text: f"  {text.upper()} ",
    "zero-width space": lambda text: text.replace(" ", " \u200b", 3),
    "byte order mark": lambda text: "\ufeff" + text,
    "curly quotes": lambda text: "\u201c" + text.replace("'", "\u2019") + "\u201d",
    "control character": lambda text: text.replace(" ", "\x07 ", 1),
    "fullwidth letters": lambda text: text.replace("so", "\uff53\uff4f", 1),
    "letters repeated": lambda text: text.replace("soooo", "sooooooooo"),
    "retweet": lambda text: f"RT @bob: {text}",
    "retweet of a retweet": lambda text: f"RT @amy RT @bob: {text}",
    "link": lambda text: f"{text} http://ex.am/ple",
    "hashtag": lambda text: f"{text} #winning #life",
    "hashtags before": lambda text: f"#web #news {text}",
    "signs": lambda text: f"{text} !!",
    "other user": lambda text: text.replace("@cleo", "@dora"),
    "escapes": lambda text: text.replace(" & ", " &amp; "),
    "cut": lambda text: text[: text.rindex(" ") + 3] + "\u2026",
    "via": lambda text: f"{text} via @bob",
    "escaped twice": lambda text: text.replace(" & ", " &amp;amp; "),
    "word joiner": lambda text: text.replace("soooo", "s\u2060oooo"),
}
"""What makes a copy of a tweet that `tweet_text` gives."""

_NAME, _DIGITS = "zq", "abcdefghij"

SPELLINGS: tuple[Callable[[str], str], ...] = (str, str.upper, lambda name: f"@{name}", lambda name: f"{name} ")
WITH_AUTHORS = ("id", "label", "text", "user")
COLUMNS = {name: name for name in WITH_AUTHORS}


def tweet_text(number: int) -> str:
    """A tweet with a word that no other one has, beyond twelve words."""
    name = _NAME + str(number).translate(str.maketrans("0123456789", _DIGITS))
    return f"@cleo don't you think {name} is soooo good & warm for all of us, from here to the old harbour"


def number_in(tokens: Iterable[str]) -> int:
    (name,) = [token for token in tokens if token.startswith(_NAME)]
    return int(name.removeprefix(_NAME).translate(str.maketrans(_DIGITS, "0123456789")))


class Tweet(NamedTuple):
    """A row of a table, and who wrote what in it."""

    id: str
    number: int  # of its `tweet_text`
    author: str
    label: str
    text: str
    user: str  # the author, as spelled
    part: str


class World:
    """Tables of invented tweets that copy each other and share authors, all drawn from one seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.tweets: dict[str, Tweet] = {}
        self.main = self._tweets("m", range(160), 200)
        self.second = self._tweets("s", [*range(0, 160, 8), *range(200, 220)], 30)
        self.extra = self._tweets("e", [*range(0, 160, 3), *range(300, 360)], 90)
        self.nameless = self._tweets("n", [*range(0, 160, 5), *range(400, 440)], 60)
        self.unlabelled = self._tweets("u", [*range(220), *range(300, 500)], 300)

    def write(self, folder: Path, step: int = 1) -> None:
        """Write all tables, with their rows in this order, or in the reversed one: -1."""
        for name, rows in (("main", self.main), ("second", self.second), ("extra", self.extra)):
            table = [(one.id, one.label, one.text, one.user, one.part) for one in rows[::step]]
            write_tweets(folder / f"{name}.csv", table, (*WITH_AUTHORS, "part"))
        nameless = [(one.id, one.label, one.text) for one in self.nameless[::step]]
        write_tweets(folder / "nameless.csv", nameless, WITH_AUTHORS[:3])
        write_tweets(folder / "unlabelled.csv", [[one.text] for one in self.unlabelled], ["text"])

    def _tweets(self, prefix: str, numbers: Sequence[int], count: int) -> list[Tweet]:
        rng = self._rng
        chosen = [*numbers, *rng.choices(numbers, k=max(0, count - len(numbers)))]
        rng.shuffle(chosen)
        rows = []
        for place, number in enumerate(chosen):
            author = f"user{rng.randrange(90)}"
            text, user = rng.choice(list(COPIES.values()))(tweet_text(number)), rng.choice(SPELLINGS)(author)
            label = rng.choice(("0", "4"))
            rows.append(Tweet(f"{prefix}{place}", number, author, label, text, user, PARTS[place % 3]))
        self.tweets |= {one.id: one for one in rows}
        return rows


ANY = st.text(st.characters(exclude_categories=()), max_size=60)
TWEETISH = st.lists(
    st.sampled_from(
        ["RT", "@bob", "@bob:", "#win", "#", "good", "GOOD", "ﬁne", "!!", "…", "“", ":)", ":D", "&amp;lt;3"]
    )
    | st.text(max_size=6)
).map(" ".join)
USERS = st.sampled_from(["", "ann", "bob", "cleo"])
FORMS = TweetForms()


def test_a_copy_is_the_same_tweet() -> None:
    for name, copy in COPIES.items():
        assert FORMS.of(copy(tweet_text(7))) == FORMS.of(tweet_text(7)) != FORMS.of(tweet_text(8)), name


@pytest.mark.parametrize(
    "copy", ["tea & rain via @bob", "tea &amp;amp;amp; rain", "t\ufe0fea & rain", "tea & r\u200dain"]
)
def test_a_short_copy_is_the_same_tweet_also_if_one_more_word_counts(copy: str) -> None:
    assert FORMS.of(copy) == FORMS.of("tea & rain")


def test_what_may_mean_something_else_is_another_tweet() -> None:
    for one, other in (
        ("so good", "so bad"),
        ("day 1", "day 2"),
        ("I am here :)", "I am here :("),
        ("I am here", "I am not here"),
        ("love it \U0001f44d", "love it \U0001f44e"),
        ("@ann thanks", "thanks"),
        ("off you go", "of you go"),
        ("#monday is fine", "#friday is fine"),
    ):
        assert FORMS.of(one) != FORMS.of(other)


def test_of_a_tweet_of_marks_alone_something_is_left() -> None:
    marks = {"#only #tags": "only", "RT @bob": "rt <user>", "#a is #b @x": "a is b <user>"}
    assert {text: FORMS.of(text) for text in marks} == marks


WORDLESS = st.lists(st.sampled_from(["!", "?!", "...", "http://a.b/c", "http://a.b/d"]), min_size=1).map(" ".join)


@given(one=WORDLESS, other=WORDLESS)
def test_different_texts_without_a_word_are_different_tweets(one: str, other: str) -> None:
    assert (FORMS.of(one) == FORMS.of(other)) == (one == other)


OTHERS = [Tokenizer(one) for one in (TextConfig(), TextConfig(lowercase=False), TextConfig(hashtags="remove"))]


@given(text=TWEETISH)
@settings(max_examples=25)
def test_a_form_does_not_depend_on_how_a_run_cleans(text: str) -> None:
    for tokenizer in OTHERS:
        own = tokenizer.clean(text)
        assert TweetForms(run_tokenizer=tokenizer).of(text, own, tokenizer.split(own)) == FORMS.of(text)


def test_an_author_is_the_same_however_the_name_is_spelled() -> None:
    assert {author_key(author_form(spelled("bob"))) for spelled in SPELLINGS} == {author_key("bob")}
    assert author_key("bob") != author_key("bobby")


def test_the_fractions_are_about_those_asked_for() -> None:
    split = DataConfig(validation_fraction=0.1, test_fraction=0.2)
    codes = [part_code("", f"tweet {number}", split) for number in range(10_000)]
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
    assert stable_uniform("ann", "user") == 0.9544092964670345
    assert key_of("so good") == -1864960767074102053


@given(text=ANY, author=USERS)
def test_any_text_can_be_hashed(text: str, author: str) -> None:
    assert part_code(author, FORMS.of(text), DataConfig()) in (TRAIN, VALIDATION, TEST)
    assert -(2**63) <= key_of(FORMS.of(text)) < 2**63
    assert author_form(text) == author_form(author_form(text))


SPLITS = st.sampled_from([{}, {"folds": 3, "fold": 1}, {"folds": 3, "fold": 3}])
TRAINED_ON = st.fixed_dictionaries(
    {},
    optional={
        "train_rows": st.sampled_from([20, 40]),
        "tests": st.sampled_from([["second.csv"], ["second.csv", "extra.csv"]]),
        "extra_train": st.lists(st.sampled_from(["extra.csv", "nameless.csv", "main.csv"]), min_size=1, unique=True),
    },
)


def _config(folder: Path, options: dict[str, Any]) -> DataConfig:
    extra = [
        {"path": str(folder / name), "columns": COLUMNS | ({"user": None} if name.startswith("nameless") else {})}
        for name in options.get("extra_train", [])
    ]
    values = {"source": str(folder / "main.csv"), "columns": COLUMNS, "validation_fraction": 0.2, "test_fraction": 0.2}
    tests = {PurePath(name).stem: {"path": str(folder / name), "columns": COLUMNS} for name in options.get("tests", [])}
    values |= options | {"extra_train": extra, "tests": tests}
    return resolve({"data": values}, {}, "a test").data


def _rows(corpus: Corpus, *parts: str) -> list[tuple[str, int]]:
    table = pq.read_table(corpus.path / "tweets.parquet").to_pydict()
    return [row[:2] for row in zip(table["id"], table["label"], table["part"], strict=True) if row[2] in parts]


def _numbers(corpus: Corpus, world: World, *parts: str) -> set[int]:
    return {world.tweets[name].number for name, _ in _rows(corpus, *parts)}


@pytest.mark.slow
@given(seed=st.integers(0, 10_000), split=SPLITS, trained_on=TRAINED_ON)
@settings(max_examples=15, deadline=None, phases=[Phase.generate])  # smaller examples would tell no more
def test_held_out_parts_depend_on_no_training(seed: int, split: dict[str, Any], trained_on: dict[str, Any]) -> None:
    world = World(seed)
    with tempfile.TemporaryDirectory() as place:
        folder, results = Path(place), Results(Path(place) / "results")
        world.write(folder)
        plain = prepare_corpus(_config(folder, split), results)
        config = _config(folder, split | trained_on)
        try:
            corpus = prepare_corpus(config, results)
        except DataError as error:
            assume("has no tweet of the class" not in str(error))  # nearly all was held out
            raise
        assert _rows(corpus, "test") == _rows(plain, "test")
        tested = {world.tweets[name] for name, _ in _rows(corpus, *config.tests)}
        assert _rows(corpus, "validation") == _without(tested, world, _rows(plain, "validation"))
        held_out = _numbers(corpus, world, *corpus.part_names[1:])
        assert held_out == _numbers(plain, world, "test") | _numbers(corpus, world, "validation", *config.tests)
        _check_trained_on(corpus, world, held_out)
        _check_text(config, results, world, held_out)


ORDERED = SPLITS | st.just({"columns": COLUMNS | {"part": "part"}})


@pytest.mark.slow
@given(seed=st.integers(0, 10_000), split=ORDERED, trained_on=TRAINED_ON)
@settings(max_examples=10, deadline=None, phases=[Phase.generate])
def test_the_order_of_rows_changes_neither_the_tweets_nor_their_labels_and_parts(
    seed: int, split: dict[str, Any], trained_on: dict[str, Any]
) -> None:
    world = World(seed)
    seen = []
    for step in (1, -1):
        with tempfile.TemporaryDirectory() as place:
            world.write(Path(place), step)
            config = _config(Path(place), split | trained_on)
            corpus = prepare_corpus(config, Results(Path(place) / "results"), is_fit=True)
            kept = zip(corpus.keys.tolist(), corpus.labels.tolist(), corpus.parts.tolist(), strict=True)
            seen.append((sorted(kept), corpus.report.left_out))
    assert seen[0] == seen[1]


def _without(tested: set[Tweet], world: World, rows: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Rows without the tweets and the authors of external test sets."""
    numbers = {one.number for one in tested}
    authors = {one.author for one in tested}
    return [
        (name, label)
        for name, label in rows
        if world.tweets[name].number not in numbers and world.tweets[name].author not in authors
    ]


def _authors_held_out(corpus: Corpus, world: World) -> set[str]:
    return {world.tweets[name].author for name, _ in _rows(corpus, *corpus.part_names[1:])}


def _check_trained_on(corpus: Corpus, world: World, held_out: set[int]) -> None:
    trained = [world.tweets[name] for name, _ in _rows(corpus, "train")]
    assert trained
    assert len({one.number for one in trained}) == len(trained), "a tweet is trained on twice"
    assert not held_out & {one.number for one in trained}
    named = {one.author for one in trained if one.id[0] != "n"}
    assert not named & _authors_held_out(corpus, world)


def _check_text(config: DataConfig, results: Results, world: World, held_out: set[int]) -> None:
    """The text of word vectors, which reads an unlabelled file besides the training part."""
    corpus = prepare_corpus(without_train_rows(config), results)
    path = Path(config.source).with_name("unlabelled.csv")
    settings = VectorsConfig(unlabelled=(TextFile(path=str(path)),))
    read = {number_in(tokens) for tokens in training_text(config, settings, results, path.parent, silent)[0]}
    assert read > {world.tweets[name].number for name, _ in _rows(corpus, "train")}
    assert not held_out & read
    told: dict[int, set[str]] = defaultdict(set)
    extra = world.extra if any("extra" in table.path for table in config.extra_train) else []
    for one in [*world.main, *extra]:  # of tables with authors
        told[one.number].add(one.author)
    first_read_without_author = {one.number for one in world.nameless} - {one.number for one in world.main}
    authors = _authors_held_out(corpus, world)
    assert not [number for number in read & told.keys() - first_read_without_author if told[number] <= authors]
