"""Several annotators: tweets that are dealt to them, how far they agree, and their labels together."""

import shlex
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from sentiment.answers.annotators import Dealing, labels_together, sheet_files
from sentiment.answers.sheet import SKIPPED, Drawing, read_labels, write_drawn
from sentiment.errors import DataError
from sentiment.statistics.metrics import UNLABELLED
from tests.commands import refused, succeed
from tests.small_runs import invented_tweets

CLASSES = ("negative", "positive")
MEANINGS = {"negative": 0, "positive": 1}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(1, 60),
    number=st.integers(2, 4),
    shared=st.none() | st.integers(0, 70),
    done=st.floats(0.05, 1),
    seed=st.integers(0, 9),
)
def test_annotators_share_the_first_tweets_and_split_the_others_and_may_stop_anywhere(
    size: int, number: int, shared: int | None, done: float, seed: int, tmp_path: Path
) -> None:
    strata = np.random.default_rng(seed).integers(0, 2, 60)
    drawing = Drawing("choice", [f"tweet {at}" for at in range(60)], strata)
    names = [f"name{at}" for at in range(number)]
    drawn = Dealing.of(size, names, shared, None)
    dealt = drawn.dealt(drawing.order)
    times = Counter(index for sheet in dealt for index in sheet)
    assert sorted(times) == sorted(drawing.order[:size])
    assert drawn.shared <= size  # as is printed, and asked for when more is drawn
    assert all(
        times[index] == (number if rank < drawn.shared else 1) for rank, index in enumerate(drawing.order[:size])
    )
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
    for file, indices in zip(sheet_files(tmp_path / "s.csv", names), dealt, strict=True):
        count = round(done * len(indices))
        file.unlink(missing_ok=True)
        write_drawn(file, drawing, indices, CLASSES, 0)
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        table["label"] = ["positive" if row < count else "" for row in range(len(table))]
        table.to_csv(file, index=False)
        assert np.flatnonzero(read_labels(file, drawing, MEANINGS, dealt) == 1).tolist() == sorted(indices[:count])
        of_first = [row for row in range(count) if strata[indices[row]] == strata[indices[0]]]
        if len(of_first) > 1:
            table.loc[0, "label"] = ""
            table.to_csv(file, index=False)
            with pytest.raises(DataError, match=r"has no label, but later ones have|was not dealt to this sheet"):
                read_labels(file, drawing, MEANINGS, dealt)


@given(
    st.lists(st.lists(st.sampled_from([UNLABELLED, SKIPPED, 0, 1, 2]), min_size=5, max_size=5), min_size=2, max_size=5)
)
def test_label_of_most_annotators_counts_and_a_tie_is_open(rows: list[list[int]]) -> None:
    together, is_open = labels_together({str(name): np.array(labels) for name, labels in enumerate(rows)})
    for tweet, given_labels in enumerate(zip(*rows, strict=True)):
        votes = Counter(label for label in given_labels if label != UNLABELLED)
        most = [label for label, count in votes.items() if 2 * count > votes.total()]
        assert together[tweet] == (most[0] if most else UNLABELLED)
        assert is_open[tweet] == (bool(votes) and not most)


@pytest.fixture
def truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "pd.Series[str]":
    """The labels of a table with the answers of a language model, by text."""
    monkeypatch.chdir(tmp_path)
    rows = invented_tweets(400, seed=5)
    labels = [CLASSES[label] for label, _ in rows]
    texts = [text for _, text in rows]
    gpt = [label if at % 5 else "positive" for at, label in enumerate(labels)]
    pd.DataFrame({"text": texts, "gpt": gpt}).to_csv("tweets.csv", index=False)
    return pd.Series(labels, [" ".join(text.split()) for text in texts])


def _label(name: str, truth: "pd.Series[str]", wrong_in: int) -> "pd.Series[str]":
    """Fill the sheet in, with another label for one in so many tweets."""
    sheet = pd.read_csv(f"mine-{name}.csv", encoding="utf-8-sig")
    labels = truth[sheet["text"].str.removeprefix("'")].to_numpy()
    swapped = np.where(labels == "positive", "negative", "positive")
    sheet["label"] = np.where(np.arange(len(sheet)) % wrong_in, labels, swapped)
    sheet.to_csv(f"mine-{name}.csv", index=False)
    return sheet.set_index("id")["label"]


def test_labels_of_a_table_that_was_moved_say_that_it_is_to_be_named(truth: "pd.Series[str]") -> None:
    succeed("share", "tweets.csv", "--answers", "gpt", "--sheet", "mine.csv")
    command = ("share", "--labelled", "mine.csv")
    Path("tweets.csv").rename("moved.csv")
    assert "tweets.csv: no such file; the tweets of mine.csv were drawn from it: name it as it is now" in refused(
        2, *command
    )
    assert "0 labelled tweets" in refused(2, *command, "moved.csv")


def test_two_annotators_come_to_shares_in_three_commands(truth: "pd.Series[str]") -> None:
    people = ("--for", "Ann", "--for", "Carl", "--shared", 60, "--labels", 120, "--results", "elsewhere")
    output = succeed("share", "tweets.csv", "--answers", "gpt", "--sheet", "mine.csv", *people)
    command = output.splitlines()[-1]
    assert command == "sentiment share --labelled mine-Ann.csv --labelled mine-Carl.csv --results elsewhere"
    ann = _label("Ann", truth, 11)
    carl = _label("Carl", truth, 7)
    assert "was drawn by `sentiment share`, which" in refused(2, "evaluate", *shlex.split(command)[2:])
    both = ann.index.intersection(carl.index)
    assert (len(both), len(ann), len(carl)) == (60, 90, 90)
    differ = int((ann[both] != carl[both]).sum())
    message = refused(2, *shlex.split(command)[1:])
    assert f"annotators gave different labels to {differ} tweets" in message
    output = succeed(*shlex.split(command)[1:], "--settle", "settle.csv")
    kappa = cohen_kappa_score(ann[both], carl[both])
    assert f"mine-Ann, mine-Carl 60 {100 * (1 - differ / 60):.1f}% {kappa:.2f}" in " ".join(output.split())
    assert "of the labels of this class, by either of the two, those that the other gave as well" in output
    assert "label, for each of them (" in output  # what is not settled is refused below
    settled = pd.read_csv("settle.csv", encoding="utf-8-sig")
    assert sorted(settled["id"]) == sorted(both[ann[both] != carl[both]])
    lines = settled["own_id"].str.extract(r"(\d+)")[0].astype(int)
    assert truth.index[lines - 2].tolist() == settled["text"].str.removeprefix("'").tolist()
    settled["label"] = truth[settled["text"].str.removeprefix("'")].to_numpy()
    settled.iloc[1:].to_csv("settle.csv", index=False)
    assert "annotators gave different labels to 1 tweet;" in refused(2, *shlex.split(output.splitlines()[-1])[1:])
    settled.to_csv("settle.csv", index=False)
    output = succeed(*shlex.split(output.splitlines()[-1])[1:])
    assert output.index("kappa") < output.index("share in %")
    shares = pd.read_csv("shares/shares.csv", index_col=["group", "class"]).loc["all"]
    assert shares["labels"].tolist() == [120, 120]
    rest = [ann.drop(both), carl.drop(both), settled.set_index("id")["label"]]
    expected = (
        sum((labels == "positive").sum() for labels in rest) + (ann[both][ann[both] == carl[both]] == "positive").sum()
    )
    assert shares["labels_of_class"]["positive"] == expected


def test_a_quarter_of_a_table_with_fewer_tweets_than_are_asked_for_is_shared(truth: "pd.Series[str]") -> None:
    people = ("--for", "Ann", "--for", "Carl", "--labels", 5_000)
    output = succeed("share", "tweets.csv", "--answers", "gpt", "--sheet", "mine.csv", *people)
    assert "mine-Ann.csv: 250 tweets in random order, 100 of them on each sheet" in output


def test_annotators_keep_what_they_were_dealt(truth: "pd.Series[str]") -> None:
    words = ("share", "tweets.csv", "--answers", "gpt", "--labels", 100)
    succeed(*words, "--sheet", "mine.html", "--for", "Ann", "--for", "Carl")
    assert Path("mine-Ann.html").exists()
    message = refused(2, *words, "--sheet", "other.html", "--for", "Ann", "--for", "Ben")
    assert "these tweets were dealt with --for Ann --for Carl --shared 25" in message
    assert "mine-Ann.html: exists already" in refused(
        2, *words, "--sheet", "mine.html", "--for", "Ann", "--for", "Carl"
    )
    assert not Path("other-Ann.html").exists()
