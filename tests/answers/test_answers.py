"""Answers from elsewhere on a table without labels: where they differ, and who is right more often there."""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from report.read import load_study
from sentiment.answers.recommendation import Choice
from sentiment.answers.table import read_answers
from sentiment.runs.run_dir import Results, RunDir, read_record
from tests.commands import invoke, refused, succeed
from tests.small_runs import invented_tweets

CLASSES = ("negative", "neutral", "positive")
SIZE = 300


@pytest.fixture
def truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "pd.Series[str]":
    """The labels of a table that has none, by text; two files of answers stand beside it, and good ones are better."""
    monkeypatch.chdir(tmp_path)
    texts = [text for _, text in invented_tweets(SIZE, seed=21)]
    rng = np.random.default_rng(0)
    labels = rng.choice(CLASSES, SIZE)
    other = rng.choice(CLASSES, SIZE)
    table = pd.DataFrame({"id": [f"t{number}" for number in range(SIZE)], "text": texts})
    table.to_csv("tweets.csv", index=False)
    easy = rng.random(SIZE) < 0.4
    for name, share in (("good", 0.9), ("bad", 0.3)):
        answers = np.where(easy | (rng.random(SIZE) < share), labels, other)
        table.assign(label=answers)[["id", "label"]].to_csv(f"{name}.csv", index=False)
    return pd.Series(labels, [" ".join(text.split()) for text in texts])


def _add(*words: object) -> str:
    return succeed("add", *words, "--of", "tweets.csv", "--classes", " ".join(CLASSES))


def _directory() -> Path:
    (directory,) = Path("results/answers").iterdir()
    return directory


def test_two_files_of_answers_are_compared_by_labels_where_they_differ_also_in_the_report(
    truth: "pd.Series[str]",
) -> None:
    for name in ("good", "bad"):
        _add(name, f"{name}.csv")
    output = succeed("evaluate", _directory(), "--sheet", "which.csv", "--labels", 60)
    assert "bad and good differ on" in output
    sheet = pd.read_csv("which.csv", encoding="utf-8-sig")
    own = pd.read_csv("tweets.csv").set_index("text")["id"]
    assert sheet["own_id"].str.removeprefix("'").tolist() == own[sheet["text"]].tolist()
    sheet["label"] = truth[sheet["text"].str.strip()].to_numpy()
    sheet.to_csv("which.csv", index=False)
    output = succeed("evaluate", _directory(), "--labelled", "which.csv", "--out", "out.json")
    choice = read_record(_directory() / "choice.json", Choice)
    assert choice is not None
    assert (choice.best, choice.labels, choice.labels_where_different) == ("good", 60, 45)
    assert choice.differences["bad"].is_better
    assert "good has the highest estimated accuracy on " in output
    assert json.loads(Path("out.json").read_text())["best"] == "good"
    answers = {name: pd.read_csv(f"{name}.csv")["label"].to_numpy() for name in ("good", "bad")}
    true_difference = (answers["good"] == truth.to_numpy()).mean() - (answers["bad"] == truth.to_numpy()).mean()
    assert choice.differences["bad"].low < true_difference < choice.differences["bad"].high
    assert choice.differing == (answers["good"] != answers["bad"]).sum()
    succeed("report")
    page = Path("results/report/report.md").read_text()
    assert "good has the highest estimated accuracy on tweets.csv." in page
    assert f" bad: {100 * choice.differences['bad'].value:+.1f} points of accuracy" in page
    assert f"| **{100 * choice.accuracy['good'].value:.1f} " in page
    assert load_study(Results(), []).reader.problems == []
    _add("late", "bad.csv")
    (problem,) = load_study(Results(), []).reader.problems
    assert f"is from before late; again: sentiment evaluate {_directory()} --labelled SHEET.csv" in problem


def test_only_tweets_that_all_have_answered_are_compared(truth: "pd.Series[str]") -> None:
    assert _add("good", "good.csv").endswith("a comparison needs two: add another predictor\n")
    done = invoke("evaluate", _directory(), "--sheet", "which.html")
    assert done.exit_code == 2
    assert "a comparison needs two added predictors; it has good" in done.output
    assert "`sentiment predict last tweets.csv --out mine.csv` and `sentiment add mine mine.csv --of" in done.output
    assert "has no labels; --sheet writes tweets to label" in refused(2, "evaluate", _directory())
    pd.read_csv("bad.csv").head(200).replace({"neutral": "no idea"}).to_csv("bad.csv", index=False)
    assert f"compare two  sentiment evaluate {_directory()} --sheet" in _add("bad", "bad.csv")
    output = succeed("evaluate", _directory(), "--sheet", "which.html")
    assert "of 200 tweets" in output
    assert "left out: 100 tweets that not all of bad, good have answered" in output
    assert invoke("evaluate", _directory(), "--data", "tweets.csv", "--sheet", "other.csv").exit_code == 2


def test_add_names_the_directory_where_the_file_is_read_in_two_ways(truth: "pd.Series[str]") -> None:
    pd.read_csv("tweets.csv").assign(label=truth.to_numpy()).to_csv("tweets.csv", index=False)
    commands = []
    for first in ("negative", "low=negative"):
        output = succeed("add", "good", "good.csv", "--of", "tweets.csv", "--classes", f"{first} neutral positive")
        commands += re.findall("compare it  sentiment (.*)", output)
        assert "good" in succeed(*shlex.split(commands[-1]))
    assert len({*commands}) == 2


def test_annotators_answer_on_the_page_and_a_skipped_tweet_is_no_answer(truth: "pd.Series[str]") -> None:
    gold = pd.read_csv("tweets.csv").assign(label=truth.to_numpy())
    gold.to_csv("gold.csv", index=False)
    of_gold = ("--of", "gold.csv", "--classes", " ".join(CLASSES))
    output = succeed("add", *of_gold, "--sheet", "ann.html")
    assert "sentiment add NAME ann.csv --annotator --of gold.csv" in output
    assert "skip" in Path("ann.html").read_text()
    answers = gold.assign(label=np.where(gold.index < 100, gold["label"], "skipped"))
    answers.to_csv("ann.csv", index=False)
    output = succeed("add", "Ann", "ann.csv", *of_gold, "--annotator")
    assert "100 of 300" in output
    assert "200 left out: no answer" in output


@pytest.mark.parametrize("words", [("--sheet", "ann.csv"), ("Ann", "good.csv", "--annotator")])
def test_people_agree_with_labels_that_a_table_must_have(truth: "pd.Series[str]", words: tuple[str, ...]) -> None:
    said = refused(2, "add", "--of", "tweets.csv", "--classes", " ".join(CLASSES), *words)
    assert "has no labels that a person could agree with" in said


def test_answers_stand_in_the_column_of_the_predictors_name(truth: "pd.Series[str]") -> None:
    table = pd.read_csv("tweets.csv").assign(gpt=pd.read_csv("good.csv")["label"], label=CLASSES[0])
    table.to_csv("answered.csv", index=False)
    _add("GPT", "answered.csv")
    stored = read_answers(_directory())
    (predictor,) = stored.added_predictors
    assert len({*predictor.predicted.tolist()}) == len(CLASSES)


@pytest.mark.parametrize("column", ["body", "2"])
def test_column_of_the_texts_is_the_one_that_is_given(truth: "pd.Series[str]", column: str) -> None:
    table = pd.read_csv("tweets.csv")
    table.assign(body=table["text"] + " again").to_csv("tweets.csv", index=False)
    _add("good", "good.csv", "--set", f"data.columns.text={column}")
    stored = pq.read_table(_directory() / "table.parquet")["text"].to_pylist()
    assert all(text.endswith(" again") for text in stored)
    message = refused(2, "add", "x", "good.csv", "--of", "tweets.csv", "--set", "data.columns.text=bodi")
    assert "no column 'bodi'" in message


def test_tweets_of_a_run_have_labels(trained: RunDir, shared_results: Results) -> None:
    for option in ("--set=data.columns.label=null", "--set=data.language=de"):
        message = refused(2, "add", "x", "x.csv", "--of", trained.path, "--results", shared_results.root, option)
        assert "is a run, which says how its tweets are read" in message


def _answers(name: str, words: Mapping[str, str]) -> None:
    """The good answers in other words."""
    table = pd.read_csv("good.csv")
    table.assign(label=table["label"].map(words)).to_csv(f"{name}.csv", index=False)


def test_classes_are_those_of_the_answers_also_of_later_ones(truth: "pd.Series[str]") -> None:
    _answers("polar", {"negative": "Neg", "neutral": "Neg", "positive": "Pos"})
    of_tweets = ("--of", "tweets.csv")
    assert "the classes are negative, positive" in succeed("add", "polar", "polar.csv", *of_tweets)
    output = succeed("add", "good", "good.csv", *of_tweets)
    assert "the classes are negative, neutral, positive" in output
    assert "none of the classes" not in output
    output = succeed("evaluate", "tweets.csv", "--sheet", "which.html")
    polar, good = (pd.read_csv(f"{name}.csv")["label"].str.lower().str[:3] for name in ("polar", "good"))
    assert f"good and polar differ on {(polar != good).sum()} of {SIZE} tweets" in output
    assert '"classes":["negative","neutral","positive"]' in Path("which.html").read_text()


def test_refused_command_changes_nothing(truth: "pd.Series[str]") -> None:
    pd.DataFrame({"id": ["x1"], "label": ["neutral"]}).to_csv("others.csv", index=False)
    _answers("polar", {"negative": "neg", "neutral": "neg", "positive": "pos"})
    for name in ("a/b", "polar"):
        refused(2 if name == "a/b" else 1, "add", name, "others.csv", "--of", "tweets.csv", "--classes", "a neutral b")
        assert not Path("results/answers").exists()
    succeed("add", "polar", "polar.csv", "--of", "tweets.csv")
    before = (_directory() / "table.json").read_bytes()
    refused(1, "add", "others", "others.csv", "--of", "tweets.csv")
    assert (_directory() / "table.json").read_bytes() == before


def test_sheet_knows_its_table_also_in_a_results_folder_that_was_moved(truth: "pd.Series[str]") -> None:
    for name in ("good", "bad"):
        _add(name, f"{name}.csv")
    succeed("evaluate", "tweets.csv", "--sheet", "which.csv")
    sheet = pd.read_csv("which.csv", encoding="utf-8-sig")
    sheet.assign(label=truth[sheet["text"].str.strip()].to_numpy()).to_csv("which.csv", index=False)
    before = succeed("evaluate", "--labelled", "which.csv")
    Path("results").rename("moved")
    assert succeed("evaluate", "--labelled", "which.csv", "--results", "moved") == before


def test_sheets_of_answers_in_another_results_folder_are_remembered_there(truth: "pd.Series[str]") -> None:
    for name in ("good", "bad"):
        _add(name, f"{name}.csv", "--results", "elsewhere")
    (directory,) = Path("elsewhere/answers").iterdir()
    succeed("evaluate", directory, "--sheet", "which.csv", "--for", "Ann", "--for", "Carl")
    labelled = []
    for file in ("which-Ann.csv", "which-Carl.csv"):
        sheet = pd.read_csv(file, encoding="utf-8-sig")
        sheet.assign(label=truth[sheet["text"].str.strip()].to_numpy()).to_csv(file, index=False)
        labelled += ["--labelled", file]
    assert "200 labels" in succeed("evaluate", directory, *labelled)


@pytest.mark.parametrize("word", ["meh", "3", "unsure"])
def test_answers_that_name_no_known_classes_are_asked_for(truth: "pd.Series[str]", word: str) -> None:
    _answers("other", {"negative": "negative", "neutral": word, "positive": "positive"})
    of_tweets = ("--of", "tweets.csv")
    message = refused(2, "add", "other", "other.csv", *of_tweets)
    assert "it is not clear which classes the answers name" in message
    assert f"'{word}'" in message
    output = succeed("add", "other", "other.csv", *of_tweets, "--classes", f"negative neutral={word} positive")
    assert "none of the classes" not in output
    pd.read_csv("tweets.csv").head(50).to_csv("new.csv", index=False)
    message = refused(2, "add", "--sheet", "new.html", "--of", "new.csv")
    assert "--classes names them" in message
