"""The linear baseline, of which there is one for each corpus."""

import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit

from sentiment.console import silent
from sentiment.data.corpus import Corpus
from sentiment.models import baseline as fitting
from sentiment.models.baseline import BaselineModel, LinearModel, load_or_fit_baselines
from sentiment.models.lexicon import LexiconModel, rating_features
from sentiment.models.ngrams import Keys, NGramCounter, tfidf
from sentiment.runs.run_dir import Results
from sentiment.tokens import Rows, TokenRows
from sentiment.training.stop import Stop
from tests.data.made_up import prepare
from tests.limits import limit
from tests.small_runs import flip_bit, invented_tweets, small_config, write_tweets


@pytest.fixture(scope="module")
def tweets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tweets(tmp_path_factory.mktemp("tweets") / "few.csv", invented_tweets(400))


@pytest.fixture(scope="module")
def corpus(tweets: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return prepare(tweets, Results(tmp_path_factory.mktemp("results")))


def test_baselines_come_from_their_cache_and_damaged_ones_are_made_again(tweets: Path, tmp_path: Path) -> None:
    corpus = prepare(tweets, Results(tmp_path))
    before = load_or_fit_baselines(corpus, corpus.rows("test"))
    again = load_or_fit_baselines(replace(corpus, labels=1 - corpus.labels), corpus.rows("test"))
    assert again.settings == before.settings
    (cache,) = corpus.path.glob("baselines-*.npz")
    flip_bit(cache)
    for one in (again, load_or_fit_baselines(corpus, corpus.rows("test"))):
        np.testing.assert_array_equal(one.later_classes, before.later_classes)
        np.testing.assert_array_equal(one.compound, before.compound)
        assert one.model.to_bytes() == before.model.to_bytes()


def _with_pairs(tweet: list[str]) -> list[str]:
    return [*tweet, *(f"{a} {b}" for a, b in pairwise(tweet))]


def _counted(tweets: list[list[str]]) -> tuple[Any, Keys]:
    rows = TokenRows.of_tweets(tweets)
    counter = NGramCounter(rows.types)
    keys = counter.frequent(rows, 1, 1 << 20)
    return counter.counts(rows, keys), keys


def test_tfidf_is_scikit_learns() -> None:
    """Of words and their pairs; those of characters make a vector of their own."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    tweets = [["so", "happy", ":)"], ["so", "so", "so", "sad"], ["happy", "sad"]]
    counts, keys = _counted(tweets)
    frequencies = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = (np.log((1 + len(tweets)) / (1 + frequencies)) + 1).astype(np.float32)
    expected = TfidfVectorizer(analyzer=_with_pairs, sublinear_tf=True).fit_transform(tweets).toarray()
    found = tfidf(counts, idf, keys).toarray()[:, keys < 1 << 63]
    np.testing.assert_allclose(sorted(map(tuple, found.T)), sorted(map(tuple, expected.T)), atol=1e-6)


def test_ngrams_are_those_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import CountVectorizer

    tweets = [["so", "happy", ":)"], ["ñandú", "so", "so", "so"], ["x"], []]
    characters = CountVectorizer(
        analyzer=lambda tweet: [
            f" {token} "[first : first + length]
            for token in tweet
            for length in range(2, 6)
            for first in range(len(token) + 3 - length)
        ]
    )
    both = (CountVectorizer(analyzer=_with_pairs), characters)
    expected = np.hstack([one.fit_transform(tweets).toarray() for one in both])
    assert sorted(map(tuple, _counted(tweets)[0].toarray().T)) == sorted(map(tuple, expected.T))


def test_only_the_most_frequent_ngrams_are_kept() -> None:
    rows = TokenRows.of_tweets([["a", "b", "a"], ["a", "c", "b"]])
    counter = NGramCounter(rows.types)  # each letter is also " a", "a " and " a " as characters
    assert {tuple(column) for column in counter.counts(rows, counter.frequent(rows, 1, 4)).toarray().T} == {(2, 1)}
    assert len(counter.frequent(rows, 2, 99)) == 8


def test_fit_is_that_of_scikit_learn_on_each_feature_beside_itself_times_its_log_ratio(corpus: Corpus) -> None:
    """A weight of two is the row twice in all that labels teach, but for n-grams and how rare they are."""
    from sklearn.linear_model import LogisticRegression

    weights, train = np.where(np.arange(len(corpus.labels)) % 3, 1, 2), corpus.rows("train")
    model, settings = fitting.fit_linear_model(replace(corpus, weights=weights.astype(np.float32)), silent)
    counter = NGramCounter(corpus.types)
    frequencies = np.asarray((counter.counts(corpus.take(train), model.keys) > 0).sum(axis=0)).ravel()
    np.testing.assert_allclose(model.idf, np.log((1 + len(train)) / (1 + frequencies)) + 1, rtol=1e-5)
    train = np.repeat(train, weights[train])
    labels, texts = corpus.labels[train], corpus.take(train)
    present = counter.counts(texts, model.keys) > 0
    positive, negative = (1.0 + np.asarray(present[labels == label].sum(axis=0)).ravel() for label in (1, 0))
    ratio = np.log(positive / positive.sum()) - np.log(negative / negative.sum())
    # What a lexicon says stands there once.
    values = fitting.features(model.keys, model.idf, counter.counts(texts, model.keys), rating_features(texts))
    both = sparse.hstack([values, values[:, : len(ratio)].multiply(ratio)]).tocsr()
    expected = LogisticRegression(C=settings["C"], tol=1e-8, max_iter=10_000).fit(both, labels).predict_proba(both)
    np.testing.assert_allclose(model.classify(texts).probabilities, expected, atol=1e-3)


@pytest.mark.slow
def test_fit_of_three_classes_is_one_regression_of_each_against_the_others(corpus: Corpus) -> None:
    """The features are scaled by the mean over the classes of the squared log-ratio."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    train = corpus.rows("train")
    lengths = np.diff(corpus.offsets)
    labels = np.where(lengths > np.quantile(lengths, 0.7), 2, corpus.labels)
    report = corpus.report.model_copy(update={"classes": ["negative", "neutral", "positive"]})
    model, settings = fitting.fit_linear_model(replace(corpus, labels=labels, report=report), silent)
    texts = corpus.take(train)
    counts = NGramCounter(corpus.types).counts(texts, model.keys)
    present = counts > 0
    squares = []
    for label in range(3):
        inside = labels[train] == label
        positive, negative = (1.0 + np.asarray(present[rows].sum(axis=0)).ravel() for rows in (inside, ~inside))
        squares.append(np.log((positive / positive.sum()) / (negative / negative.sum())) ** 2)
    values = fitting.features(model.keys, model.idf, counts, rating_features(texts))
    scale = np.append(np.sqrt(1 + np.mean(squares, axis=0)), np.ones(values.shape[1] - len(model.keys)))
    scaled = values.multiply(scale).tocsr()
    regressions = OneVsRestClassifier(LogisticRegression(C=settings["C"], tol=1e-8, max_iter=10_000))
    expected = regressions.fit(scaled, labels[train]).predict_proba(scaled)
    np.testing.assert_allclose(model.classify(texts).probabilities, expected, atol=1e-3)


@pytest.mark.slow
def test_classes_and_folds_are_fitted_side_by_side_with_the_same_bits(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.where(np.diff(corpus.offsets) > 12, 2, corpus.labels)
    report = corpus.report.model_copy(update={"classes": ["negative", "neutral", "positive"]})
    corpus = replace(corpus, labels=labels, report=report)
    monkeypatch.setattr(fitting, "available_cores", lambda: 1)
    alone = fitting.fit_linear_model(corpus, silent)[0]
    monkeypatch.setattr(fitting, "available_cores", lambda: 3)
    scorer = fitting._DesignMatrix.scorer
    all_folds = Barrier(3, timeout=limit())

    def of_fold(design: fitting._DesignMatrix, rows: Rows) -> Callable[[LinearModel], float]:
        score = scorer(design, rows)
        return lambda model: score(model) if all_folds.wait() >= 0 else 0.0

    monkeypatch.setattr(fitting._DesignMatrix, "scorer", of_fold)
    assert fitting.fit_linear_model(corpus, silent)[0].to_bytes() == alone.to_bytes()


def test_what_is_remembered_of_words_does_not_grow_with_the_texts(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentiment.data.text._CACHED_WORDS", 500)
    config = small_config(corpus.path)
    models = [BaselineModel(config, fitting.fit_linear_model(corpus, silent)[0], 1.0), LexiconModel(config)]
    sizes = []
    tracemalloc.start()
    for batch in range(8):
        for model in models:
            model.classify_texts([f"good {'x' * (number % 9)}{batch}o{number}" for number in range(250)])
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert max(sizes[4:]) < 1.2 * max(sizes[:4])


def test_memory_for_the_features_of_many_tweets_does_not_grow_with_them(corpus: Corpus) -> None:
    model, _ = fitting.fit_linear_model(corpus, silent)
    peaks = []
    for repeats in (10, 40):
        many = corpus.take(np.tile(np.arange(400), repeats))
        tracemalloc.start()
        predictions = model.classify(many)
        peaks.append(tracemalloc.get_traced_memory()[1] - predictions.probabilities.nbytes)
        tracemalloc.stop()
    features = NGramCounter(corpus.types).counts(many, model.keys)
    assert peaks[1] - peaks[0] < features.data.nbytes / 2
    np.testing.assert_array_equal(predictions.probabilities[:400], predictions.probabilities[-400:])


@pytest.mark.parametrize("searched", [20_000, 200])
def test_penalty_is_the_best_on_unseen_tweets(corpus: Corpus, monkeypatch: pytest.MonkeyPatch, searched: int) -> None:
    """Of labels that mean nothing the strongest penalty is best there, and on tweets that were seen the weakest."""
    monkeypatch.setattr(fitting, "_MAX_SEARCHED", searched)
    meaningless = replace(corpus, labels=np.random.default_rng(0).permutation(corpus.labels))
    settings = [fitting.fit_linear_model(one, silent)[1] for one in (meaningless, corpus)]
    assert settings[0]["C"] == min(fitting._C_VALUES) < settings[1]["C"]


def test_a_tweet_is_predicted_alike_alone_and_from_a_file(corpus: Corpus) -> None:
    baselines = load_or_fit_baselines(corpus, corpus.rows("test"))
    content = baselines.model.to_bytes()
    model = LinearModel.from_bytes(content, "a test", 2)
    assert {model.to_bytes() for _ in range(20)} == {content}  # a run that was killed while it ends has equal checksums
    tweets = [corpus.tokens(row) for row in range(50)]
    alone = [model.classify(TokenRows.of_tweets([tweet])).probabilities[0] for tweet in tweets]
    np.testing.assert_array_equal(model.classify(TokenRows.of_tweets(tweets)).probabilities, alone)
    np.testing.assert_array_equal(np.float32(alone)[:, 1:], baselines.later_classes[:50])
    unknown = model.classify(TokenRows.of_tweets([[], ["\u2603"]])).probabilities[:, 1]
    assert unknown.tolist() == [expit(model.intercepts[0])] * 2


def test_a_reason_to_stop_ends_the_last_fit_between_two_iterations(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.linear_model import LogisticRegression

    monkeypatch.setattr(fitting, "_by_cross_validation", lambda *_: 1.0)
    iterations: list[int] = []
    fit = LogisticRegression.fit

    def counted(regression: Any, *arguments: Any) -> Any:
        fit(regression, *arguments)
        iterations.append(regression.n_iter_[0])
        return regression

    def stop_after_two(_label: str, _done: int, _total: int | None) -> None:
        if len(iterations) == 2:
            raise Stop("signal", "SIGTERM")

    monkeypatch.setattr(LogisticRegression, "fit", counted)
    with pytest.raises(Stop):
        fitting.fit_linear_model(corpus, stop_after_two)
    assert iterations == [1, 1]


def test_a_reason_to_stop_ends_counting_between_two_blocks(
    tweets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both of the training tweets and, after the fit, of all."""
    corpus = prepare(tweets, Results(tmp_path))
    monkeypatch.setattr("sentiment.models.ngrams._BLOCK_ROWS", 100)
    stops: list[int] = []

    def stop_at_third_block(label: str, done: int, total: int | None) -> None:
        if (label, done) == ("counting n-grams", 200) and total not in stops:
            stops.append(total or 0)
            raise Stop("signal", "SIGTERM")

    for _ in range(2):
        with pytest.raises(Stop):
            load_or_fit_baselines(corpus, corpus.rows("test"), stop_at_third_block)
    baselines = load_or_fit_baselines(corpus, corpus.rows("test"), stop_at_third_block)
    assert stops == [len(corpus.rows("train")), corpus.size]
    assert baselines.model.to_bytes() == fitting.fit_linear_model(corpus, silent)[0].to_bytes()


def test_labels_outside_of_the_training_part_play_no_role(corpus: Corpus) -> None:
    other = np.where(corpus.parts == 0, corpus.labels, 1 - corpus.labels).astype(np.int8)
    before, after = (fitting.fit_linear_model(one, silent)[0] for one in (corpus, replace(corpus, labels=other)))
    assert before.to_bytes() == after.to_bytes()


def test_a_handful_of_tweets_has_a_baseline(corpus: Corpus) -> None:
    """With one tweet of a label there is nothing to cross-validate."""
    train = corpus.rows("train")
    positive, negative = (train[corpus.labels[train] == label] for label in (1, 0))
    parts = np.full(len(corpus.parts), 2, np.int8)
    parts[[*positive[:3], negative[0]]] = 0
    model, settings = fitting.fit_linear_model(replace(corpus, parts=parts), silent)
    assert settings["C"] == 1.0
    assert np.isfinite(model.weights).all()
