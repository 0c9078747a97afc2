"""What of a run predicts, by what names; which rows of a labelled file are scored: those that it answers, not knows."""

import csv
import json
import random
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, permutations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from sentiment import load
from sentiment.answers.evaluate import decide, decision_lines, result_blocks
from sentiment.answers.evaluation import compare_with_chosen
from sentiment.answers.recommendation import recommend_model
from sentiment.answers.table import AnswerTable, Predictor
from sentiment.blocks.predictors import choice_sentences, pair_sentences
from sentiment.blocks.terminal import show
from sentiment.config import PARTS
from sentiment.config_file import resolve
from sentiment.data.corpus import Corpus, open_corpus
from sentiment.errors import UsageError
from sentiment.models.baseline import BaselineModel
from sentiment.models.text_model import MeanModel, calibrated
from sentiment.predicting.files import NO_WORDS
from sentiment.predicting.new_tweets import COPY, OWN_TEST
from sentiment.predicting.stored import model_card, open_run, open_stored
from sentiment.runs.records import MODEL_KINDS, PREDICTORS, ModelKind, Result
from sentiment.runs.run_dir import RunDir
from tests.commands import invoke, refused, succeed
from tests.conftest import MakeExperiment
from tests.small_runs import invented_tweets, run_in, small_config, stored, write_tweets

TEXTS = [text for _, text in invented_tweets(40, seed=8)]


def test_the_mean_is_the_calibrated_mean_of_its_members(trained: RunDir) -> None:
    kinds: tuple[ModelKind, ...] = ("network", "baseline", "both")
    models = open_stored(trained.path)
    network, baseline, both = (models.model(kind).classify_texts(TEXTS).probabilities for kind in kinds)
    temperature = stored(trained, Result).temperatures["both"]
    assert temperature != 1
    np.testing.assert_allclose(both, calibrated((network + baseline) / 2, temperature))


def test_a_baseline_predicts_texts_and_files_without_torch(trained: RunDir, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\nlovely\nawful\n")
    predict = ["predict", str(trained.path), "--with", "baseline"]
    calls = [[*predict, "lovely"], [*predict, "--file", "in.csv", "--out", "out.csv"]]
    script = f"import sys\nfrom sentiment.__main__ import app\nfor call in {calls}: app(call, standalone_mode=False)\n"
    script += "print(set(sys.modules) & {'torch', 'sklearn', 'pandas'})"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.endswith("\nset()\n"), done.stderr
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 3


def test_the_default_is_what_the_result_recommends(trained: RunDir, tmp_path: Path) -> None:
    run_dir = RunDir(Path(shutil.copytree(trained.path, tmp_path / "run")))
    for recommended, kind in (("baseline", BaselineModel), ("both", MeanModel)):
        run_dir.write_record(stored(trained, Result).model_copy(update={"recommended": recommended}))
        assert isinstance(open_stored(run_dir.path).model(), kind)
    assert "by the mean of both (recommended by validation" in invoke("predict", run_dir.path, "x").output


def test_the_mean_knows_each_word_that_one_of_its_models_knows(trained: RunDir) -> None:
    texts = ["catastrophic", "tea", "qqqq"]  # the first one is rated, and stands in no tweet of the run
    network, baseline, both = (load(trained.path, kind).knows(texts).tolist() for kind in MODEL_KINDS)
    assert (network, baseline, both) == ([False, True, False], [True, True, False], [True, True, False])


@pytest.mark.parametrize("metric", ["accuracy", "macro_recall"])
def test_first_screen_names_a_lexicon_that_is_better_by_the_metric(
    trained: RunDir, metric: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = open_run(trained.path)
    config = resolve(run.config.model_dump(), {"training.early_stopping.metric": metric}, "test")
    scores = dict(run.result.scores)
    for better in ("accuracy", "macro_recall"):
        of_lexicon = {"accuracy": float(better == "accuracy"), "recall": [float(better == "macro_recall")] * 2}
        scores["lexicon"] = scores["lexicon"] | {"test": scores["lexicon"]["test"].model_copy(update=of_lexicon)}
        result = run.result.model_copy(update={"scores": scores})
        show(result_blocks(replace(run, config=config, result=result)))
        assert ("\nbelow        VADER's lexicon; " in capsys.readouterr().out) == (better == metric)


def _predictor(kind: ModelKind, positive: npt.NDArray[np.float64]) -> Predictor:
    return Predictor(kind, kind, np.stack([1 - positive, positive], axis=1))


@pytest.mark.parametrize(
    ("wrong", "metric", "expected"),
    [
        ({"network": 40, "baseline": 44, "both": 41}, "accuracy", "baseline"),  # no difference is shown
        ({"network": 20, "baseline": 60, "both": 21}, "loss", "network"),
        ({"network": 60, "baseline": 60, "both": 20}, "accuracy", "both"),
        ({"network": 40, "baseline": 10, "both": 10}, "accuracy", "baseline"),
        ({"network": 0, "baseline": 30, "both": 30}, "macro_recall", "network"),
    ],
)
def test_simplest_model_not_shown_worse_is_chosen(wrong: dict[ModelKind, int], metric: str, expected: str) -> None:
    assert recommend_model(_with_wrong(wrong), metric) == expected


def _with_wrong(wrong: dict[ModelKind, int], shift: int = 0) -> AnswerTable:
    """Predictors with so many of 400 tweets wrong: of the first ones, or of those that are `shift` further for each."""
    labels = np.arange(400) % 2
    predictors = []
    for index, (kind, n_wrong) in enumerate(wrong.items()):
        of_label = np.where((np.arange(400) - shift * index) % 400 < n_wrong, 0.2, 0.8)
        predictors.append(_predictor(kind, np.where(labels == 1, of_label, 1 - of_label)))
    return AnswerTable(np.arange(400), labels, predictors)


@pytest.mark.parametrize(
    ("metric", "expected"), [("accuracy", "baseline"), ("macro_f1", "baseline"), ("macro_recall", "both")]
)
def test_models_are_compared_by_macro_recall_only_if_that_is_the_metric(metric: str, expected: ModelKind) -> None:
    labels = (np.arange(400) % 10 == 0).astype(int)
    never = np.full(400, 0.1)
    often = np.where((labels == 1) | (np.arange(400) % 5 == 1), 0.9, 0.1)
    predictors = [_predictor("network", never), _predictor("baseline", never), _predictor("both", often)]
    assert recommend_model(AnswerTable(np.arange(400), labels, predictors), metric) == expected


def test_lexicon_changes_no_comparison_of_models() -> None:
    models = _with_wrong({"network": 13, "baseline": 4, "both": 7}, shift=13)
    wrong = np.where(np.arange(400) < 150, 1 - models.labels, models.labels)
    lexicon = Predictor("lexicon", "lexicon", np.stack([1.0 - wrong, wrong], axis=1))
    _, alone = compare_with_chosen(models.labels, models.of("baseline"), models.predictors)
    heading, beside = compare_with_chosen(models.labels, models.of("baseline"), [*models.predictors, lexicon])
    assert "corrected for 2 comparisons with models of the run and for 1 comparison with the lexicon" in heading
    sentences = pair_sentences(beside, "accuracy")
    assert sentences[:2] == pair_sentences(alone, "accuracy")
    assert "than lexicon: +36.5 points of accuracy on 400 tweets (95 % CI" in sentences[2]


def test_network_that_says_the_same_of_all_is_named(trained: RunDir, experiment: MakeExperiment) -> None:
    run = experiment(training__epochs=1, training__learning_rate=1e-6)
    run.complete()
    called = ("negative", "positive")[stored(run.run_dir, Result).only_label or 0]
    told = f"warning: the network predicts {called} for every validation tweet: it has learned nothing"
    assert told in invoke("evaluate", run.run_dir.path).output.splitlines()
    assert stored(trained, Result).only_label is None


@pytest.fixture(scope="module")
def imbalanced(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run on tweets of which three quarters are positive, with two further test sets, of which one is negative."""
    folder = tmp_path_factory.mktemp("imbalanced")
    tweets = [(int(number % 4 > 0), text) for number, (_, text) in enumerate(invented_tweets(400, seed=2))]
    table = write_tweets(folder / "tweets.csv", tweets)
    ours = write_tweets(folder / "ours.csv", invented_tweets(40, seed=9))
    theirs = write_tweets(folder / "theirs.csv", [(0, text) for _, text in invented_tweets(30, seed=7)])
    tests = {"ours": {"path": str(ours)}, "theirs": {"path": str(theirs)}}
    run = run_in(folder, small_config(table, training__epochs=1, data__labels="sad=0 happy=1", data__tests=tests))
    run.complete()
    return run.run_dir


def test_most_frequent_class_of_training_is_a_row_without_a_claim(imbalanced: RunDir) -> None:
    result = stored(imbalanced, Result)
    assert result.class_shares == [pytest.approx(0.25, abs=0.05), pytest.approx(0.75, abs=0.05)]
    shown = invoke("evaluate", imbalanced.path, "--all").output
    for part, metrics in result.scores["majority"].items():
        share = metrics.sizes[1] / metrics.n  # all are predicted to be positive
        assert (metrics.accuracy, metrics.recall[0]) == (share, 0)
        assert metrics.macro_f1 == pytest.approx(share / (1 + share))
        if part in ("test", "ours", "theirs"):
            row = re.findall("most frequent class .*", shown[shown.index(f"\n{part}, {metrics.n} ") :])[0].split()
            assert row[3] == f"{100 * share:.1f}"
            assert len(row) == 7  # nothing is cut off in 80 columns
    again, _ = _evaluate(imbalanced, imbalanced.results.root / "theirs.csv")
    assert again["models"]["most frequent class"]["accuracy"] == 0
    assert "happy " in invoke("predict", imbalanced.path, "so lovely and great").output


def test_run_in_another_language_has_neither_lexicon_nor_check_list(experiment: MakeExperiment, tmp_path: Path) -> None:
    run = experiment(training__epochs=1, data__language="de")
    assert run.complete().check_list == {}
    assert [*run.result.scores] == ["network", "baseline", "both", "majority"]
    table = write_tweets(tmp_path / "new.csv", invented_tweets(30, seed=7))
    for data in ((), ("--data", table, "--results", run.results.root)):
        done = invoke("evaluate", run.run_dir.path, "--out", tmp_path / "scores.json", *data)
        assert done.exit_code == 0, done.output
        assert "lexicon" not in done.output
        assert "check list" not in done.output
        models = json.loads((tmp_path / "scores.json").read_text())["models"]
        assert sorted(models) == sorted(PREDICTORS[kind] for kind in run.result.scores)
    assert "lexicon" not in model_card(open_run(run.run_dir.path))
    succeed("export", run.run_dir.path, tmp_path / "model.zip")
    assert open_stored(tmp_path / "model.zip").model("baseline").classify_texts(["gut"]).probabilities.shape == (1, 2)


TRAINED_ON = "the model was trained on this tweet, or on one that it copies"
WITH_USERS = ("label", "text", "user")
CHOSEN_BY = "the model was chosen by this validation tweet, or by one that it copies"
BY_AUTHOR = "the model was trained on other tweets of the author"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    folder = tmp_path_factory.mktemp("evaluated")
    rows = [(label, text, f"user{number % 300}") for number, (label, text) in enumerate(invented_tweets(600))]
    write_tweets(folder / "tweets.csv", rows, WITH_USERS)
    config = small_config(folder / "tweets.csv", training__epochs=1, data__columns__user="user")
    finished = run_in(folder, config)
    finished.complete()
    return finished.run_dir


def _evaluate(run_dir: RunDir, table: Path, *options: str) -> tuple[dict[str, Any], str]:
    target = table.with_suffix(".json")
    places = ("--data", table, "--results", run_dir.results.root, "--out", target)
    output = succeed("evaluate", run_dir.path, *places, *options)
    return json.loads(target.read_text()), output


def _corpus(run: RunDir) -> Corpus:
    return open_corpus(next((run.results.root / "data" / "corpora").glob("*/manifest.json")).parent)


def _own_tweets(run: RunDir, part: str) -> list[list[str]]:
    """Rows of label, text and user in the run's own table."""
    with open(run.results.root / "tweets.csv", encoding="utf-8", newline="") as file:
        (_, *rows) = csv.reader(file)
    return [rows[row] for row in _corpus(run).rows(part).tolist()]


def _new_tweets(count: int, seed: int = 7) -> list[tuple[int, str, str]]:
    """Rows of tweets and authors that the run does not know."""
    return [(label, text, f"new{number}") for number, (label, text) in enumerate(invented_tweets(count, seed))]


def test_of_its_own_table_a_model_is_scored_on_the_test_tweets_alone(run: RunDir) -> None:
    found, output = _evaluate(run, run.results.root / "tweets.csv")
    result, corpus = stored(run, Result), _corpus(run)
    parts = {part: metrics.n for part, metrics in result.metrics.items()}
    assert found["left_out"] == {TRAINED_ON: len(corpus.rows("train")), CHOSEN_BY: parts["validation"]}
    assert found["n"] == parts["test"]
    assert found["chosen"] == PREDICTORS[result.recommended]
    assert found["accuracy"] == pytest.approx(result.scores[result.recommended]["test"].accuracy)
    assert f"{len(corpus.rows('train'))} left out: {TRAINED_ON} (line " in output


def test_copies_and_authors_are_recognised_and_all_else_is_scored(run: RunDir, tmp_path: Path) -> None:
    trained, validated = _own_tweets(run, "train")[0], _own_tweets(run, "validation")[0]
    new = _new_tweets(30)
    table = [
        (trained[0], f"RT @bob: {trained[1].upper()} http://a.b", "somebody"),
        (validated[0], validated[1] + " !!", "somebody"),
        (0, "an awful meeting of another kind", f"@{trained[2].upper()}"),
        (1, "\u0416\u0416\u0416 \u0429\u0429\u0429", "other"),
        *new,
    ]
    found, output = _evaluate(run, write_tweets(tmp_path / "t.csv", table, WITH_USERS), "--with", "network")
    assert found["left_out"] == {TRAINED_ON: 1, CHOSEN_BY: 1, BY_AUTHOR: 1, NO_WORDS: 1}
    assert (found["n"], found["overlap"]) == (30, {})
    labels = np.array([label for label, *_ in new])
    for kind in MODEL_KINDS:
        probabilities = open_stored(run.path).model(kind).classify_texts([text for _, text, _ in new]).probabilities
        own = probabilities[np.arange(len(new)), labels]
        scores = found["models"][PREDICTORS[kind]]
        assert scores["accuracy"] == pytest.approx((own >= 0.5).mean())
        assert scores["loss"] == pytest.approx(-np.log(own).mean())
    assert f"1 left out: {NO_WORDS} (line 5)" in output


def test_copies_of_a_table_s_own_rows_change_nothing(run: RunDir, tmp_path: Path) -> None:
    rows = [(label, text) for label, text, _ in _new_tweets(150)]
    decorated = [(label, f"RT @someone: {text} #again") for label, text in rows]
    once, _ = _evaluate(run, write_tweets(tmp_path / "t.csv", rows))
    often, _ = _evaluate(run, write_tweets(tmp_path / "t.csv", [*rows, *rows[:70], *decorated]))
    copies = [each["left_out"].pop(COPY, 0) for each in (once, often)]
    assert copies[1] == copies[0] + 220
    assert often == once


def test_copies_with_different_labels_say_nothing_in_any_order_of_rows(run: RunDir, tmp_path: Path) -> None:
    rows = [(label, text) for label, text, _ in _new_tweets(150)]
    doubted = [(1 - label, f"RT @someone: {text} #again") for label, text in rows[:20]]
    alike = [(label, f"{text} ,,, via @lovely") for label, text in rows[20:60]]
    table = [*rows, *doubted, *alike]
    rng = random.Random(0)
    seen = []
    for order in (table, table[::-1], rng.sample(table, len(table))):
        written = write_tweets(tmp_path / "t.csv", order)
        found, output = _evaluate(run, written)
        added = succeed("add", "gpt", written, "--of", written, "--results", tmp_path / "results")
        assert "  40 left out: tweet with several labels (line " in output
        assert "  40 left out: tweet with several labels (line " in added
        assert "gpt: 170 of 170 labelled tweets" in added
        # Sums over tweets in another order differ in their last digits.
        seen.append(json.loads(json.dumps(found), parse_float=lambda number: round(float(number), 6)))
    assert len([*(tmp_path / "results" / "answers").iterdir()]) == 1
    assert seen[0] == seen[1] == seen[2]
    alone, _ = _evaluate(run, write_tweets(tmp_path / "t.csv", rows[20:]))
    assert seen[0]["accuracy"] == pytest.approx(alone["accuracy"])
    assert seen[0]["left_out"] == {"tweet with several labels": 40, COPY: 40}


def _shortened(text: str) -> str:
    return f"{' '.join(text.split()[:9])}\u2026"


DECORATIONS: dict[str, Callable[[str], str]] = {
    "via": lambda text: f"{text} via @daily",
    "via, in brackets, with a link": lambda text: f"{text} (via @daily) http://ex.am/ple",
    "passed on twice": lambda text: f"RT @amy: {text} via @daily via @weekly",
    "escapes": lambda text: text.replace(" ", " &amp;amp; ", 1),
    "cut": lambda text: f"RT @amy: {_shortened(text)}",
    "tagged": lambda text: f"#news {text} #more",
}


@pytest.mark.parametrize(("part", "reason"), [("train", TRAINED_ON), ("validation", CHOSEN_BY)])
def test_no_copy_of_what_a_model_learned_is_scored_or_chooses(
    run: RunDir, tmp_path: Path, part: str, reason: str
) -> None:
    long = [row for row in _own_tweets(run, part) if len(re.findall(r"\w+", row[1])) > 10]
    copies = [(label, f"{text} and so much more", "c") for label, text, _ in long if len(re.findall(r"\w+", text)) > 13]
    for (label, text, _), names in zip(cycle(long), permutations(DECORATIONS, 2), strict=False):
        first, second = (DECORATIONS[name] for name in names)
        copies += [(label, first(text), "a"), (label, second(first(text)), "b")]
    new = _new_tweets(120)
    found, output = _evaluate(run, write_tweets(tmp_path / "t.csv", [*copies, *new], WITH_USERS))
    alone, _ = _evaluate(run, write_tweets(tmp_path / "new.csv", new, WITH_USERS))
    assert (found["n"], found["left_out"], found["overlap"]) == (120, {reason: len(copies)}, {})
    assert found["use"] == alone["use"]
    assert f"{len(copies)} left out: {reason} (line 2, 3, 4" in output


def test_table_of_copies_alone_is_refused_and_they_are_listed(run: RunDir, tmp_path: Path) -> None:
    trained = _own_tweets(run, "train")[:150]
    table = write_tweets(
        tmp_path / "t.csv", [(label, f"{text} via @daily", "a") for label, text, _ in trained], WITH_USERS
    )
    places = ("--data", table, "--results", run.results.root)
    message = f"no row is left to score a model on; left out: 150 {TRAINED_ON}"
    assert message in refused(1, "evaluate", run.path, *places)
    assert message in refused(
        1, "evaluate", run.path, *places, "--sheet", tmp_path / "sheet.csv", "--text-column", "text"
    )
    succeed("evaluate", run.path, *places, "--copies", tmp_path / "copies.csv", "--text-column", "text")
    listed = pd.read_csv(tmp_path / "copies.csv")
    assert listed["id"].tolist() == [*range(2, 152)]  # their lines, as the table has no ids
    pd.read_csv(table).assign(tweet_id=[f"t{number}" for number in range(150)]).to_csv(table, index=False)
    succeed("evaluate", run.path, *places, "--copies", tmp_path / "copies.csv", "--text-column", "text")
    listed = pd.read_csv(tmp_path / "copies.csv")
    assert listed["id"].tolist() == [f"t{number}" for number in range(150)]
    assert listed["line"].tolist() == [*range(2, 152)]
    assert listed["tweet_of_run"].tolist() == [text for _, text, _ in trained]


def test_own_labels_choose_the_model_and_the_threshold_of_the_line_that_is_printed(run: RunDir, tmp_path: Path) -> None:
    texts = [text for _, text, _ in _new_tweets(400, seed=5)]
    positive = open_stored(run.path).model("baseline").classify_texts(texts).probabilities[:, 1]
    labels = (positive >= np.quantile(positive, 0.2)).astype(int).tolist()  # there, positive is said more readily
    new = [(label, text, f"new{number}") for number, (label, text) in enumerate(zip(labels, texts, strict=True))]
    found, _ = _evaluate(run, write_tweets(tmp_path / "new.csv", new, WITH_USERS))
    own = [row for part in PARTS for row in _own_tweets(run, part)]
    both, output = _evaluate(run, write_tweets(tmp_path / "both.csv", [*new, *own], WITH_USERS))
    assert both["overlap"] == {OWN_TEST: both["n"] - found["n"]}
    assert both["use"] == found["use"]  # the run's own test tweets choose nothing
    (line,) = [line for line in output.splitlines() if line.startswith("use it")]
    _, _, *options, _ = shlex.split(line.removeprefix("use it"))
    file = tmp_path / "labelled.csv"
    done = invoke("predict", *options, "--file", tmp_path / "new.csv", "--out", file, "--text-column", "text")
    assert done.exit_code == 0, done.output
    assert file.read_text().count(",positive,") == sum(labels)


def test_threshold_that_matches_the_shares_is_used_where_it_helps() -> None:
    labels = np.arange(400) % 2
    noise = np.random.default_rng(1).normal(0, 0.1, 400)
    shifted = np.clip(0.3 + 0.3 * labels + noise, 0, 1)
    hidden = np.where(labels == 0, 0.1, np.where(np.arange(400) < 200, 0.05, 0.9))  # many positive tweets look worst
    for positive, helps in ((shifted, True), (np.clip(shifted + 0.05, 0, 1), False), (hidden + noise / 10, False)):
        kinds: tuple[ModelKind, ...] = ("network", "baseline", "both")
        tweets = AnswerTable(np.arange(400), labels, [_predictor(kind, positive) for kind in kinds])
        decision = decide("t.csv", tweets, "accuracy", "network")
        assert decision.matching is not None
        assert decision.matching.predicted.sum() == 200
        assert decision.used.kind == "network"
        assert (decision.used.threshold == decision.matching.threshold) == helps
        (line,) = [line for line in decision_lines(decision, "run") if line.startswith("threshold")]
        assert ("or fewer tweets are right with it" in line) != helps
    one_class = replace(tweets, labels=np.ones(400, int))
    assert decide("t.csv", one_class, "accuracy").matching is None


def test_too_few_tweets_to_choose_by_are_counted() -> None:
    none_left = AnswerTable(np.arange(0), np.arange(0), [])
    with pytest.raises(UsageError, match="0 tweets are left to choose a model by, but 100 are needed"):
        decide("t.csv", none_left, "accuracy")


@pytest.mark.parametrize(
    ("only_best", "verdict"),
    [
        (170, "is significantly better than the network: "),
        (60, "more labels would be likely to show it."),
        (51, "It would take more than 20,000 labels to show so small a difference."),
        (50, "They are equally good on these labels."),
    ],
)
def test_verdict_says_what_the_labels_show_and_how_many_would_show_more(only_best: int, verdict: str) -> None:
    rows = np.arange(1_000)
    labels = rows % 2
    best = np.where(rows < 50, 0.4, 0.9)
    other = np.where((rows >= 50) & (rows < 50 + only_best), 0.4, 0.9)
    of_label: dict[ModelKind, npt.NDArray[np.float64]] = {"network": other, "baseline": best, "both": best}
    predictors = [_predictor(kind, np.where(labels == 1, right, 1 - right)) for kind, right in of_label.items()]
    decision = decide("t.csv", AnswerTable(rows, labels, predictors), "accuracy")
    assert (decision.used.kind, decision.choice.differing) == ("baseline", 50 + only_best)
    first, corrected_for, *others = choice_sentences(decision.choice)
    assert "corrected for all 3 pairs: 98.3 % intervals in place of 95 %." in corrected_for
    assert all("98.3 % CI" in sentence for sentence in others if "points" in sentence)
    equal = "network and both" if only_best == 50 else "both"
    assert first == f"baseline has the highest estimated accuracy on t.csv, and so has {equal}."
    assert verdict in next(sentence for sentence in others if " network: " in sentence)


def test_without_its_corpus_a_run_says_that_it_cannot_tell(run: RunDir, tmp_path: Path) -> None:
    moved = RunDir(Path(shutil.copytree(run.results.root, tmp_path / "copy")) / run.path.relative_to(run.results.root))
    shutil.rmtree(tmp_path / "copy" / "data")
    found, output = _evaluate(moved, write_tweets(tmp_path / "t.csv", _new_tweets(50), WITH_USERS))
    assert found["knows_training"] is False
    assert "cannot exclude training tweets" in output.replace("\n", " ")


def test_threshold_of_evaluation_is_that_of_models_and_not_of_the_lexicon(run: RunDir, tmp_path: Path) -> None:
    rows = _new_tweets(200, seed=5)
    table = write_tweets(tmp_path / "new.csv", rows, WITH_USERS)
    usual, _ = _evaluate(run, table)
    unnamed, _ = _evaluate(run, write_tweets(tmp_path / "unnamed.csv", [row[:2] for row in rows]))
    assert unnamed["accuracy"] == usual["accuracy"]
    lenient, output = _evaluate(run, table, "--threshold", "0")
    assert (usual["threshold"], lenient["threshold"]) == (0.5, 0)
    positive = sum(label for label, *_ in rows) / len(rows)
    assert lenient["accuracy"] == pytest.approx(positive) != usual["accuracy"]
    assert lenient["loss"] == usual["loss"]  # of probabilities, which no threshold changes
    lexicon = PREDICTORS["lexicon"]
    assert lenient["models"][lexicon] == usual["models"][lexicon]
    gap = lenient["accuracy"] - lenient["models"][lexicon]["accuracy"]
    ((sign, points),) = re.findall(rf" {lexicon}: ([+\u2212])([\d.]+) points of accuracy", output)
    assert float(points) * (1 if sign == "+" else -1) == pytest.approx(100 * gap, abs=0.06)


@pytest.mark.parametrize("option", ["--out", "--settle"])
@pytest.mark.parametrize("role", ["--data", "--labelled"])
def test_no_file_that_is_read_is_overwritten(trained: RunDir, tmp_path: Path, option: str, role: str) -> None:
    table = write_tweets(tmp_path / "t.csv", [("1", "a lovely day")] * 3)
    sheet = write_tweets(tmp_path / "s.csv", [("share1-", "a lovely day", "positive")], ("id", "text", "label"))
    read = {"--data": table, "--labelled": sheet}
    link = tmp_path / "link"
    link.symlink_to(read[role])
    contents = {path: path.read_bytes() for path in read.values()}
    words = [word for name, path in read.items() if name in ("--data", role) for word in (name, path)]
    assert f"{link}: is a file that is read" in refused(2, "evaluate", trained.path, *words, option, link)
    assert {path: path.read_bytes() for path in read.values()} == contents


def test_screen_of_a_run_says_what_one_needs_in_twenty_lines_and_all_else_when_asked(trained: RunDir) -> None:
    lines = succeed("evaluate", trained.path).splitlines()
    assert len(lines) <= 20
    assert [line for line in lines if line.startswith("used by predict: ")]
    assert not [line for line in lines if "validation" in line and line.startswith("validation,")]
    everything = succeed("evaluate", trained.path, "--all")
    for words in ("validation,", "most frequent class", "check list"):
        assert words in everything
        assert words not in "\n".join(lines[:-1])


def test_table_without_labels_is_answered_with_the_command_that_draws_a_sheet(trained: RunDir, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,text\n" + "".join(f"{n},{text}\n" for n, text in enumerate(TEXTS)))
    said = refused(2, "evaluate", trained.path, "--data", tmp_path / "t.csv")
    assert f"--data {tmp_path / 't.csv'} --sheet which.html" in said
