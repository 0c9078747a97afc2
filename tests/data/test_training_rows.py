"""Which tweets a run trains on: further tables, a limited number, and the folds of cross-validation."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sentiment.data.corpus import DUPLICATE, HELD_OUT, SURPLUS, Corpus
from sentiment.errors import ConfigError, DataError
from sentiment.runs.run_dir import Results
from tests.data.made_up import parts_of, prepare, tweets, write_table


def _texts(corpus: Corpus, *parts: str) -> set[str]:
    return {text for text, part in parts_of(corpus).items() if part in parts}


def test_further_tables_have_columns_and_labels_of_their_own(table: Path, results: Results, tmp_path: Path) -> None:
    extra = tmp_path / "extra.tsv"
    extra.write_text("mood\tbody\nhappy\ta furtherfirst tweet\nsad\ta furthersecond tweet\nmeh\ta third one\n")
    own = {
        "path": str(extra),
        "columns": {"text": "body", "label": "mood"},
        "labels": {"positive": ["happy"], "negative": ["sad"], "ignored": ["meh"]},
    }
    plain, corpus = prepare(table, results), prepare(table, results, extra_train=[own])
    assert parts_of(plain).items() <= parts_of(corpus).items()
    labels = dict(zip(parts_of(corpus), corpus.labels.tolist(), strict=True))
    assert (labels["a furtherfirst tweet"], labels["a furthersecond tweet"]) == (1, 0)
    assert "a third one" not in labels
    with pytest.raises(ConfigError, match=r"extra\.tsv: data\.extra_train\.0\.columns\.text: no column 'text'"):
        prepare(table, results, extra_train=[{"path": str(extra)}])
    tested = prepare(table, results, tests={"mine": own})
    assert tested.labels[tested.rows("mine")].tolist() == [1, 0]
    own["labels"] = {"positive": ["happy"], "negative": ["sad"], "ignored": []}
    message = r"extra\.tsv:4: unknown label 'meh'.* to data\.extra_train\.0\.labels\.negative"
    with pytest.raises(DataError, match=message):
        prepare(table, results, extra_train=[own])
    empty = write_table(tmp_path / "empty.csv", [("neutral", "nothing to see")])
    with pytest.raises(DataError, match=r"data\.tests\.mine: .*empty\.csv has no usable row"):
        prepare(table, results, tests={"mine": {"path": str(empty)}})


def test_a_further_training_table_may_be_a_built_in_source_which_comes_after_its_own_tweets(
    table: Path, results: Results
) -> None:
    (counted,) = prepare(table, results, extra_train=[{"path": "sample", "weight": 2}]).report.extra_train
    assert (counted.file, counted.read) == ("sample", 1000)


def test_tweets_of_a_weighted_table_count_so_often_and_all_others_once(
    table: Path, results: Results, tmp_path: Path
) -> None:
    alike = [{"path": str(write_table(tmp_path / "plain.csv", tweets(30, seed=5)))}]
    rated = [{"path": str(write_table(tmp_path / "rated.csv", tweets(60, seed=6))), "weight": 4}]
    corpus = prepare(table, results, extra_train=alike + rated)
    weights = dict(zip(parts_of(corpus), corpus.weights.tolist(), strict=True))
    new = {text for _, text in tweets(60, seed=6)} - {text for _, text in [*tweets(400), *tweets(30, seed=5)]}
    assert {text for text, weight in weights.items() if weight == 4} == new
    assert {*weights.values()} == {1, 4}
    without = prepare(table, results, extra_train=[*alike, {"path": rated[0]["path"]}])
    assert {*without.weights.tolist()} == {1}
    assert without.fingerprint != corpus.fingerprint


def test_no_further_tweet_stands_in_validation_or_test_by_its_text(
    table: Path, results: Results, tmp_path: Path
) -> None:
    spelled = [
        (label, f"  {text.upper()} ".replace("HTTP://EX.AM/PLE", "www.elsewhere.org")) for label, text in tweets(400)
    ]
    extra = write_table(tmp_path / "extra.csv", [*spelled, *tweets(30, seed=5), ("positive",)])
    plain, corpus = prepare(table, results), prepare(table, results, extra_train=[{"path": str(extra)}])
    assert _texts(corpus, "train") - _texts(plain, "train") == {text for _, text in tweets(30, seed=5)}
    held_out = len(_texts(plain, "validation", "test"))
    (counted,) = corpus.report.extra_train
    assert (counted.file, counted.read, counted.kept, counted.held_out) == (str(extra), 431, 30, held_out)
    assert corpus.report.left_out == {HELD_OUT: held_out, DUPLICATE: 400 - held_out}
    report = corpus.report
    assert [(reason, rows.lines) for reason, rows in report.refused.items()] == [
        (f"{extra}: wrong number of fields", [432])
    ]
    assert report.kept + sum(report.left_out.values()) + 1 == report.read == 400 + 431
    assert report.kept == sum(part.rows for part in report.parts.values())
    said = "\n".join(corpus.report.render_lines())
    assert f"{held_out} of data.extra_train dropped since validation or test hold their text or author" in said
    assert f"30 of 431 rows kept for training; {held_out} left out since validation or test hold their text" in said


def test_a_smaller_training_part_is_inside_of_a_larger_one_and_the_other_parts_stay(
    table: Path, results: Results
) -> None:
    whole = prepare(table, results)
    former: set[str] = set()
    for rows in (50, 100, 200):
        corpus = prepare(table, results, train_rows=rows)
        training = _texts(corpus, "train")
        assert len(training) == rows
        assert former < training < _texts(whole, "train")
        assert _texts(corpus, "validation", "test") == _texts(whole, "validation", "test")
        surplus = corpus.report.left_out[SURPLUS]
        assert surplus == len(_texts(whole, "train")) - rows
        assert f"  {surplus} left out by data.train_rows" in corpus.report.render_lines()
        former = training


@pytest.mark.parametrize("folds", [2, 5])
def test_each_tweet_is_tested_in_one_fold(table: Path, results: Results, folds: int) -> None:
    corpora = [prepare(table, results, folds=folds, fold=fold) for fold in range(1, folds + 1)]
    tested = Counter(text for corpus in corpora for text in _texts(corpus, "test"))
    assert tested == Counter(text for _, text in tweets(400))
    for corpus in corpora:
        assert abs(len(_texts(corpus, "test")) - 400 / folds) < 0.4 * 400 / folds
        assert 15 < len(_texts(corpus, "validation")) < 75  # 40 are expected


@pytest.mark.parametrize("options", [{}, {"folds": 4, "fold": 2}])
def test_all_tweets_of_an_author_are_in_one_part(results: Results, tmp_path: Path, options: dict[str, Any]) -> None:
    rows = [(label, text, f"user{n % 100}") for n, (label, text) in enumerate(tweets(400))]
    main = write_table(tmp_path / "main.csv", rows, header=("label", "text", "user"))
    user_of = {text: user for _, text, user in rows}
    columns = {"text": "text", "label": "label", "user": "user"}
    parts = parts_of(prepare(main, results, columns=columns, **options))
    assert len({(user_of[text], part) for text, part in parts.items()}) == 100
