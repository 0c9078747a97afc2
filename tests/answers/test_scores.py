"""Every score that a command prints or writes for a model is that of what `predict --file` answers on the same tweets.

Random studies cross the number of classes, test sets that lack one, folds, thresholds and additional training tables.
The suite draws a few; `FUZZ=50 pytest tests/answers/test_scores.py` draws so many others.
"""

import csv
import json
import os
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from report.build import build_report
from sentiment.data.corpus import prepare_corpus
from sentiment.predicting.stored import model_card, open_run
from sentiment.runs.records import MODEL_KINDS, PREDICTORS, ModelKind, Result
from sentiment.runs.run_dir import RunDir
from tests.commands import succeed
from tests.small_runs import run_in, small_config, stored, write_tweets

_THINGS = ("tea", "bus", "monday", "exam", "garden", "phone", "cake", "homework", "weather", "cat", "song", "meeting")
_FILLERS = ("so", "really", "just", "my", "the", "and", "this", "again", "today", "was", "with", "for", "at", "home")
_NOISE = 0.35  # the share of tweets with a word of any class: models are wrong, and predict each class


@dataclass
class Scores:
    """What is told of a model on some tweets: to so many digits as it was told."""

    accuracy: float
    macro_recall: float
    macro_f1: float


def scores_of(labels: Sequence[str], predicted: Sequence[str]) -> Scores:
    """From answers alone, by scikit-learn: means over the classes that occur among the labels."""
    occurring = sorted({*labels})
    of_means: dict[str, Any] = {"labels": occurring, "average": "macro", "zero_division": 0}
    right = [label == answer for label, answer in zip(labels, predicted, strict=True)]
    return Scores(
        float(np.mean(right)), recall_score(labels, predicted, **of_means), f1_score(labels, predicted, **of_means)
    )


class Study:
    """A completed run, and a user's labelled file, drawn at random."""

    def __init__(self, number: int, folder: Path) -> None:
        self.random = random.Random(number)
        self.folder = folder
        count = 2 + number % 4
        self.names = [f"class{index}" for index in range(count)]
        self.metric = self.random.choice(["loss", "macro_recall"])
        labels = {name: [name] for name in self.names}
        changes: dict[str, Any] = {"data__labels": labels, "training__epochs": 2, "seed": number}
        changes["training__early_stopping__metric"] = self.metric
        changes["data__language"] = self.random.choice(["en", "de"])
        changes["data__tests"] = {
            "theirs": {"path": str(self.table("theirs", 60, self.some_classes())), "labels": labels}
        }
        if self.random.random() < 0.5:
            changes |= {"data__folds": 3, "data__fold": self.random.randrange(1, 4)}
        if self.random.random() < 0.5:
            extra = self.table("extra", 80, self.names)
            changes["data__extra_train"] = [{"path": str(extra), "weight": 0.5, "labels": labels}]
        run = run_in(folder, small_config(self.table("tweets", 240 * count, self.names), **changes))
        run.complete()
        self.run_dir: RunDir = run.run_dir
        self.result = stored(run.run_dir, Result)
        self.threshold = self.random.choice([None, 0.3, 0.62]) if count == 2 else None
        self.mine = self.table("mine", 150, self.some_classes())

    def some_classes(self) -> list[str]:
        """All classes but one, at random; one of two."""
        return self.random.sample(self.names, len(self.names) - 1)

    def table(self, name: str, size: int, classes: Sequence[str]) -> Path:
        rows = {}
        while len(rows) < size:
            label = self.random.choice(classes)
            opinion = self.random.choice(self.names if self.random.random() < _NOISE else [label])
            words = [*self.random.choices(_FILLERS, k=self.random.randrange(5, 14)), self.random.choice(_THINGS)]
            words += [f"{opinion}ish", self.random.choice(["!", "...", ":)"])]
            self.random.shuffle(words)
            rows[" ".join(words)] = label
        return write_tweets(self.folder / f"{name}.csv", [(label, text) for text, label in rows.items()])

    def own_tweets(self) -> list[tuple[str, str, str]]:
        """Part, label and text of each tweet of the corpus."""
        config = self.run_dir.read_config()
        corpus = prepare_corpus(config.data, self.run_dir.results)
        table = pq.read_table(corpus.path / "tweets.parquet").to_pydict()
        labels = [self.names[label] for label in table["label"]]
        return [*zip(table["part"], labels, table["text"], strict=True)]

    def predicted(self, texts: Sequence[str], kind: ModelKind, *options: object) -> list[str]:
        """What `predict --file` answers."""
        source = write_tweets(self.folder / "texts.csv", [[text] for text in texts], ["text"])
        target = self.folder / "answers.csv"
        places = ("--file", source, "--out", target, "--text-column", "text")
        succeed("predict", self.run_dir.path, "--with", kind, *places, *options)
        with open(target, newline="", encoding="utf-8") as file:
            return [row["label"] for row in csv.DictReader(file)]


def rows_of_table(output: str, part: str, n: int) -> dict[str, list[float]]:
    """Accuracy, macro recall and macro F1 of each model in a printed table of a part."""
    block = output[re.search(rf"^{re.escape(part)}, {n:,} tweets ", output, re.MULTILINE).end() :]  # type: ignore[union-attr]
    rows: dict[str, list[float]] = {}
    for line in block.splitlines()[1:]:
        found = re.fullmatch(r"  (\S.*?) +([\d.]+) \([\d.]+\u2013[\d.]+\) +([\d.]+) +([\d.]+)\s*", line)
        if found is None:
            break
        rows[found[1]] = [float(found[column]) / 100 for column in (2, 3, 4)]
    return rows


def agree(told: Sequence[float], scores: Scores, digits: int) -> None:
    expected = [scores.accuracy, scores.macro_recall, scores.macro_f1]
    assert told == pytest.approx(expected, abs=0.5001 * 10**-digits)


@pytest.fixture(params=range(int(os.environ.get("FUZZ", 2))))
def study(request: pytest.FixtureRequest, tmp_path: Path) -> Study:
    return Study(request.param, tmp_path)


@pytest.mark.slow
def test_each_score_of_a_model_is_that_of_what_predict_answers(study: Study) -> None:
    tweets = study.own_tweets()
    expected: dict[tuple[ModelKind, str], Scores] = {}
    answers: dict[ModelKind, list[str]] = {}
    parts = np.array([part for part, _, _ in tweets])
    labels = np.array([label for _, label, _ in tweets])
    for kind in MODEL_KINDS:
        answers[kind] = study.predicted([text for *_, text in tweets], kind)
        for part in study.result.parts:
            chosen = parts == part
            expected[kind, part] = scores_of(labels[chosen].tolist(), np.array(answers[kind])[chosen].tolist())
    _check_own_scores(study, expected)
    _check_page(
        study, expected, labels[parts == "test"].tolist(), np.array(answers["network"])[parts == "test"].tolist()
    )
    _check_scores_on_a_file(study)


def _check_own_scores(study: Study, expected: dict[tuple[ModelKind, str], Scores]) -> None:
    """The result, what `train` and `evaluate` print and write, and the model card."""
    path = study.run_dir.path
    config = study.run_dir.config_file
    trained = succeed("train", config, "--results", study.run_dir.results.root)
    evaluated = succeed("evaluate", path, "--all", "--out", study.folder / "own.json")
    written = json.loads((study.folder / "own.json").read_text())["models"]
    card = model_card(open_run(path))
    for (kind, part), scores in expected.items():
        metrics = study.result.scores[kind][part]
        agree([metrics.accuracy, metrics.macro_recall, metrics.macro_f1], scores, 9)
        of_file = written[PREDICTORS[kind]][part]
        agree([of_file["accuracy"], of_file["macro_recall"], of_file["macro_f1"]], scores, 9)
        for printed in (trained, evaluated)[part == "train" :]:
            agree(rows_of_table(printed, part, metrics.n)[PREDICTORS[kind]], scores, 3)
        row = re.search(rf"^\| {part}, {metrics.n:,} \| \**{PREDICTORS[kind]}\** \| (.*) \|$", card, re.MULTILINE)
        assert row
        agree([float(cell.split()[0]) for cell in row[1].split(" | ")], scores, 3)
    recommended = expected[study.result.recommended, "test"]
    told = re.search(r"^how sure     Test (accuracy|macro recall) ([\d.]+) %", trained, re.MULTILINE)
    assert told
    told_score = {"accuracy": recommended.accuracy, "macro recall": recommended.macro_recall}[told[1]]
    assert float(told[2]) == pytest.approx(100 * told_score, abs=0.0501)
    worst = re.search(r"^worst class  \S+: ([\d.]+) % of its", trained, re.MULTILINE)
    assert worst
    recalls = study.result.scores[study.result.recommended]["test"].recall
    assert float(worst[1]) == pytest.approx(100 * min(recalls), abs=0.0501)


def _check_page(
    study: Study, expected: dict[tuple[ModelKind, str], Scores], labels: list[str], network: list[str]
) -> None:
    """The tables of the report with a single run: its test sets, and the recall and precision of each class."""
    build_report(study.run_dir.results, [], study.folder / "report")
    tables = study.folder / "report" / "tables"
    if study.run_dir.read_config().data.fold is not None:
        assert not (tables / "test-sets.csv").exists()  # nothing is compared that lacks folds
        return
    for row in _rows_of(tables / "test-sets.csv"):
        name = row["model"].lstrip("\u2605 ")
        if "lexicon" not in name and name != PREDICTORS["majority"]:
            kind: ModelKind = "baseline" if name == PREDICTORS["baseline"] else "network"
            scores = expected["both" if name.startswith(PREDICTORS["both"]) else kind, "theirs"]
            told = {"accuracy": scores.accuracy, "macro_recall": scores.macro_recall}
            for column in told.keys() & row.keys():
                assert float(row[column]) == pytest.approx(told[column], abs=1e-4), (name, column)
    recalls = recall_score(labels, network, labels=study.names, average=None, zero_division=0)
    precisions = precision_score(labels, network, labels=study.names, average=None, zero_division=0)
    rows = [row for row in _rows_of(tables / "confusion.csv") if row["model"] == "network"]
    for row, name, recall, precision in zip(rows, study.names, recalls, precisions, strict=True):
        of_class = [answer for label, answer in zip(labels, network, strict=True) if label == name]
        assert [int(row[f"predicted_{other}"]) for other in study.names] == [*map(of_class.count, study.names)]
        assert float(row["recall"]) == pytest.approx(recall, abs=1e-4)
        assert float(row["precision"]) == pytest.approx(precision, abs=1e-4)


def _rows_of(table: Path) -> list[dict[str, str]]:
    with open(table, newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


def _check_scores_on_a_file(study: Study) -> None:
    """What `evaluate --data` prints and writes, at a threshold and at the one that it proposes."""
    mine = _rows_of(study.mine)
    known = {text for part, _, text in study.own_tweets() if part in ("train", "validation")}
    scored = [row for row in mine if row["text"] not in known]
    labels = [row["label"] for row in scored]
    options = [] if study.threshold is None else ["--threshold", study.threshold]
    places = ("--data", study.mine, "--results", study.run_dir.results.root, "--out", study.folder / "mine.json")
    classes = " ".join(f"{name}={name}" for name in study.names)
    output = succeed("evaluate", study.run_dir.path, "--all", *places, *options, "--classes", classes)
    written = json.loads((study.folder / "mine.json").read_text())
    assert written["n"] == len(scored)
    printed = rows_of_table(output, study.mine.name, len(scored))
    for kind in MODEL_KINDS:
        predicted = study.predicted([row["text"] for row in scored], kind, *options)
        scores = scores_of(labels, predicted)
        agree(printed[PREDICTORS[kind]], scores, 3)
        of_file = written["models"][PREDICTORS[kind]]
        agree([of_file["accuracy"], of_file["macro_recall"], of_file["macro_f1"]], scores, 9)
    for name, told in printed.items():
        if found := re.fullmatch(r"(.*) at ([\d.e-]+)", name):
            (kind,) = (kind for kind in MODEL_KINDS if PREDICTORS[kind] == found[1])
            predicted = study.predicted(
                [row["text"] for row in scored], kind, "--threshold", written["use"]["threshold"]
            )
            if written["use"]["threshold"] == pytest.approx(float(found[2]), rel=0.01):
                agree(told, scores_of(labels, predicted), 3)
