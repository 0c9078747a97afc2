"""Runs of three classes from the table to the report."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report.build import build_report
from sentiment import load
from sentiment.answers.table import read_predictions
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.runs.records import Result
from sentiment.runs.run_dir import RunDir
from tests.commands import refused, succeed
from tests.small_runs import invented_tweets, run_in, small_config, stored, write_tweets

pytestmark = pytest.mark.slow

NAMES = ("negative", "neutral", "positive")


def three_classes(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Each third tweet is a neutral one."""
    opinions = [(NAMES[2 * label], text) for label, text in invented_tweets(2 * count // 3, seed)]
    plain = [("neutral", f"the {hour} o'clock train leaves from platform {hour % 7}") for hour in range(count // 3)]
    return [row for rows in zip(opinions[::2], plain, opinions[1::2], strict=True) for row in rows]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of tweets: `tweets.csv` with all classes, `clear.csv` without neutral tweets."""
    folder = tmp_path_factory.mktemp("classes")
    write_tweets(folder / "tweets.csv", three_classes(600))
    write_tweets(folder / "clear.csv", [(NAMES[2 * label], text) for label, text in invented_tweets(60, seed=5)])
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> RunDir:
    """A completed run on three classes that reads the polarity of words, with a further test set."""
    labels = {name: [name] for name in NAMES}
    changes: dict[str, Any] = {"data__labels": labels, "embedding__polarity": True}
    changes["data__tests"] = {"clear": {"path": str(folder / "clear.csv"), "labels": labels}}
    changes["training__early_stopping__metric"] = "macro_recall"
    finished = run_in(folder, small_config(folder / "tweets.csv", **changes))
    finished.complete()
    return finished.run_dir


def test_recorded_scores_are_exactly_those_of_the_stored_predictions(run: RunDir) -> None:
    result = stored(run, Result)
    for part in result.parts[1:]:
        predictions = read_predictions(run, result, part, NAMES)
        for kind, by_part in result.scores.items():
            assert predictions.of(kind).metrics(predictions.labels) == by_part[part]


SCALE = "negative=0 neutral=1 positive=2"


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run on three classes that its table calls 0, 1 and 2."""
    folder = tmp_path_factory.mktemp("numbered")
    rows = [(NAMES.index(label), text) for label, text in three_classes(300)]
    table = write_tweets(folder / "t.csv", rows)
    run = run_in(folder, small_config(table, data__labels=SCALE, training__epochs=1))
    run.complete()
    return run.run_dir


@pytest.mark.parametrize(
    ("values", "is_clear"), [("01", False), ("12", False), ("02", False), ("012", True), ("1", True)]
)
def test_numbers_of_a_part_of_the_scale_are_asked_for(
    numbered: RunDir, tmp_path: Path, values: str, is_clear: bool
) -> None:
    """0 and 1 may be negative and neutral, as the run was told, or negative and positive."""
    mine = [(values[number % len(values)], text) for number, (_, text) in enumerate(invented_tweets(60, seed=5))]
    command = ("evaluate", numbered.path, "--all", "--data", write_tweets(tmp_path / "mine.csv", mine))
    if is_clear:
        succeed(*command)
        return
    said = refused(2, *command)
    assert "has only some of the numbers that are classes here" in said
    assert f"--classes '{SCALE}'" in said
    other = f"negative={values[0]} positive={values[1]}"
    assert f"--classes '{other}'" in said
    for classes, labels in ((SCALE, [NAMES[int(value)] for value in values]), (other, ["negative", "positive"])):
        succeed(*command, "--classes", classes, "--out", tmp_path / "scores.json")
        scores = json.loads((tmp_path / "scores.json").read_text())
        assert scores["accuracy"] == pytest.approx(sum(scores["recall"][name] for name in labels) / 2)  # half of each


def test_commands_know_three_classes(run: RunDir, folder: Path) -> None:
    succeed("evaluate", run.path, "--data", folder / "clear.csv", "--results", folder)
    output = succeed("evaluate", run.path, "--all", "--out", folder / "scores.json")
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["models"]["network"]["test"]["recall"].keys() == {*NAMES}
    assert "points of macro recall on" in output
    output = succeed("predict", run.path, "the 3 o'clock train leaves", "--with", "baseline", "--explain")
    assert output.splitlines()[-2].startswith("neutral ")
    for command in (("export", run.path, folder / "model.zip"), ("predict", run.path, "a train")):
        assert "threshold 0.4: only models of two classes" in refused(2, *command, "--threshold", "0.4")
    succeed("export", run.path, folder / "model.zip")
    assert load(folder / "model.zip", "baseline").classes_.tolist() == [*NAMES]
    mixed = [("mixed" if index % 4 == 0 else label, text) for index, (label, text) in enumerate(three_classes(600))]
    answers = write_tweets(folder / "mixed.csv", mixed, ("answer", "text"))
    output = succeed("add", "mixed", answers, "--of", run.path)
    assert "'mixed', which is none of the classes: wrong" in output
    assert "all predictions are right" not in output
    (record,) = run.results.root.rglob("mixed.json")
    assert {*json.loads(record.read_text())["predictions"].values()} == {None, *NAMES}


def test_report_of_three_classes_shows_each(run: RunDir, folder: Path) -> None:
    build_report(run.results, [], folder / "report")
    text = (folder / "report" / "report.md").read_text(encoding="utf-8")
    assert "| network | neutral |" in text
    assert "most frequent class" in text
    assert "24 negative, 24 neutral and 17 positive" in text
    assert "The unweighted mean of the classes\u2019 recalls." in text
    assert "| Test set | Tweets | Model | Macro recall, % |" in text


@pytest.fixture
def corpus(run: RunDir) -> Corpus:
    return prepare_corpus(run.read_config().data, run.results)


def test_balanced_weights_give_all_classes_the_same_total_in_training(corpus: Corpus) -> None:
    train = corpus.rows("train")
    labels = np.where(np.arange(len(corpus.labels)) % 5, corpus.labels, 2).astype(np.int8)
    weights = np.linspace(1, 3, len(labels)).astype(np.float32)
    balanced = replace(corpus, labels=labels, weights=weights).weighted("balanced")
    totals = np.bincount(labels[train], balanced.weights[train])
    assert totals == pytest.approx(totals[0], rel=1e-5)
    assert totals.sum() == pytest.approx(weights[train].sum(), rel=1e-5)
    assert balanced.baselines_file != corpus.baselines_file


def test_classes_have_the_same_weight_by_default_where_one_is_rare_and_training_says_so(tmp_path: Path) -> None:
    rare = [row for index, row in enumerate(three_classes(900, seed=2)) if row[0] != "negative" or index % 10 == 0]
    changes = {"data__labels": {name: [name] for name in NAMES}, "model__kind": "linear", "training__epochs": 1}
    table = write_tweets(tmp_path / "rare.csv", rare)
    recalls = {}
    for class_weights in ("none", "balanced", "auto"):
        run = run_in(tmp_path, small_config(table, training__class_weights=class_weights, **changes))
        run.complete()
        recalls[class_weights] = run.result.scores["baseline"]["train"].recall[0]
        is_told = any("of the training tweets are negative: all classes have the same weight" in it for it in run.said)
        assert is_told == (class_weights == "auto")
    assert recalls["none"] < recalls["balanced"] == recalls["auto"]


@pytest.mark.parametrize("choice", ["baseline", "network"])
def test_words_explain_the_predicted_class_against_all_others(run: RunDir, choice: Any) -> None:
    model = load(run.path, choice)
    explained = set()
    for _, text in three_classes(9, seed=8):
        explanation = model.explain(text)
        explained.add(explanation.label)
        tokens = explanation.tokens
        shorter = [" ".join(tokens[:index] + tokens[index + 1 :]) for index in range(len(tokens))]
        of_label = model.predict_proba([text, *shorter])[:, [*model.classes_].index(explanation.label)]
        log_odds = np.log(of_label) - np.log(1 - of_label)
        np.testing.assert_allclose(explanation.weights, log_odds[0] - log_odds[1:], atol=1e-5)
    assert len(explained) > 1
