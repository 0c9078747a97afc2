"""Prepared corpora: what is in them, what is trained on, and that nothing leaves a half-made or damaged one."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from report.read import read_counts
from sentiment.config import PARTS, DataConfig, TextConfig, VocabularyConfig
from sentiment.data import corpus as corpus_module
from sentiment.data import preparation
from sentiment.data.copies import is_cut
from sentiment.data.corpus import FILES, Corpus, find_corpus, open_corpus
from sentiment.data.text import Tokenizer, TweetForms
from sentiment.errors import ConfigError, DataError
from sentiment.runs.corpus_records import MANIFEST, PartCount
from sentiment.runs.run_dir import Results
from tests.data.made_up import parts_of, prepare, tweet_table, tweets
from tests.small_runs import write_tweets


def test_a_corpus_holds_the_tokens_labels_and_parts_of_all_rows(table: Path, results: Results) -> None:
    corpus, tokenizer = prepare(table, results), Tokenizer(TextConfig())
    written = tweet_table(corpus)
    assert written["text"] == [text for _, text in tweets(400)]
    assert written["id"][:2] == ["2", "3"]
    assert written["label"] == corpus.labels.tolist() == [1, 0] * 200
    assert written["part"] == [PARTS[code] for code in corpus.parts]
    assert [corpus.tokens(row) for row in range(400)] == [tokenizer(text) for text in written["text"]]
    assert len(set(corpus.types)) == len(corpus.types) == corpus.report.types
    assert sorted(np.concatenate([corpus.rows(part) for part in PARTS]).tolist()) == list(range(400))
    assert corpus.path == results.corpus_dir(corpus.fingerprint)


def test_same_content_and_options_share_corpora(table: Path, results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_corpus(DataConfig(source=str(table)), results) is None
    first = prepare(table, results)
    monkeypatch.setattr(corpus_module, "Preparation", None)
    found = find_corpus(DataConfig(source=str(table)), results)
    assert (found.path, found.dataset, found.report) == (first.path, "table", first.report)
    assert prepare(table, results, vocabulary=VocabularyConfig(min_count=7)).fingerprint == first.fingerprint
    renamed = table.with_name("renamed.csv")
    renamed.write_bytes(table.read_bytes())
    same = prepare(renamed, results)
    assert same.path == first.path
    with open(renamed, "a", encoding="utf-8") as file:
        file.write("positive,one more\n")
    for path, options in (
        (table, {"text": TextConfig(lowercase=False)}),
        (table, {"test_fraction": 0.2}),
        (renamed, {}),
    ):
        with pytest.raises(TypeError):
            prepare(path, results, **options)


def test_other_code_makes_a_corpus_again_and_nothing_that_belongs_to_an_equal_one_is_lost(
    table: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DataConfig(source=str(table))
    first = prepare(table, results)
    files = {path: path.stat().st_ino for path in first.path.iterdir()}
    monkeypatch.setattr(corpus_module, "code_of", lambda *_: "other code")
    assert find_corpus(config, results) is None
    again = prepare(table, results)
    assert (again.path, again.fingerprint) == (first.path, first.fingerprint)
    assert {path: path.stat().st_ino for path in first.path.iterdir()} == files
    assert find_corpus(config, results) is not None
    monkeypatch.setattr(corpus_module, "code_of", lambda *_: "code that cleans texts otherwise")
    monkeypatch.setattr(preparation.Tokenizer, "clean", lambda _tokenizer, text: f"{text} furthermore")
    other = prepare(table, results)
    assert other.fingerprint != first.fingerprint
    assert other.source_fingerprint == first.source_fingerprint
    assert open_corpus(first.path).types == first.types


def test_corpora_of_equal_tokens_and_other_ids_are_not_one(tmp_path: Path, results: Results) -> None:
    rows = [(*row, f"own-{number}") for number, row in enumerate(tweets(300))]
    named = write_tweets(tmp_path / "named.csv", rows, ("label", "text", "id"))
    with_ids = prepare(named, results, columns={"id": "id"})
    without = prepare(named, results)
    assert np.array_equal(with_ids.token_ids, without.token_ids)
    assert tweet_table(with_ids)["id"][0] == "own-0"
    assert tweet_table(without)["id"][0] == "2"


def test_a_table_is_told_apart_by_its_tweets_and_labels_alone(tmp_path: Path, results: Results) -> None:
    rows = [*tweets(300), ("positive", "the"), ("positive", "the one and only")]

    def digest(name: str, changed: list[tuple[str, str]], **options: Any) -> str:
        return prepare(write_tweets(tmp_path / f"{name}.csv", changed), results, **options).report.table_sha256

    further = {"more": {"path": str(write_tweets(tmp_path / "more.csv", tweets(350)[250:]))}}
    whole = digest("whole", rows)
    same = [
        digest("turned", rows[::-1]),
        digest("whole", rows, text=TextConfig(stop_words="all")),  # leaves nothing of two tweets
        digest("whole", rows, train_rows=50),
        digest("whole", rows, tests=further),
        digest("whole", rows, folds=3, fold=2),
    ]
    assert {whole, *same} == {whole}
    edited = [digest("shorter", rows[1:]), digest("relabelled", [("negative", rows[0][1]), *rows[1:]])]
    assert len({whole, *edited}) == 3


def test_duplicates_are_dropped_and_contradictions_counted(tmp_path: Path, results: Results) -> None:
    rows = tweets(300)
    again = [("positive", "  Same @ann  THING http://a.b"), ("positive", "same @bob thing http://c.d/e")]
    other = [
        ("negative", "other @cy thing http://f.g"),
        ("positive", "Other @ann thing"),
        ("negative", "other @x thing"),
    ]
    rows[100:100] = [*again, *other]
    corpus = prepare(write_tweets(tmp_path / "t.csv", rows), results)
    assert corpus.report.kept == 301
    assert corpus.report.left_out == {preparation.DUPLICATE: 1, preparation.CONTRADICTION: 3}
    counts = read_counts(corpus.fingerprint, results)
    assert counts
    assert (counts.read, counts.kept, counts.duplicates) == (305, 301, 1)
    assert "  Same @ann  THING http://a.b" in parts_of(corpus)


def test_tweets_of_further_test_sets_are_not_trained_on(tmp_path: Path, results: Results) -> None:
    rows = tweets(300)
    manual = write_tweets(tmp_path / "manual.csv", [*rows[:4], ("neutral", "left out"), ("positive", "new")])
    shared = write_tweets(tmp_path / "shared.csv", [*rows[:2], *rows[:1], ("positive", "new")])
    main = write_tweets(tmp_path / "t.csv", rows)
    before = parts_of(prepare(main, results))
    trained = sum(before[text] == "train" for _, text in rows[:4])
    assert 0 < trained < 4
    labels = {"negative": "negative", "positive": "positive", "ignored": "neutral"}
    tests = {"shared": {"path": str(shared)}, "manual": {"path": str(manual), "labels": labels}}
    corpus = prepare(main, results, tests=tests)
    report, said = corpus.report, "\n".join(corpus.report.render_lines())
    assert (report.read, report.kept) == (310, 308 - trained)
    assert report.left_out == {preparation.IGNORED_LABEL: 1, preparation.DUPLICATE: 1, preparation.HELD_OUT: trained}
    assert f"{trained} {preparation.HELD_OUT}" in said
    assert "  manual: 5 tweets of 6 rows, " in said
    assert "  shared: 3 tweets of 4 rows, " in said
    assert corpus.part_names == ("train", "validation", "test", "manual", "shared")
    assert (corpus.rows("manual").tolist(), corpus.rows("shared").tolist()) == ([0, 1, 2, 3, 4], [5, 6, 7])


def test_parts_that_have_another_share_of_a_class_than_training_are_told(tmp_path: Path, results: Results) -> None:
    report = prepare(write_tweets(tmp_path / "t.csv", tweets(300)), results).report
    counts = {"train": [50, 50], "validation": [53, 47], "test": [60, 40]}
    parts = {part: PartCount(rows=100, classes=classes) for part, classes in counts.items()}
    lines = report.model_copy(update={"parts": parts}).render_lines()
    assert [line for line in lines if "stratified" in line] == [
        "  test has 10.0 points more of negative than train: parts are not stratified by class",
        "  test has 10.0 points less of positive than train: parts are not stratified by class",
    ]


def test_rows_without_tokens_or_fields_are_refused_and_many_are_an_error(tmp_path: Path, results: Results) -> None:
    rows: list[tuple[str, ...]] = [("positive", "@ann http://a.b"), *tweets(300), *[("positive",)] * 15]
    rows += [("negative", f"@user{n}") for n in range(30)]
    text = TextConfig(mentions="remove", urls="remove")
    corpus = prepare(write_tweets(tmp_path / "few.csv", rows), results, text=text)
    refused = {reason: (rows.count, rows.lines) for reason, rows in corpus.report.refused.items()}
    assert corpus.report.left_out == {preparation.NO_TOKEN: 31}
    assert refused["empty text"] == (15, [303, 304, 305, 306, 307])
    assert np.diff(corpus.offsets).min() > 0
    assert "  15 unusable: empty text (line 303, 304, 305, 306, 307, …)" in corpus.report.render_lines()
    with pytest.raises(DataError, match=r"many\.csv: 20 of 351 rows cannot be used, .*5%.*: 20 empty text"):
        prepare(write_tweets(tmp_path / "many.csv", [*rows, *[("positive",)] * 5]), results)


@pytest.mark.parametrize("place", ["tests", "extra_train"])
def test_table_with_many_malformed_rows_is_an_error_beside_a_large_one(
    place: str, tmp_path: Path, results: Results
) -> None:
    main = write_tweets(tmp_path / "main.csv", tweets(600))
    rows: list[tuple[str, ...]] = [*tweets(40, seed=5), *[("positive",)] * 20]
    other = {"path": str(write_tweets(tmp_path / "other.csv", rows))}
    further: dict[str, Any] = {"tests": {"other": other}} if place == "tests" else {"extra_train": [other]}
    with pytest.raises(DataError, match=r"other\.csv: 20 of 60 rows cannot be used, .*20 .*empty text"):
        prepare(main, results, **further)


def test_data_that_nothing_can_be_learned_from_is_an_error(tmp_path: Path, results: Results) -> None:
    texts = [text for _, text in tweets(200)]
    rare = [*tweets(300), ("mixed", "so and so"), ("mixed", "well, well")]
    for rows, labels, message in (
        ([], "", r"t\.csv: holds no rows"),
        (tweets(3), "", "part has no tweet of the class"),
        ([("positive", text) for text in texts], "", "the train part has no tweet of the class 'negative'"),
        (rare, "negative mixed positive", r"t\.csv: the \w+ part has no tweet of the class 'mixed'"),
        ([("neutral", text) for text in texts], "", "t.csv:2: ambiguous label 'neutral' .known"),
        ([("", text) for text in texts[:5]], "", r"unusable: 5 empty label \(line 2, 3, 4, 5, 6\)"),
    ):
        with pytest.raises(DataError, match=message):
            prepare(write_tweets(tmp_path / "t.csv", rows), results, **({"labels": labels} if labels else {}))
        assert list((results.root / "data" / "corpora").iterdir()) == []
    more = [{"path": str(write_tweets(tmp_path / "more.csv", tweets(50, seed=5)))}]
    with pytest.raises(DataError, match=r"t\.csv: the \w+ part .* of 302 rows are used"):
        prepare(write_tweets(tmp_path / "t.csv", rare), results, labels="negative mixed positive", extra_train=more)


def test_a_damaged_corpus_is_named_with_the_way_out(table: Path, results: Results) -> None:
    path = prepare(table, results).path
    for name in (*FILES, MANIFEST):
        content = (path / name).read_bytes()
        for damage in (content[: len(content) // 2], b"", None):
            (path / name).unlink()
            if damage is not None:
                (path / name).write_bytes(damage)
            with pytest.raises(DataError, match=r"is damaged \(.*\); delete it, and the next run prepares it again"):
                prepare(table, results)
        (path / name).write_bytes(content)
        flipped = bytearray(content)
        flipped[-20] ^= 1
        (path / name).write_bytes(flipped)
        with pytest.raises(DataError, match=rf"is damaged \(.*{name}.*\); delete it, and the next run"):
            open_corpus(path)
        (path / name).write_bytes(content)
    assert open_corpus(path).report.kept == 400
    shutil.rmtree(path)
    with pytest.raises(DataError, match="holds no prepared corpus"):
        open_corpus(path)


def test_broken_off_preparation_leaves_nothing(table: Path, results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (KeyboardInterrupt(), OSError(28, "No space left on device")):
        with monkeypatch.context() as patch:
            patch.setattr(corpus_module, "write_corpus", Mock(side_effect=error))
            with pytest.raises((KeyboardInterrupt, DataError), match=r"cannot be written: .*No space left|^$"):
                prepare(table, results)
        assert list((results.root / "data" / "corpora").iterdir()) == []
    assert prepare(table, results).report.kept == 400


def _texts(corpus: Corpus, *parts: str) -> set[str]:
    return {text for text, part in parts_of(corpus).items() if part in parts}


def test_further_tables_have_columns_and_labels_of_their_own(table: Path, results: Results, tmp_path: Path) -> None:
    extra = tmp_path / "extra.tsv"
    extra.write_text("mood\tbody\nhappy\ta furtherfirst tweet\nsad\ta furthersecond tweet\nmeh\ta third one\n")
    own: dict[str, Any] = {"path": str(extra), "columns": {"text": "body", "label": "mood"}}
    own["labels"] = {"sad": ["sad"], "happy": ["happy"], "ignored": ["meh"]}
    plain, corpus = prepare(table, results), prepare(table, results, extra_train=[own])
    assert parts_of(plain).items() <= parts_of(corpus).items()
    labels = dict(zip(parts_of(corpus), corpus.labels.tolist(), strict=True))
    assert (labels["a furtherfirst tweet"], labels["a furthersecond tweet"]) == (1, 0)
    assert "a third one" not in labels
    tested = prepare(table, results, tests={"mine": own})
    assert tested.labels[tested.rows("mine")].tolist() == [1, 0]
    unknown = own | {"labels": {"sad": ["sad"], "happy": ["happy"]}}
    nothing = own | {"labels": {"negative": ["no"], "positive": ["yes"], "ignored": ["happy", "sad", "meh"]}}
    for further, message in (
        ({"extra_train": [{"path": str(extra)}]}, r"extra\.tsv: data\.extra_train\.0\.columns\.text: no column 'text'"),
        ({"extra_train": [unknown]}, r"extra\.tsv:4: unknown label 'meh'.* in data\.extra_train\.0\.labels"),
        ({"tests": {"mine": nothing}}, r"data\.tests\.mine: .*extra\.tsv has no usable row"),
    ):
        with pytest.raises((ConfigError, DataError), match=message):
            prepare(table, results, **further)


def test_tweets_of_a_weighted_table_count_by_their_weight(table: Path, results: Results, tmp_path: Path) -> None:
    alike = [{"path": str(write_tweets(tmp_path / "plain.csv", tweets(30, seed=5)))}]
    rated = [{"path": str(write_tweets(tmp_path / "rated.csv", tweets(60, seed=6))), "weight": 4}]
    corpus = prepare(table, results, extra_train=alike + rated)
    weights = dict(zip(parts_of(corpus), corpus.weights.tolist(), strict=True))
    new = {text for _, text in tweets(60, seed=6)} - {text for _, text in [*tweets(400), *tweets(30, seed=5)]}
    assert {text for text, weight in weights.items() if weight == 4} == new
    assert {*weights.values()} == {1, 4}
    without = prepare(table, results, extra_train=[*alike, {"path": rated[0]["path"]}])
    assert {*without.weights.tolist()} == {1}
    light = replace(corpus, weights=np.where(corpus.labels, 1e-4, corpus.weights).astype(np.float32)).weighted(
        "balanced"
    )
    train = light.rows("train")
    assert np.ptp(np.bincount(light.labels[train], light.weights[train])) < 0.01
    assert without.fingerprint != corpus.fingerprint


@pytest.mark.parametrize("held_out_is_cut", [False, True])
@pytest.mark.parametrize("place", ["extra_train", "tests"])
def test_no_cut_copy_of_a_held_out_tweet_is_trained_on(
    results: Results, tmp_path: Path, held_out_is_cut: bool, place: str
) -> None:
    whole = [(label, f"Number{n} {text}") for n, (label, text) in enumerate(tweets(400))]
    cut = [(label, f"{text[: int(len(text) * 0.7)]}… http://t.co/x") for label, text in whole]
    first, second = (cut, whole) if held_out_is_cut else (whole, cut)
    unrelated = tweets(60, seed=5)
    main = write_tweets(tmp_path / "main.csv", [*first, *unrelated])
    other = {"path": str(write_tweets(tmp_path / "other.csv", second))}
    plain = parts_of(prepare(main, results))
    further: dict[str, Any] = {"tests": {"other": other}} if place == "tests" else {"extra_train": [other]}
    trained = _texts(prepare(main, results, **further), "train")
    for (_, text), (_, copy) in zip(first, second, strict=True):
        if place == "tests":
            assert text not in trained
        elif plain[text] != "train":
            assert copy not in trained
    assert {text for _, text in unrelated if plain[text] == "train"} <= trained


def test_a_copy_that_is_cut_has_four_words_or_more() -> None:
    for text, expected in (("one two three fo…", True), ("one two thr…", False), ("one two three four", False)):
        assert is_cut(text, TweetForms().of(text)) is expected


def test_texts_without_a_word_contradict_one_another_only_if_equal(results: Results, tmp_path: Path) -> None:
    wordless = [("positive", "http://a"), ("negative", "?!"), ("negative", "http://b"), ("positive", "?!")]
    corpus = prepare(write_tweets(tmp_path / "main.csv", [*tweets(400), *wordless]), results)
    assert corpus.report.left_out == {preparation.CONTRADICTION: 2}


def test_given_parts_are_kept_and_copies_of_held_out_not_trained(table: Path, results: Results, tmp_path: Path) -> None:
    names = ["train", "Training", "val", "dev", "validation", "TEST", "train"]
    rows = [(label, f"Number{n} {text}", names[n % 7]) for n, (label, text) in enumerate(tweets(350))]
    held_out = [text for _, text, name in rows if name in ("dev", "TEST")]
    copies = [("positive", f"{text} via @bob", "train") for text in held_out]
    own = write_tweets(tmp_path / "own.csv", [*copies, *rows], ("label", "text", "split"))
    columns = {"part": "split"}
    corpus = prepare(own, results, columns=columns)
    expected = {"train": "train", "training": "train", "test": "test"}
    assert parts_of(corpus) == {text: expected.get(name.lower(), "validation") for _, text, name in rows}
    assert corpus.report.left_out == {preparation.HELD_OUT: len(copies)}
    used_elsewhere = {"path": str(own), "columns": columns}
    tested = prepare(table, results, tests={"own": used_elsewhere})
    assert _texts(tested, "own") == {text for _, text, name in rows if name == "TEST"}
    assert tested.report.left_out[preparation.OTHER_PART] == len(rows) + len(copies) - 50
    trained = prepare(table, results, extra_train=[used_elsewhere])
    assert trained.report.extra_train[0].read == len(rows) + len(copies)
    assert not _texts(trained, "train") & set(held_out)
    own.write_text(own.read_text().replace("Training", "trial"))
    with pytest.raises(DataError, match=r"own\.csv:\d+: 'trial' is not a part; valid are train, validation, test, "):
        prepare(own, results, columns=columns)
    with pytest.raises(ConfigError, match="have parts of their own"):
        prepare(own, results, columns=columns, folds=5, fold=1)


def test_labels_are_compared_within_a_part_that_a_table_names_or_within_a_table(
    table: Path, results: Results, tmp_path: Path
) -> None:
    held_out = [("positive", "I saw this one", "test"), ("negative", "and this other one", "validation")]
    copies = [("negative", "I saw this one!", "train"), ("positive", "I saw THIS one", "validation")]
    copies += [("positive", "and this other one!", "train"), ("negative", "and this third one", "train")]
    contradicted = [("positive", "and this third one!", "train"), ("negative", "one of two labels", "test")]
    contradicted += [("positive", "One of two labels", "test"), ("positive", "ONE of two labels", "train")]
    rows = [(label, text, ("train", "validation", "test")[n % 3]) for n, (label, text) in enumerate(tweets(300))]
    own = write_tweets(tmp_path / "own.csv", [*rows, *copies, *contradicted, *held_out], ("label", "text", "part"))
    corpus = prepare(own, results, columns={"part": "part"})
    assert parts_of(corpus) == {text: part for _, text, part in [*rows, *held_out]}
    assert corpus.report.left_out == {preparation.HELD_OUT: 3, preparation.CONTRADICTION: 4, preparation.DUPLICATE: 1}
    whole = prepare(own, results)
    assert parts_of(whole).keys() == {text for _, text, _ in rows}
    assert whole.report.left_out == {preparation.CONTRADICTION: 10}
    of_others = [{"path": str(write_tweets(tmp_path / "more.csv", [*tweets(2), ("negative", tweets(1)[0][1])]))}]
    plain = prepare(table, results)
    assert parts_of(prepare(table, results, extra_train=of_others)) == parts_of(plain)


def test_column_that_may_name_authors_is_mentioned_unless_used(results: Results, tmp_path: Path) -> None:
    rows = [(label, text, f"user{n}") for n, (label, text) in enumerate(tweets(400))]
    main = write_tweets(tmp_path / "main.csv", rows, ("label", "text", "author"))
    extra = write_tweets(tmp_path / "extra.csv", [("positive", "a new one", "ann")], ("label", "text", "screen_name"))
    said = "\n".join(prepare(main, results, extra_train=[{"path": str(extra)}]).report.render_lines())
    assert "data.columns.user=author" in said
    assert "data.extra_train.0.columns.user=screen_name" in said
    own = {"path": str(extra), "columns": {"user": "screen_name"}}
    used = prepare(main, results, columns={"user": "author"}, extra_train=[own])
    assert "columns.user" not in "\n".join(used.report.render_lines())


def test_subset_of_training_tweets_counts_what_is_left_by_table(table: Path, results: Results, tmp_path: Path) -> None:
    extra = [{"path": str(write_tweets(tmp_path / f"{seed}.csv", tweets(30, seed=seed)))} for seed in (5, 6)]
    extra.append({"path": "sample"})
    whole = prepare(table, results, extra_train=extra)
    assert whole.report.extra_train[2].read == 1000
    corpus = prepare(table, results, extra_train=extra, train_rows=100)
    assert corpus.types == list(dict.fromkeys(token for tokens in corpus for token in tokens))
    assert len(corpus.rows("train")) == 100
    assert corpus.report.extra_train[0].kept == sum(" 5x" in text for text in _texts(corpus, "train"))
    assert corpus.report.kept == corpus.size == whole.size - corpus.report.left_out[preparation.SURPLUS]


def test_a_smaller_training_part_is_inside_of_a_larger_one_and_other_parts_stay(table: Path, results: Results) -> None:
    whole = prepare(table, results)
    former: set[str] = set()
    for rows in (50, 100, 200):
        corpus = prepare(table, results, train_rows=rows)
        training = _texts(corpus, "train")
        assert len(training) == rows
        assert former < training < _texts(whole, "train")
        assert _texts(corpus, "validation", "test") == _texts(whole, "validation", "test")
        surplus = corpus.report.left_out[preparation.SURPLUS]
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
