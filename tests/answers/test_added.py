"""Predictions from elsewhere: a sheet that comes back with answers, tables that say too much, and mistakes."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from sentiment.answers.table import Added, read_added
from sentiment.config import DataConfig
from sentiment.files import ROOT, files_in, sha256_of
from sentiment.runs.records import RunRecord
from sentiment.runs.run_dir import TWEETS_FILE, RunDir
from tests.commands import invoke, refused, succeed
from tests.small_runs import invented_tweets, run_in, small_config, stored, write_tweets


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    folder = tmp_path_factory.mktemp("added")
    tweets = write_tweets(folder / "tweets.csv", invented_tweets(300))
    finished = run_in(folder, small_config(tweets, training__epochs=1))
    finished.complete()
    return finished.run_dir


@pytest.fixture(scope="module")
def tweets(run: RunDir) -> list[dict[str, Any]]:
    """Its test tweets, then those of validation, as its corpus has them."""
    (file,) = run.results.corpora.glob(f"*/{TWEETS_FILE}")
    rows = pq.read_table(file).to_pylist()
    return [row for part in ("test", "validation", "train") for row in _of(rows, part)]


@pytest.fixture(scope="module")
def test(tweets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return _of(tweets, "test")


def _scores(run: RunDir, folder: Path) -> tuple[dict[str, Any], str]:
    """The scores of its predictors on test tweets, and what is printed."""
    output = succeed("evaluate", run.path, "--all", "--out", folder / "scores.json")
    models = json.loads((folder / "scores.json").read_text())["models"]
    return {name: of_model["test"] for name, of_model in models.items()}, output


def _records(run: RunDir) -> dict[str, Added]:
    return read_added(run.results.added_dir(stored(run, RunRecord).data_fingerprint))[0]


def _of(tweets: list[dict[str, Any]], part: str) -> list[dict[str, Any]]:
    return [row for row in tweets if row["part"] == part]


def test_filled_sheet_is_a_predictor_beside_models(run: RunDir, tweets: list[dict[str, Any]], tmp_path: Path) -> None:
    sheet, before = tmp_path / "sheet.csv", {path: sha256_of(path) for path, _ in files_in(run.path)}
    succeed("add", "--of", run.path, "--sheet", sheet)
    with open(sheet, encoding="utf-8-sig", newline="") as file:
        rows = [{**row, "text": row["text"].strip()} for row in csv.DictReader(file)]
    test, validation = (len(_of(tweets, part)) for part in ("test", "validation"))
    assert [{*row} for row in rows] == [{"id", "text", "label"}] * (test + validation)
    assert {row["text"] for row in rows[:test]} == {row["text"] for row in _of(tweets, "test")}
    labels = {row["text"]: row["label"] for row in tweets}
    said = [(row["id"], ("Negative", "positive")[labels[row["text"]] ^ (n % 4 == 0)]) for n, row in enumerate(rows)]
    (tmp_path / "prompt.txt").write_text("Positive or negative?\n")
    table, options = write_tweets(tmp_path / "back.csv", said, ("id", "label")), ("--note", tmp_path / "prompt.txt")
    done = invoke("add", "gpt", table, "--of", run.path, *options, "--cost", "0.5", "--seconds", "90")
    assert f"gpt: {test} of {test} test tweets, {validation} of {validation} validation tweets" in done.output
    scores, shown = _scores(run, tmp_path)
    assert scores["gpt (added)"]["accuracy"] == pytest.approx(1 - len(range(0, test, 4)) / test)
    assert shown.count("  gpt (added) ") == 2  # in both parts
    assert re.search(r" is .*significantly .* gpt \(added\): ", shown)
    record = _records(run)["gpt"]
    assert (record.note, record.cost, record.tweets) == ("Positive or negative?", 0.5, test + validation)
    assert {path: sha256_of(path) for path, _ in files_in(run.path)} == before


def test_answers_by_text_count_on_tweets_of_both(run: RunDir, tweets: list[dict[str, Any]], tmp_path: Path) -> None:
    test, trained = _of(tweets, "test"), tweets[-1]
    half = test[: len(test) // 2]
    rows: list[tuple[str, object]] = [(f" {row['text']} ", row["label"]) for row in half]
    rows[0] = (half[0]["text"], 1 - half[0]["label"])
    others = [trained["text"], f"{test[-1]['text']} and more", test[-2]["text"].upper()]
    rows += [(half[1]["text"], rows[1][1]), *((text, 1) for text in others), ("neutral", "")]
    done = invoke("add", "api", write_tweets(tmp_path / "api.csv", rows, ("Tweet", "Answer")), "--of", run.path)
    first, *remarks = done.output.splitlines()
    assert first.startswith(f"api: {len(half)} of {len(test)} test tweets, 0 of ")
    end = len(rows) + 1
    assert [line.strip() for line in remarks[:3]] == [
        f"1 left out: duplicate tweet (line {end - 4})",
        f"3 left out: not among the test and validation tweets of the run (line {end - 3}, {end - 2}, {end - 1})",
        f"1 left out: no answer (line {end})",
    ]
    scores, shown = _scores(run, tmp_path)
    assert scores["api (added)"]["accuracy"] == pytest.approx(1 - 1 / len(half))
    assert re.search(rf" api \(added\): .* points of accuracy on {len(half)} tweets", shown)


def test_empty_label_beside_a_confidence_is_no_answer(run: RunDir, test: list[dict[str, Any]], tmp_path: Path) -> None:
    names = ("negative", "positive")
    rows = [(row["text"], "" if at % 2 else names[row["label"]], 0.99) for at, row in enumerate(test)]
    for _ in range(2):
        table = write_tweets(tmp_path / "t.csv", rows, ("text", "label", "score"))
        done = invoke("add", "sure", table, "--of", run.path)
        assert f"{len(test) // 2} left out: no answer" in done.output
        assert {*_records(run)["sure"].predictions.values()} == {*names}
    assert "replaces the earlier predictions of this name" in done.output


def test_tweet_with_two_answers_has_none(run: RunDir, test: list[dict[str, Any]], tmp_path: Path) -> None:
    first, second, *_ = test
    rows = [(first["text"], 1), (second["text"], 1), (first["text"], 0), (second["text"], 1), (first["text"], 1)]
    done = invoke("add", "x", write_tweets(tmp_path / "t.csv", rows, ("text", "label")), "--of", run.path)
    assert "1 left out: tweet with several answers (line 4)" in done.output
    assert "left out: duplicate tweet" in done.output
    assert len(_records(run)["x"].predictions) == 1


@pytest.mark.parametrize("columns", [("text", "label", "label"), ("text", "label", "Label"), ("text", "text", "label")])
def test_columns_of_one_name_are_asked_for(run: RunDir, tmp_path: Path, columns: tuple[str, ...]) -> None:
    table = tmp_path / "t.csv"
    table.write_text(",".join(columns) + "\na,b,1\n")
    assert "has several columns" in refused(2, "add", "x", table, "--of", run.path)


@pytest.mark.parametrize("name", ["a\x01b", ".hidden", "a/b", "two\nlines", " a"])
def test_predictor_has_a_printable_name(run: RunDir, tmp_path: Path, name: str) -> None:
    table = write_tweets(tmp_path / "t.csv", [("a", 1)], ("text", "label"))
    assert "printable" in refused(2, "add", name, table, "--of", run.path)


def test_own_labels_are_not_taken_for_predictions(run: RunDir, test: list[dict[str, Any]], tmp_path: Path) -> None:
    rows = [(row["text"], row["label"], 1) for row in test]
    table = write_tweets(tmp_path / "one.csv", rows, ("text", "label", "prediction"))
    invoke("add", "all one", table, "--of", run.path)
    positive = np.mean([label for _, label, _ in rows])
    assert _scores(run, tmp_path)[0]["all one (added)"]["accuracy"] == pytest.approx(positive)
    table = write_tweets(tmp_path / "own.csv", [row[:2] for row in rows], ("text", "label"))
    done = invoke("add", "own", table, "--of", run.path)
    assert "warning: all predictions are right. Are these the tweets' own labels?" in done.output


@pytest.mark.parametrize("answer", ["0.7", "-1", "5"])
def test_number_that_is_no_label_is_named_with_its_row(
    run: RunDir, tweets: list[dict[str, Any]], tmp_path: Path, answer: str
) -> None:
    rows = [(1, tweets[0]["text"]), (answer, tweets[1]["text"])]
    table = write_tweets(tmp_path / "t.csv", rows, ("label", "text"))
    options = ("--classes", "negative=0 positive=1")
    assert f"{table}:3: '{answer}' is not a label" in refused(1, "add", "x", table, "--of", run.path, *options)


def test_labels_are_those_that_an_option_names(run: RunDir, test: list[dict[str, Any]], tmp_path: Path) -> None:
    table = write_tweets(tmp_path / "t.csv", [("Happy", test[0]["text"])])
    succeed("add", "x", table, "--of", run.path, "--classes", "negative positive=happy")
    assert list(_records(run)["x"].predictions.values()) == ["positive"]


def test_neutral_answers_are_counted_and_are_wrong(run: RunDir, test: list[dict[str, Any]], tmp_path: Path) -> None:
    answers = [(row["text"], ("negative", "positive")[row["label"]]) for row in test]
    answers[:10] = [(text, "Neutral") for text, _ in answers[:10]]
    answers[10] = (answers[10][0], "")
    answers[11] = (answers[11][0], ("positive", "negative")[test[11]["label"]])
    table = write_tweets(tmp_path / "t.csv", answers, ("text", "label"))
    done = invoke("add", "three classes", table, "--of", run.path)
    assert "10 rows with the answer 'Neutral', which is none of the classes: wrong" in done.output
    assert "left out: the answer" not in done.output
    judged = len(test) - 11
    record = _records(run)["three classes"]
    assert record.tweets == judged + 10
    assert [*record.predictions.values()].count(None) == 10
    scores, shown = _scores(run, tmp_path)
    assert scores["three classes (added)"]["n"] == judged + 10
    assert scores["three classes (added)"]["accuracy"] == (judged - 1) / (judged + 10)
    assert "three classes (added), test: its 10 other answers count as wrong" in shown
    assert f"{(judged - 1) / judged:.1%} right of the {judged} tweets" in shown


def test_torn_predictor_is_named_and_others_are_shown(run: RunDir, test: list[dict[str, Any]], tmp_path: Path) -> None:
    table = write_tweets(tmp_path / "t.csv", [(row["label"], row["text"]) for row in test])
    for name in ("torn", "whole"):
        succeed("add", name, table, "--of", run.path)
    (file,) = run.results.added.glob("*/torn.json")
    file.write_bytes(file.read_bytes()[:-30])
    scores, shown = _scores(run, tmp_path)
    assert {"whole (added)", "torn (added)"} & {*scores} == {"whole (added)"}
    assert str(file) in shown.replace("\n", "")
    file.unlink()


def test_part_of_which_no_tweet_is_answered_is_told(run: RunDir, test: list[dict[str, Any]], tmp_path: Path) -> None:
    table = write_tweets(tmp_path / "t.csv", [(row["label"], row["text"]) for row in test])
    succeed("add", "gpt", table, "--of", run.path)
    scores, shown = _scores(run, tmp_path)
    assert "gpt (added)" in scores
    assert "gpt (added), validation: gives none of these tweets a class, and is left out" in shown
    assert "gpt (added), test: gives" not in shown


def test_sheet_whose_texts_were_moved_is_refused(run: RunDir, tmp_path: Path) -> None:
    succeed("add", "--of", run.path, "--sheet", tmp_path / "sheet.csv")
    with open(tmp_path / "sheet.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    moved = [(row["id"], other["text"], "positive") for row, other in zip(rows, [*rows[1:], rows[0]], strict=True)]
    message = refused(1, "add", "x", write_tweets(tmp_path / "t.csv", moved, ("id", "text", "label")), "--of", run.path)
    assert f"t.csv:2: the text of tweet {rows[0]['id']} has changed: '{rows[1]['text']}'" in message


def test_mistake_is_one_message(run: RunDir, tmp_path: Path) -> None:
    table = write_tweets(tmp_path / "t.csv", [("never seen", "positive")], ("text", "x"))
    others = write_tweets(tmp_path / "others.csv", [("1000000", 1)], ("id", "label"))
    for code, words, why in (
        (2, ("x",), "add takes either NAME and a table of predictions, or --sheet"),
        (2, ("a/b", table), "'a/b': must be a file name"),
        (2, ("VADER's lexicon", table), "a predictor of this name is compared anyway"),
        (2, ("x", table, "--label-column", "mood"), "no column 'mood'; the file has 'text', 'x'"),
        (2, ("x", table, "--cost", "inf"), "inf is not a finite number"),
        (2, ("y", table), "no column name looks like a label; name it with --label-column"),
        (1, ("x", others), "has no prediction for any of the test and validation tweets of the run"),
    ):
        assert why in refused(code, "add", *words, "--of", run.path)


def test_first_commands_of_the_readme_add_a_row_with_its_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "report" / "README.md").read_text(encoding="utf-8")
    answers = [
        ("Pizza time.", "positive"),
        ("Damn damn damn damn #Cowboys", "negative"),
        ("Now I'm sitting in Coffee Bean drinking an Americano setting up the Atlassian suite.", "negative"),
    ]
    write_tweets(tmp_path / "answers.csv", answers, ("text", "label"))
    (tmp_path / "prompt.txt").write_text("Is this tweet positive or negative? Answer with one word.")
    monkeypatch.chdir(tmp_path)
    run = run_in(tmp_path, small_config(Path("sample"), training__epochs=1, model__kind="linear"))
    run.complete()
    for command in re.findall(r"^sentiment (add .*?)(?:  +#.*)?$", text, re.M)[:2]:
        succeed(*command.split(), "--results", run.run_dir.results.root)
    (record,) = _records(run.run_dir).values()
    assert record.note == "Is this tweet positive or negative? Answer with one word."
    assert _scores(run.run_dir, tmp_path)[0]["llm (added)"]["accuracy"] == pytest.approx(2 / 3)


def test_words_for_negative_are_not_those_of_a_neutral_class() -> None:
    data = DataConfig.model_validate({"source": "x.csv", "labels": {"neutral": ["a"], "positive": ["b"]}})
    assert data.labels.answer_meanings() == {"neutral": 0, "positive": 1, "a": 0, "b": 1}


def test_name_of_a_class_means_that_class_whatever_the_word_usually_means() -> None:
    for names in (["positive", "very positive"], ["not hateful", "negative"], ["0 stars", "neg"]):
        labels = {name: [f"label {name}"] for name in names}
        meanings = DataConfig.model_validate({"source": "x.csv", "labels": labels}).labels.answer_meanings()
        assert [meanings[name] for name in names] == [0, 1]


def test_classes_of_a_labelled_table_are_named_once_as_long_as_they_name_all_its_labels(tmp_path: Path) -> None:
    moods = ["sad", "meh", "happy"] * 4
    rows = [(f"i{number}", f"tweet {number}", mood, mood.upper()[0]) for number, mood in enumerate(moods)]
    table = write_tweets(tmp_path / "gold.csv", rows, ("id", "text", "label", "letter"))
    answers = write_tweets(tmp_path / "answers.csv", [(name, mood) for name, _, mood, _ in rows], ("id", "label"))
    of = ("--of", table, "--results", tmp_path / "results")
    assert "--classes 'sad meh happy'" in refused(2, "add", "one", answers, *of)
    succeed("add", "one", answers, *of, "--classes", "sad meh happy")
    assert "the classes are sad, meh, happy" in succeed("add", "two", answers, *of)
    assert len([*(tmp_path / "results" / "answers").glob("*/added/*.json")]) == 2
    assert "--classes 'S M H'" in refused(2, "add", "two", answers, *of, "--set", "data.columns.label=letter")
    succeed("add", "two", answers, *of, "--classes", "sad happy")
    assert "--classes" in refused(2, "add", "three", answers, *of)  # it was read in two ways
