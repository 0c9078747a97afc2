"""Answers are joined by tweet: one that knows all labels is right everywhere, whatever was trained and tested on."""

import csv
import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from sentiment.config_file import resolve
from sentiment.data.corpus import prepare_corpus
from sentiment.data.text import TweetForms, key_of
from sentiment.inference.added import NamedColumns, Tweets, add_predictions, write_tweets
from sentiment.inference.stored import open_run
from sentiment.runs.run_dir import Results
from tests import small_runs
from tests.report.made_up import Study

_WORDS = ("sun", "rain", "tea", "bus", "cat", "song", "game", "code", "snow", "lake", "road", "moon")
_COPIES = (str, str.upper, "{} !!".format, "RT @bob: {}".format)


_forms = cache(TweetForms)


def _key(text: str) -> int:
    return key_of(_forms().of(text))


def _tweets(rng: random.Random, numbers: range) -> list[tuple[str, str]]:
    """Texts with their labels; some are there twice, as copies that differ in what is no part of a tweet."""
    chosen = [*numbers, *rng.choices(numbers, k=len(numbers) // 5)]
    rng.shuffle(chosen)
    rows = []
    for number in chosen:
        words = " ".join(random.Random(number).choices(_WORDS, k=6))
        label = "04"[random.Random(-number).random() < 0.5]
        rows.append((rng.choice(_COPIES)(f"{words} number{number}"), label))
    return rows


@settings(
    max_examples=4, phases=(Phase.explicit, Phase.reuse, Phase.generate), suppress_health_check=[HealthCheck.too_slow]
)
@given(
    seed=st.integers(0, 10**6),
    folds=st.sampled_from([None, 2, 3]),
    train_rows=st.sampled_from([None, 40]),
    options=st.sets(st.sampled_from(["a further test set", "a further training table", "stop words"])),
    by_sheet=st.booleans(),
)
@example(7, 3, 40, {"a further test set", "a further training table", "stop words"}, False)
@example(8, 2, None, {"a further test set"}, True)
def test_oracle_is_right_about_every_tweet_of_every_report(
    seed: int, folds: int | None, train_rows: int | None, options: set[str], by_sheet: bool
) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        main, tests, extra = (_tweets(rng, range(*numbers)) for numbers in ((0, 240), (100, 260), (200, 300)))
        for file, rows in (("main.csv", main), ("tests.csv", tests), ("extra.csv", extra)):
            small_runs.write_tweets(folder / file, rows, ("text", "label"))
        data: dict[str, Any] = {"source": str(folder / "main.csv"), "train_rows": train_rows, "folds": folds}
        if "a further test set" in options:
            data["tests"] = {"others": {"path": str(folder / "tests.csv")}}
        if "a further training table" in options:
            data["extra_train"] = [{"path": str(folder / "extra.csv")}]
        study = Study(Results(folder / "results"))
        run_dirs = []
        for fold in range(1, folds + 1) if folds else [None]:
            for words in ("none", "all") if "stop words" in options else ("none",):
                of_fold = data | {"fold": fold, "text": {"stop_words": words}}
                config = resolve({"data": of_fold, "training": {"epochs": 4}}, {"model.hidden_size": 8}, "a test")
                run_dirs.append(study.complete(config, corpus=prepare_corpus(config.data, study.results)))
        answered = _add_oracle(run_dirs[rng.randrange(len(run_dirs))].path, folder, main, by_sheet)
        findings = study.findings()
        assert not findings.problems
        labels = {_key(text): label == "4" for text, label in main}
        oracles = [oracle for dataset in findings.datasets for oracle in dataset.added]
        assert [oracle.accuracy.value for oracle in oracles] == [1] * (len(oracles) or 1)
        assert all(answered >= oracle.metrics.n > 0 for oracle in oracles)
        tested = findings.answers.tweets
        assert [labels[tweet] for tweet in tested.tweets.tolist()] == tested.labels.tolist()
        for row in findings.best.tweets.to_dict("records"):
            assert labels[_key(str(row["text"]))] == (row["label"] == 1)


def _add_oracle(run: Path, folder: Path, main: list[tuple[str, str]], by_sheet: bool) -> int:
    """Add the labels of the main table, or of the sheet of a run, as predictions; return how many were given."""
    answers = folder / "answers.csv"
    if by_sheet:
        # Of a cross-validated run with a further training table the sheet has that table's tweets too.
        labels = {_key(text): label for text, label in main}
        write_tweets(Tweets.of_run(open_run(run)), folder / "sheet.csv")
        with open(folder / "sheet.csv", encoding="utf-8", newline="") as file:
            filled = [(row["id"], labels.get(_key(row["text"]), "4")) for row in csv.DictReader(file)]
        small_runs.write_tweets(answers, filled, ("id", "label"))
    else:
        small_runs.write_tweets(answers, main, ("text", "label"))
    metadata = {"note": "", "annotator": False, "cost": None, "seconds": None}
    add_predictions(Tweets.of_run(open_run(run)), "oracle", answers, NamedColumns(), None, metadata)
    return len(main)
