"""Shares of classes: intervals by simulation, the sheet from the sample to its labels, and what is refused."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sentiment import load
from sentiment.answers.share import times_of
from sentiment.answers.shares import show_shares
from sentiment.data.corpus import open_corpus
from sentiment.errors import DataError, UsageError
from sentiment.predicting.stored import open_run
from sentiment.runs.run_dir import Results, RunDir
from sentiment.statistics.metrics import UNLABELLED
from sentiment.statistics.shares import (
    estimate_shares,
    labelled_shares,
    labels_needed,
    recalibrate,
    strata_of,
)
from tests.benchmarks.bench_share import World, measured
from tests.commands import invoke, succeed
from tests.small_runs import invented_tweets

CLASSES = ("negative", "positive")
SIZE = 600
DAYS = 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "world",
    [
        World("good", 0.1, 2, 200),
        World("good", 0.5, 3, 1_000),
        World("biased", 0.5, 2, 200),
        World("overconfident", 0.1, 3, 50),
    ],
    ids=str,
)
def test_intervals_of_shares_hold_the_truth_and_are_no_wider_than_those_of_labels_alone(world: World) -> None:
    quality = measured(world, 500)
    assert quality.coverage.min() > 0.925
    assert quality.coverage.max() < 0.98
    assert quality.width.max() < 1.02
    if world.model == "good":
        assert quality.width.max() < 0.9


def test_recalibration_finds_how_far_a_model_is_biased_and_overconfident() -> None:
    rng = np.random.default_rng(1)
    odds = rng.normal(2, 2, 4_000)
    truth = rng.random(len(odds)) < 1 / (1 + np.exp(1 - 0.7 * odds))
    fit = recalibrate(np.stack([~truth, truth], axis=1) * 1.0, np.stack([-odds, odds], axis=1))
    assert fit.intercept == pytest.approx([1, -1], abs=0.15)
    assert fit.slope == pytest.approx([0.7, 0.7], abs=0.07)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "shares", "each"),
    [
        ([2_000, 400, 400], [0.05, 0.8, 0.9], 30),  # the class is rare in the group that counts most
        ([200] * 15 + [5] * 4, [0.1, 0.5, 0.7] * 5 + [0.4] * 4, 5),  # as if the person had stopped early
    ],
)
def test_intervals_of_groups_and_of_all_hold_the_truth_though_each_group_has_as_many_labels(
    sizes: list[int], shares: list[float], each: int
) -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    truth = np.array(rng.random(len(groups)) < np.repeat(shares, sizes), int)
    bias = np.repeat(np.resize([-1.0, 0.0, 2.0], len(sizes)), sizes)  # the model errs differently in each
    positive = 1 / (1 + np.exp(-3 * (truth - 0.5) - bias - rng.normal(size=len(truth))))
    probabilities = np.stack([1 - positive, positive], axis=1)
    strata = strata_of(groups.tolist())
    true = pd.Series(truth).groupby(groups).mean()
    true.loc["all"] = truth.mean()
    of_all, of_groups = [], []
    for _ in range(40):
        labels = np.full(len(truth), UNLABELLED)
        for stratum in range(strata.max() + 1):
            rows = rng.permutation(np.flatnonzero(strata == stratum))[:each]
            labels[rows] = truth[rows]
        estimate = estimate_shares(probabilities, labels, CLASSES, groups, strata).xs("positive", level="class")
        estimate = estimate[estimate["labels"] >= 30]
        holds = (estimate["share_low"] <= true[estimate.index]) & (true[estimate.index] <= estimate["share_high"])
        of_all.append(holds["all"])
        of_groups += [*holds.drop("all")]
    assert np.mean(of_all) > 0.92
    assert not of_groups or np.mean(of_groups) > 0.93


@pytest.mark.parametrize(("of_second", "is_bound"), [(4, True), (5, False), (35, False), (36, True)])
def test_share_with_only_a_bound_says_why(of_second: int, is_bound: bool, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.full(100, UNLABELLED)
    labels[:40] = np.arange(40) < of_second
    show_shares(estimate_shares(np.full((100, 2), 0.5), labels, CLASSES))
    shown = capsys.readouterr().out
    assert ("at most " in shown) == is_bound
    assert ("fewer than 5 labels are of the class, or of all others" in shown) == is_bound


def test_labels_needed_give_an_interval_of_that_width() -> None:
    for tweets, half_width in ((10**9, 0.1), (300, 0.05), (60, 0.1)):
        n = labels_needed(tweets, half_width)
        outcomes = np.eye(2)[np.arange(2 * (n // 2)) % 2]
        shares = labelled_shares(outcomes, np.zeros(2), np.zeros(2), tweets)
        assert (shares.high - shares.low)[0] / 2 == pytest.approx(half_width, rel=0.05)


def test_labels_are_worth_what_the_adjusted_r_squared_of_the_predictions_says() -> None:
    rng, n, tweets = np.random.default_rng(1), 30, 3000
    positive = np.arange(n) % 3 == 0
    outcomes = np.stack([~positive, positive], axis=1).astype(float)
    predicted = np.clip(0.2 + 0.6 * outcomes + 0.1 * rng.normal(size=(n, 2)), 0, 1)
    r_squared = 1 - np.var(outcomes - predicted, axis=0) / np.var(outcomes, axis=0)
    adjusted = 1 - (1 - r_squared) * (n - 1) / (n - 2)
    expected = (tweets - n) / (tweets - 1) * (1 - adjusted * 10 / 12) / n
    unit = labelled_shares(outcomes, predicted, predicted.mean(axis=0), tweets).unit
    assert unit == pytest.approx(expected)


def test_answers_that_are_no_class_are_counted_for_none() -> None:
    labels = np.where(np.arange(200) < 60, np.arange(200) % 3, UNLABELLED)
    probabilities = np.eye(3)[np.arange(200) % 3]
    probabilities[2::3] = 0
    shares = estimate_shares(probabilities, labels, list("xyz")).loc["all"]
    assert shares["counted"].tolist() == pytest.approx([67 / 200, 67 / 200, 0])
    assert shares["share"].tolist() == pytest.approx([67 / 200, 67 / 200, 66 / 200], abs=0.02)


def test_share_is_exact_where_all_are_labelled_and_a_bound_where_a_class_is_rare() -> None:
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet((1, 1, 1), size=100)
    labels = np.repeat([0, 1, 2], [60, 37, 3])
    shares = estimate_shares(probabilities, labels, list("xyz")).loc["all"]
    assert shares.loc["x", ["share", "share_low", "share_high"]].tolist() == pytest.approx([0.6] * 3)
    assert (np.isnan(shares["share"]["z"]), shares["share_low"]["z"]) == (True, 0)
    labels[::2] = UNLABELLED
    shares = estimate_shares(probabilities, labels, list("xyz")).loc["all"]
    assert 0 == shares["share_low"]["z"] < 0.03 < shares["share_high"]["z"] < 0.2
    assert shares["share_low"]["x"] < shares["share"]["x"] < shares["share_high"]["x"]


@pytest.mark.parametrize("classes", [2, 3])
def test_shares_add_up_to_1_and_do_not_depend_on_the_order_of_classes(classes: int) -> None:
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(range(1, classes + 1), size=300)
    labels = np.where(rng.random(300) < 0.4, rng.integers(0, classes, 300), UNLABELLED)
    shares = estimate_shares(probabilities, labels, range(classes))["share"].to_numpy()
    turned = np.where(labels == UNLABELLED, labels, classes - 1 - labels)
    assert shares.sum() == pytest.approx(1, abs=1e-12)
    assert estimate_shares(probabilities[:, ::-1], turned, range(classes))["share"].to_numpy() == pytest.approx(
        shares[::-1]
    )


def test_classes_of_answers_are_those_of_the_whole_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answers = [*CLASSES] * 1_050 + ["neutral"] * 7
    table = pd.DataFrame({"text": [f"tweet number {number}" for number in range(len(answers))], "gpt": answers})
    table.to_csv("tweets.csv", index=False)
    output = invoke("share", "tweets.csv", "--answers", "gpt").output
    assert "negative" in output
    assert f"7 {7 / len(answers):6.1%}" in output
    assert "without an answer" not in output


@pytest.fixture(scope="module")
def tweets() -> pd.DataFrame:
    """A third of the tweets is positive; there is a date, and a last day with few tweets."""
    rows = invented_tweets(2 * SIZE, seed=3)
    kept = [row for number, row in enumerate(rows) if row[0] == 0 or number % 4 == 1][:SIZE]
    day = np.minimum(np.arange(SIZE) * DAYS // (SIZE - 20), DAYS)
    times = [f"2026-03-0{1 + number} 0{number}:30:00+00:00" for number in day.tolist()]
    table = pd.DataFrame({"text": [text for _, text in kept], "created_at": times})
    table["truth"] = [CLASSES[label] for label, _ in kept]
    return table


Share = Callable[..., Any]


@pytest.fixture
def share(trained: RunDir, tweets: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Share:
    """Runs the command on the file of tweets, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    tweets.drop(columns="truth").to_csv("tweets.csv", index=False)
    return lambda *words: invoke("share", trained.path, "tweets.csv", *words)


def _labelled(tweets: pd.DataFrame, count: int) -> pd.DataFrame:
    """The sheet with labels in its first rows, as a person would save it."""
    rows = pd.read_csv("sample.csv", encoding="utf-8-sig")
    label_of = dict(zip(tweets["text"], tweets["truth"], strict=True))
    rows["label"] = [label_of[text] if number < count else "" for number, text in enumerate(rows["text"])]
    rows.to_csv("labelled.csv", index=False)
    return rows


def test_share_goes_from_a_sheet_to_shares_by_day(share: Share, tweets: pd.DataFrame, trained: RunDir) -> None:
    by_day = ("--by", "created_at", "--per", "day")
    done = share(*by_day, "--sheet", "few.csv", "--labels", 100)
    assert "--labels 100: 140 are needed, 30 of each group, and of the smaller ones together" in done.output
    done = share(*by_day, "--sheet", "sample.csv", "--labels", 300)
    assert done.exit_code == 0, done.output
    assert "for \u00b1 10" in done.output
    assert "1 smaller group" in done.output
    needed = [int(words) for words in re.findall(r"all tweets +600 +300 +(\d+) +(\d+) +(\d+)", done.output)[0]]
    assert needed == sorted(needed)
    assert needed[1] > labels_needed(600, 0.1)  # more than at random, since the days are not equally large
    _labelled(tweets, 280)
    days = [f"2026-03-0{number}" for number in range(1, DAYS + 2)]
    done = share(*by_day, "--labelled", "labelled.csv", "--out", "out")
    assert done.exit_code == 0, done.output
    shares = pd.read_csv("out/shares.csv", index_col=["group", "class"])
    assert shares.index.unique("group").tolist() == ["all", *days]
    assert shares["labels"].tolist() == [280, 280, *[65] * 8, 20, 20]
    assert shares["share"].isna().tolist() == [False] * 10 + [True] * 2
    assert f"{days[-1]} (" in done.output
    truth = (tweets["truth"] == "positive").mean()
    whole = shares.loc[("all", "positive")]
    assert whole["share_low"] < truth < whole["share_high"]
    assert f"{600 * whole['share']:,.0f} {600 * whole['share_low']:,.0f}-" in done.output
    stored = json.loads(Path("out/shares.json").read_text())
    assert [row["share"] for row in stored["shares"][:2]] == pytest.approx(shares["share"].iloc[:2].tolist())
    assert "1 Mar 2026" in Path("out/shares.svg").read_text()
    other = share("--labelled", "labelled.csv", "--with", "both", "--out", "out")
    assert "out: holds the shares of another file or model" in other.output
    again = invoke("share", "--labelled", "labelled.csv", "--out", "again")  # the sheet knows model, file and days
    assert again.exit_code == 0, again.output
    assert Path("again/shares.csv").read_text() == Path("out/shares.csv").read_text()
    tweets.head(500).drop(columns="truth").to_csv("other.csv", index=False)
    other = invoke("share", trained.path, "other.csv", "--labelled", "labelled.csv")
    assert "drawn from other tweets or groups" in other.output


def test_sheet_of_an_exported_model_is_remembered_wherever_the_file_is(
    share: Share, tweets: pd.DataFrame, trained: RunDir
) -> None:
    model = Path("runs/mine/model.zip")
    model.parent.mkdir(parents=True)
    succeed("export", trained.path, model)
    succeed("share", model, "tweets.csv", "--by", "created_at", "--per", "day", "--sheet", "sample.csv")
    _labelled(tweets, 200)
    assert "2026-03-02" in succeed("share", model, "tweets.csv", "--labelled", "labelled.csv")


def test_sheets_of_different_drawings_are_not_read_together(share: Share, tweets: pd.DataFrame) -> None:
    share("--sheet", "all.csv", "--labels", 100)
    share("--by", "created_at", "--per", "day", "--sheet", "days.csv")
    together = invoke("share", "--labelled", "all.csv", "--labelled", "days.csv")
    assert (together.exit_code, together.output.count("all.csv and days.csv")) == (2, 1)
    assert "are sheets of different drawings, and each is given by itself" in together.output


def test_labels_of_tweets_that_the_model_learned_estimate_no_share(
    share: Share, tweets: pd.DataFrame, trained: RunDir, shared_results: Results
) -> None:
    run = open_run(trained.path, shared_results.root)
    corpus = open_corpus(run.results.corpus_dir(run.record.data_fingerprint))
    learned = corpus.texts().take(corpus.rows("train")[:40]).to_pylist()
    copies = pd.DataFrame({"text": [f"{text} via @daily" for text in learned], "truth": "positive"})
    mixed = pd.concat([tweets.drop(columns="created_at"), copies.head(20)])
    mixed[["text"]].to_csv("tweets.csv", index=False)
    share("--sheet", "sample.csv", "--labels", 300)
    _labelled(mixed, 300)
    done = share("--labelled", "labelled.csv", "--out", "out20", "--results", shared_results.root)
    assert done.exit_code == 0, done.output
    assert "left out: 20 tweets of 620 that the model was trained on" in done.output
    shares = json.loads(Path("out20/shares.json").read_text())["shares"]
    assert {row["tweets"] for row in shares} == {600}
    pd.concat([mixed, copies.tail(20)])[["text"]].to_csv("tweets.csv", index=False)
    done = share("--sheet", "other.csv", "--labels", 300, "--results", shared_results.root)
    assert done.exit_code == 1
    assert "has 40 tweets of 640 that the model was trained on" in done.output
    (command,) = re.findall("`sentiment (.*)` lists", done.output)
    succeed(*shlex.split(command))
    assert len(pd.read_csv("copies.csv")) == 40
    assert not Path("other.csv").exists()


def test_groups_may_be_asked_for_by_a_sheet_that_was_drawn_from_all(share: Share, tweets: pd.DataFrame) -> None:
    share("--sheet", "sample.csv", "--labels", 200)
    _labelled(tweets, 200)
    done = share("--labelled", "labelled.csv", "--by", "created_at", "--per", "day")
    assert done.exit_code == 0, done.output
    assert pd.read_csv("shares/shares.csv")["labels"].nunique() > 2  # as many as happened to be drawn


def test_answers_in_a_column_are_the_predictor_without_a_model(
    tweets: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answers = tweets["truth"].where(tweets.index % 7 > 0, "negative").where(tweets.index % 50 > 0, "no idea")
    tweets.drop(columns="truth").assign(gpt=answers).to_csv("tweets.csv", index=False)
    words = ("tweets.csv", "--answers", "gpt", "--classes", "negative positive")
    assert "error: tweets.csv: no column 'llm'" in invoke("share", "tweets.csv", "--answers", "llm").output
    counted = invoke("share", *words)
    assert "12 tweets without an answer that is a class" in counted.output
    assert "left out" not in counted.output
    assert f"{(answers == 'positive').sum()}" in counted.output
    assert invoke("share", *words, "--sheet", "sample.csv").exit_code == 0
    _labelled(tweets, 200)
    done = invoke("share", *words, "--labelled", "labelled.csv")
    assert done.exit_code == 0, done.output
    shares = pd.read_csv("shares/shares.csv", index_col=["group", "class"]).loc["all"]
    truth = (tweets["truth"] == "positive").mean()
    assert shares["share_low"]["positive"] < truth < shares["share_high"]["positive"]
    assert 300 < shares["worth"]["positive"] < 600
    assert "a FILE alone" in invoke("share", "model.zip", *words).output


def test_group_of_a_single_tweet_has_its_name(share: Share, tweets: pd.DataFrame) -> None:
    tweets.head(1).assign(town="Ulm").to_csv("tweets.csv", index=False)
    assert re.search(r"^  Ulm +1 +", share("--by", "town").output, re.MULTILINE)
    towns = tweets.head(40).assign(town=[*["[Ulm]"] * 39, "all tweets"])
    towns.to_csv("tweets.csv", index=False)
    assert re.search(r"^  all tweets +40 .*\n  \[Ulm\] +39 .*\n  all tweets +1 ", share("--by", "town").output, re.M)
    assert "1 smaller group" in share("--by", "town", "--sheet", "sample.csv").output


def test_what_no_labels_could_estimate_is_refused_before_they_are_given(share: Share, tweets: pd.DataFrame) -> None:
    tweets.head(29).to_csv("tweets.csv", index=False)
    assert "29 tweets are too few: at least 30 labels" in share("--sheet", "sample.csv").output
    tweets.assign(town=["all", "Ulm"] * (len(tweets) // 2)).to_csv("tweets.csv", index=False)
    assert "'all' is the name of all tweets" in share("--by", "town", "--sheet", "sample.csv").output
    tweets.assign(town=[f"town {number // 29}" for number in range(len(tweets))]).to_csv("tweets.csv", index=False)
    assert "no group has 30 tweets" in share("--by", "town", "--sheet", "sample.csv").output
    assert not Path("sample.csv").exists()


def test_tweets_without_a_group_are_in_none() -> None:
    labels = np.arange(100) % 2
    groups = ["day", float("nan")] * 50
    shares = estimate_shares(np.eye(2)[labels], labels, CLASSES, groups)
    assert set(shares.index.get_level_values(0)) == {"all", "day"}


def test_share_without_labels_is_counted_and_says_how_to_go_on(share: Share) -> None:
    done = share()
    assert done.exit_code == 0
    assert "biased" in done.output
    by_day = share("--by", "created_at", "--per", "day")
    rows = [line.split() for line in by_day.output.splitlines() if line.startswith("  ")]
    rows = [row for row in rows if row[:1] in (["all"], ["2026-03-01"], ["2026-03-05"])]
    counted = {row[0]: [int(row[place]) for place in (-5, -4, -2)] for row in rows}
    assert counted["2026-03-01"][0] == 145
    assert all(tweets == negative + positive for tweets, negative, positive in counted.values())
    by_month = share("--by", "created_at", "--per", "month").output
    assert {line.split()[0] for line in by_month.splitlines() if line.startswith("  2026")} == {"2026-03"}
    (command,) = (line for line in done.output.splitlines() if line.startswith("sentiment share "))
    assert invoke(*command.replace("'", "").split()[1:]).exit_code == 0
    assert "What does this tweet express?" in Path("sample.html").read_text()


def test_share_by_command_is_that_of_the_library_whatever_the_order_of_the_table(
    share: Share, tweets: pd.DataFrame, trained: RunDir
) -> None:
    share("--sheet", "sample.csv", "--labels", 100)
    rows = _labelled(tweets, 100)
    tweets[::-1].drop(columns="truth").to_csv("tweets.csv", index=False)
    assert share("--labelled", "labelled.csv").exit_code == 0
    shares = pd.read_csv("shares/shares.csv", index_col=["group", "class"])
    labels = tweets["truth"].where(tweets["text"].isin(rows["text"]))
    by_library = load(trained.path).share(tweets["text"], labels)
    assert shares.to_numpy() == pytest.approx(by_library.to_numpy())


def test_share_of_the_library_names_a_label_that_is_no_class(trained: RunDir, tweets: pd.DataFrame) -> None:
    model = load(trained.path)
    labels = tweets["truth"].where(tweets.index < 40).replace({"positive": "fine"})
    with pytest.raises(ValueError, match="'fine', which is none of"):
        model.share(tweets["text"], labels)
    with pytest.raises(ValueError, match="for each of the 600 texts"):
        model.share(tweets["text"], labels[:-1])
    with pytest.raises(UsageError, match="at least 30"):
        model.share(tweets["text"], tweets["truth"].where(tweets.index < 29))


@pytest.mark.parametrize(
    ("dates", "days"),
    [
        (["03/04/2015", "", "25/04/2015"], ["2015-04-03", None, "2015-04-25"]),
        (["04/03/2015", "04/25/2015"], ["2015-04-03", "2015-04-25"]),
        (["2015-04-03", "2015-04-25T23:00:00-02:00"], ["2015-04-03", "2015-04-26"]),
        (["Fri Apr 03 22:19:45 +0000 2015", "Sat Apr 25 00:00:00 +0000 2015"], ["2015-04-03", "2015-04-25"]),
        (["Fri Apr 03 22:19:45 PDT 2015"], ["2015-04-04"]),
        (["Fri Apr 03 16:19:45 PST 2015"], ["2015-04-04"]),
        (["04/04/2015"], ["2015-04-04"]),
        (["4/3/2015 11:30 PM", "4/25/2015 2:05 am"], ["2015-04-03", "2015-04-25"]),
        (["4/3/15 2:30:59PM", "4/25/15 12:00:00AM"], ["2015-04-03", "2015-04-25"]),
        (["3.4.15", "25.4.15"], ["2015-04-03", "2015-04-25"]),
    ],
)
def test_dates_of_a_column_are_read_in_one_way(dates: list[str], days: list[str | None]) -> None:
    times = times_of(dates, None, "a column")
    assert times.dt.strftime("%Y-%m-%d").astype(object).where(times.notna(), None).tolist() == days


def test_dates_that_can_be_read_in_two_ways_are_asked_for() -> None:
    dates = ["03/04/2015", "05/06/2015"]
    with pytest.raises(UsageError, match="'03/04/2015' is 4 March 2015 with --month-first, and 3 April 2015 with --d"):
        times_of(dates, None, "a column")
    assert [times_of(dates, day_first, "a column").dt.month.tolist() for day_first in (True, False)] == [[4, 6], [3, 5]]
    with pytest.raises(DataError, match="a column: '25/04/2015' is not a date that is written as the first one"):
        times_of([*dates, "25/04/2015"], False, "a column")
    with pytest.raises(DataError, match="a column: '04/25/2015' is not a date"):
        times_of(["25/04/2015", "04/25/2015"], None, "a column")


def test_year_of_two_digits_that_may_stand_first_or_last_is_asked_for() -> None:
    for dates in (["15-02-24", "15-03-01"], ["24-02-15 10:30", ""]):
        with pytest.raises(UsageError, match=f"a column: '{dates[0]}' may begin or end with its year"):
            times_of(dates, None, "a column")
    assert times_of(["24-02-15"], True, "a column").dt.year.tolist() == [2015]


@pytest.mark.parametrize("dates", [["25/04/2015", "03/04/2015"], ["3.4.15", "25.4.15"], ["25-4-2015 1:30 PM"]])
def test_dates_that_contradict_the_stated_order_are_refused_in_any_order_of_rows(dates: list[str]) -> None:
    for rows in (dates, dates[::-1]):
        with pytest.raises(DataError, match="a column: '25"):
            times_of(rows, False, "a column")
        assert times_of(rows, True, "a column").dt.month.eq(4).all()


@pytest.mark.parametrize(
    ("dates", "said"),
    [
        (["10:30", "22:45:10"], "'10:30' is not a date, such as 2015-02-24"),
        (["3:04 PM"], "'3:04 PM' is not a date"),
        (["today", "yesterday"], "'today' is not a date"),
        (["2015", "2016"], "'2015' is not a date"),  # with --per month all tweets would be of January
        (["2015-02", "2015-03"], "'2015-02' is not a date"),  # with --per week all tweets would be of its first week
        (["2015-02-24", "2015-03"], "'2015-03' is not a date that is written as the first one"),
        (["1424736000", "1424736001"], "'1424736000' is not a date, such as 2015-02-24"),
        (["2015-02-24", "24 Feb 2015"], "'2015-02-24'|'24 Feb 2015' is not a date that is written as the first one"),
    ],
)
def test_times_alone_and_numbers_are_no_dates(dates: list[str], said: str) -> None:
    with pytest.raises(DataError, match=f"a column: ({said})"):
        times_of(dates, None, "a column")
