"""The choice of a model by labels of tweets on which models differ: its estimates, and the commands."""

import json
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sentiment.answers.choose import choice_drawing, choose
from sentiment.answers.sheet import SKIPPED
from sentiment.answers.table import AnswerTable, Predictor
from sentiment.errors import UsageError
from sentiment.runs.run_dir import Results, RunDir
from sentiment.statistics.families import estimated
from sentiment.statistics.metrics import UNLABELLED, ClassIndices, Flags
from sentiment.statistics.paired import PairedCounts, PairedEvidence
from sentiment.statistics.stratified import StratifiedSample
from tests.benchmarks.bench_choice import World, measured
from tests.commands import invoke, succeed
from tests.small_runs import invented_tweets, run_in, small_config, write_tweets


@pytest.mark.parametrize(
    "world",
    [
        World(300, 0.3, 100, (0.5, 0.5)),
        World(3_000, 0.1, 200, (0.3, 0.5, 0.2)),
        World(20_000, 0.02, 200, (0.85, 0.15)),
    ],
    ids=str,
)
def test_intervals_of_scores_and_differences_hold_the_truth(world: World) -> None:
    for estimate, coverage in measured(world, 300).items():
        assert 0.925 < coverage < 0.995, estimate


_COUNTS = st.lists(st.sampled_from([0, 10, 25]), min_size=8, max_size=8)


def _sample(counts: list[int], times: int, sizes: tuple[int, int]) -> tuple[StratifiedSample, Flags, Flags]:
    """The labelled tweets, and which of them each of two predictors has right.

    Args:
        counts: of tweets for each class, stratum and whether the first predictor is right, where the predictors differ
            the second one is not, and is elsewhere.
        times: how often each of these tweets is there.
    """
    cells = np.array(list(product((0, 1), (0, 1), (0, 1))))
    label, stratum, right = cells[np.repeat(np.arange(8), np.array(counts) * times)].T
    first = right == 1
    return StratifiedSample(label, stratum, sizes), first, first ^ (stratum == 0)


@given(counts=_COUNTS.filter(any), unlabelled=st.integers(2, 5))
@example(counts=[0, 10, 0, 10, 0, 10, 0, 10], unlabelled=2)  # one predictor has all right
def test_nothing_is_surer_with_fewer_labels_of_the_same_tweets(counts: list[int], unlabelled: int) -> None:
    sizes = [0, 0]
    for number, count in enumerate(counts):
        sizes[number // 2 % 2] += unlabelled * count
    few, *compared = _sample(counts, 1, (sizes[0], sizes[1]))
    complete, *all_compared = _sample(counts, unlabelled, (sizes[0], sizes[1]))
    evidence = [
        (few.accuracy_difference(*compared), complete.accuracy_difference(*all_compared)),
        (few.recall_difference(*compared), complete.recall_difference(*all_compared)),
    ]
    for of_fewer, of_more in evidence:
        fewer = estimated(of_fewer)
        more = estimated(of_more)
        assert fewer.value == pytest.approx(more.value)
        assert fewer.p >= more.p
        assert fewer.high - fewer.low >= more.high - more.low > 0
    fewer, more = few.accuracy(compared[0]), complete.accuracy(all_compared[0])
    assert fewer.high - fewer.low > more.high - more.low > 0
    first, second = all_compared
    counts = PairedCounts(int((first & ~second).sum()), int((second & ~first).sum()), sum(sizes))
    assert evidence[0][1] == PairedEvidence((counts,))


@given(counts=_COUNTS.filter(any), unlabelled=st.integers(1, 5))
@example(counts=[0, 10, 25, 25, 0, 0, 0, 10], unlabelled=5)  # only the simple interval holds zero
def test_difference_of_recalls_is_significant_exactly_where_its_interval_excludes_zero(
    counts: list[int], unlabelled: int
) -> None:
    sizes = [0, 0]
    for number, count in enumerate(counts):
        sizes[number // 2 % 2] += unlabelled * count
    sample, *compared = _sample(counts, 1, (sizes[0], sizes[1]))
    difference = estimated(sample.recall_difference(*compared))
    assert (difference.p < 0.05) == (difference.low > 0 or difference.high < 0)


def _tweets(n: int, differing: int, seed: int = 0, one_wrong_in: int = 5) -> tuple[AnswerTable, ClassIndices]:
    """Predictions that differ on the first tweets; the better predictor is wrong on one in so many of these."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    simple = np.where(rng.random(n) < 0.8, truth, 1 - truth)
    better = simple.copy()
    is_better = np.arange(differing) % one_wrong_in != 0
    better[:differing] = np.where(is_better, truth[:differing], 1 - truth[:differing])
    simple[:differing] = 1 - better[:differing]
    texts = [f"tweet {number} of {seed}" for number in range(n)]
    answers = {"simple": simple, "better": better}
    predictors = [Predictor.of_classes(name, "added", classes, 2) for name, classes in answers.items()]
    return AnswerTable(np.arange(n), np.full(n, UNLABELLED), predictors, (), texts), truth


def _labelled(tweets: AnswerTable, truth: ClassIndices, count: int) -> AnswerTable:
    labels = np.full(len(truth), UNLABELLED)
    labelled = choice_drawing(tweets).order[:count]
    labels[labelled] = truth[labelled]
    return replace(tweets, labels=labels)


@pytest.mark.parametrize(("stratum", "where"), [(0, "on which the predictors differ"), (1, "that all label alike")])
def test_tweets_without_a_label_are_not_taken_for_tweets_that_do_not_exist(stratum: int, where: str) -> None:
    tweets, truth = _tweets(500, 200)
    labels = np.full(500, UNLABELLED)
    others = choice_drawing(tweets).strata_orders[1 - stratum][:60]
    labels[others] = truth[others]
    with pytest.raises(UsageError, match=f"no tweet {where} has a label"):
        choose("t.csv", replace(tweets, labels=labels), "accuracy")
    labels[choice_drawing(tweets).strata_orders[stratum][:3]] = SKIPPED  # none of them is of a class
    assert choose("t.csv", replace(tweets, labels=labels), "accuracy").skipped == 3


def test_equal_predictors_leave_the_simplest_and_more_labels_are_not_advised() -> None:
    tweets, truth = _tweets(2_000, 100)
    simple = tweets.predictors[0]
    equal = replace(tweets, predictors=[simple, replace(simple, name="same")])
    choice = choose("t.csv", _labelled(equal, truth, 80), "accuracy")
    assert choice.best == "simple"
    assert choice.labels_to_show == {"same": None}


@pytest.mark.parametrize("metric", ["accuracy", "macro_recall"])
def test_of_predictors_with_as_many_right_of_each_class_the_first_is_the_best(metric: str) -> None:
    size = 700
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 3, size)
        differ = rng.random(size) < 0.3
        answers = [truth.copy(), np.where(differ, (truth + 1) % 3, truth)]
        labelled = choice_drawing(_answered(truth, answers)).order[:150]
        for label in range(3):
            rows = [row for row in labelled if differ[row] and truth[row] == label]
            for row in rows[1::2]:  # each is right where the other is wrong, in turn
                answers[0][row], answers[1][row] = answers[1][row], answers[0][row]
            if len(rows) % 2:
                answers[0][rows[-1]], answers[1][rows[-1]] = (label + 1) % 3, (label + 2) % 3
        assert choose("t.csv", _labelled(_answered(truth, answers), truth, 150), metric).best == "first"


def _answered(truth: ClassIndices, answers: list[ClassIndices]) -> AnswerTable:
    names = ("first", "second")
    predictors = [Predictor.of_classes(name, "added", of_one, 3) for name, of_one in zip(names, answers, strict=True)]
    rows = [str(row) for row in range(len(truth))]
    return AnswerTable(np.arange(len(truth)), truth, predictors, rows, [f"tweet {row}" for row in rows])


def test_number_of_labels_that_is_told_shows_the_difference_in_four_of_five_draws() -> None:
    shown = []
    for seed in range(25):
        tweets, truth = _tweets(2_000, 1_000, seed, one_wrong_in=3)
        known = choose("t.csv", _labelled(tweets, truth, 1_200), "accuracy").labels_to_show["simple"]
        assert known is not None
        again = choose("t.csv", _labelled(tweets, truth, known), "accuracy")
        shown.append(again.best == "better" and again.differences["simple"].is_better)
    assert 0.6 < np.mean(shown) < 0.95


def test_tweets_of_no_class_are_left_out_of_the_scores() -> None:
    tweets, truth = _tweets(2_000, 400)
    labels = _labelled(tweets, truth, 200).labels
    first = choice_drawing(tweets).order[:200]
    every_third = [index for index in first if truth[index] == 1 and tweets.differ[index]][::3]
    labels[every_third] = SKIPPED
    choice = choose("t.csv", replace(tweets, labels=labels), "accuracy")
    assert choice.labels + choice.skipped == 200
    assert choice.skipped == len(every_third)
    of_class = labels >= 0
    differing = tweets.differ
    weights = np.where(differing, 400, 1_600) / np.where(differing, 150, 50)
    for predictor in tweets.predictors:
        expected = np.average(predictor.right(labels)[of_class], weights=weights[of_class])
        assert choice.accuracy[predictor.name].value == pytest.approx(expected, abs=0.002)


def test_choice_refuses_what_its_labels_cannot_carry() -> None:
    tweets, truth = _tweets(2_000, 100)
    with pytest.raises(UsageError, match="29 labelled tweets: at least 30"):
        choose("t.csv", _labelled(tweets, truth, 29), "accuracy")
    rare = np.where(np.arange(2_000) % 20 == 0, 1, 0)
    with pytest.raises(UsageError, match="its recall needs 10"):
        choose("t.csv", _labelled(tweets, rare, 60), "macro_recall")
    assert choose("t.csv", _labelled(tweets, rare, 60), "accuracy").macro_recall is None


Evaluate = Callable[..., Any]


@pytest.fixture
def evaluate(trained: RunDir, shared_results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """Runs the command on a table without labels, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    rows = invented_tweets(900, seed=11)
    pd.DataFrame({"text": [text for _, text in rows]}).to_csv("tweets.csv", index=False)
    return lambda *words: invoke(
        "evaluate", trained.path, "--results", shared_results.root, "--data", "tweets.csv", *words
    )


def test_evaluate_goes_from_an_unlabelled_table_to_a_choice(evaluate: Evaluate, trained: RunDir) -> None:
    done = evaluate("--sheet", "mine.csv", "--labels", 120)
    assert done.exit_code == 0, done.output
    assert "differ on" in done.output
    (command,) = (line for line in done.output.splitlines() if line.startswith("sentiment evaluate "))
    assert command.startswith("sentiment evaluate --labelled mine.csv")
    truth = {" ".join(text.split()): label for label, text in invented_tweets(900, seed=11)}
    table = pd.read_csv("mine.csv", encoding="utf-8-sig")
    table["label"] = [("negative", "positive")[truth[text]] for text in table["text"]]
    table.sort_values("text").to_csv("mine.csv", index=False)
    assert str(trained.results.root) in command
    done = invoke(*shlex.split(command)[1:], "--out", "choice.json")
    assert done.exit_code == 0, done.output
    stored = json.loads(Path("choice.json").read_text())
    assert f"{stored['best']} has the highest estimated accuracy on " in done.output
    assert f"sentiment predict {trained.path} --with " in done.output
    assert {*stored["differences"]} | {stored["best"]} == {"linear baseline", "network", "mean of both"}


def test_sheet_works_with_its_run_and_table_whatever_was_trained_since(
    tweets_file: Path, shared_results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shared_results.root / "data", "results/data")
    Path("sub").mkdir()
    rows = invented_tweets(300, seed=11)
    write_tweets(Path("sub/mine.csv"), rows)
    first = run_in(Path("results"), small_config(tweets_file, training__epochs=1))
    first.complete()
    for command, words in (("evaluate", ("--data", "sub/mine.csv")), ("share", ("sub/mine.csv",))):
        output = succeed(command, "last", *words, "--sheet", f"{command}.csv", "--text-column", "text")
        assert " last" not in output
        assert "0 labelled tweets: at least 30" in invoke(command, "--labelled", f"{command}.csv").output
        sheet = pd.read_csv(f"{command}.csv", encoding="utf-8-sig").assign(label="positive")
        sheet.loc[::2, "label"] = "negative"
        sheet.to_csv(f"{command}.csv", index=False)
    later = run_in(Path("results"), small_config(tweets_file, training__epochs=1, seed=7))
    later.complete()
    run = f"single/{first.run_dir.path.name}"
    for command in ("evaluate", "share"):
        assert f"labels for {run} and {tmp_path}/sub/mine.csv" in succeed(command, "--labelled", f"{command}.csv")
    assert f"labels for {run}" in succeed("evaluate", "last", "--labelled", "evaluate.csv")
    output = succeed("share", "last", "sub/mine.csv", "--labelled", "share.csv")
    assert f"labels for {run} and sub/mine.csv" in output
    # The labels of one sheet serve each run that is named.
    succeed("share", later.run_dir.path.name, "sub/mine.csv", "--sheet", "again.csv")
    for of in (first, later):
        name = of.run_dir.path.name
        succeed("share", name, "sub/mine.csv", "--labelled", "share.csv", "--out", name)
        assert json.loads(Path(name, "shares.json").read_text())["model"] == f"single/{name}"
    # And so they do answers that stand in a column.
    succeed("share", "sub/mine.csv", "--answers", "label", "--labelled", "share.csv", "--out", "answers")
    assert Path("answers", "shares.json").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--sheet", "mine.csv", "--with", "network"], "a table without labels takes"),
        (["--labelled", "tweets.csv"], "has 0 columns called 'id'"),
        (["--sheet", "tweets.csv"], "exists already"),
        (["--sheet", "mine.csv", "--labelled", "tweets.csv"], "so it takes neither --labelled nor --out"),
        (["--sheet", "mine.csv", "--out", "choice.json"], "so it takes neither --labelled nor --out"),
    ],
)
def test_sheet_options_that_do_not_fit_are_refused(evaluate: Evaluate, words: list[str], reason: str) -> None:
    done = evaluate(*words)
    assert done.exit_code == 2
    assert reason in done.output
