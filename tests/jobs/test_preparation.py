"""Tweets that no run has prepared yet are prepared before any run of a grid starts."""

from pathlib import Path
from typing import Any

from jobs.grids.requirements import unprepared
from sentiment.config import RunConfig
from sentiment.data.corpus.corpus import prepare_corpus
from sentiment.models.baseline import linear_baseline
from sentiment.runs.run_dir import Results
from tests.small_runs import small_config


def test_one_run_stands_for_tweets_that_lack_their_corpus_or_their_baseline(
    tweets_file: Path, results: Results
) -> None:
    def configs(**changes: Any) -> list[RunConfig]:
        return [small_config(tweets_file, seed=seed, **changes) for seed in (1, 2)]

    plain, cased = configs(), configs(data__text__lowercase=False)
    assert [config.data for config in unprepared([*plain, *cased], results)] == [plain[0].data, cased[0].data]
    corpus = prepare_corpus(plain[0].data, results)
    assert len(unprepared(plain, results)) == 1
    linear_baseline(corpus)
    assert [config.data for config in unprepared([*plain, *cased], results)] == [cased[0].data]
