"""The labels of test tweets decide nothing: where each of them is turned round, the test's scores alone change."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sentiment.config import RunConfig
from sentiment.console import silent
from sentiment.data.corpus import prepare_corpus
from sentiment.inference.stored import load_model
from sentiment.models import baseline as fitting
from sentiment.runs.records import Part, Result
from sentiment.runs.run_dir import TWEETS_FILE, Results, RunDir
from tests.small_runs import TWEETS, Digest, Experiment, invented_tweets, small_config, write_tweets

Finished = tuple[RunDir, Result, Digest]


def _finished(tweets: Path, folder: Path) -> Finished:
    run = Experiment(small_config(tweets), Results(folder / "results"), RunDir(folder / "run"))
    digest, result = run.complete(), run.run_dir.read(Result)
    assert result
    return run.run_dir, result, digest


def _test_texts(config: RunConfig, results: Results) -> set[str]:
    corpus = prepare_corpus(config.data, results, silent)
    return set(pq.read_table(corpus.path / TWEETS_FILE)["text"].take(corpus.rows("test")).to_pylist())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Finished]:
    """A run, and the same one on tweets whose test labels are turned round; validation tweets choose the penalty."""
    folder = tmp_path_factory.mktemp("labels")
    tweets = invented_tweets(TWEETS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_FEW", 10)
        patch.setattr(fitting, "_STRENGTHS", (0.001, 0.25))  # the first is best where labels are wrong, else the second
        first = _finished(write_tweets(folder / "tweets.csv", tweets), folder / "first")
        tested = _test_texts(small_config(folder / "tweets.csv"), Results(folder / "first" / "results"))
        turned = write_tweets(folder / "turned.csv", ((label ^ (text in tested), text) for label, text in tweets))
        return first, _finished(turned, folder / "second")


@pytest.mark.parametrize("model", ["metrics", "baseline", "combination", "lexicon"])
def test_labels_turned_round_change_the_tests_scores_alone(runs: tuple[Finished, Finished], model: str) -> None:
    first, turned = (getattr(result, model) for _, result, _ in runs)
    parts: tuple[Part, ...] = ("train", "validation")
    assert [first[part] for part in parts] == [turned[part] for part in parts]
    assert turned["test"].accuracy == pytest.approx(1 - first["test"].accuracy)


def test_labels_of_test_tweets_choose_nothing(runs: tuple[Finished, Finished]) -> None:
    (first_dir, first, digest), (turned_dir, turned, other_digest) = runs
    assert digest == other_digest
    assert first.baseline_settings["C_chosen_by"] == "validation"
    for chosen in ("best_epoch", "overfit", "temperatures", "baseline_settings", "recommended"):
        assert getattr(first, chosen) == getattr(turned, chosen)
    assert load_model(first_dir).name == load_model(turned_dir).name
