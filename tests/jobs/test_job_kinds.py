"""What each kind of job does for the runs that need it."""

from pathlib import Path
from typing import Any

import pytest

from jobs.services import JOB_KINDS, KindName, services_needed, unprepared
from sentiment.console import Console, silent
from sentiment.data.corpus import prepare_corpus
from sentiment.runs.run_dir import Results
from sentiment.training.experiment import prepare_data
from sentiment.training.stop import StopRequest
from tests.small_runs import small_config


def test_one_run_stands_for_tweets_that_lack_their_corpus_or_their_baseline(
    tweets_file: Path, results: Results
) -> None:
    def configs(**changes: Any) -> Any:
        return [small_config(tweets_file, seed=seed, **changes) for seed in (1, 2)]

    plain, cased = configs(), configs(data__text__lowercase=False)
    assert [config.data for config in unprepared([*plain, *cased], results)] == [plain[0].data, cased[0].data]
    prepare_corpus(plain[0].data, results)
    assert len(unprepared(plain, results)) == 1
    prepare_data(plain[0], results, silent)
    assert [config.data for config in unprepared([*plain, *cased], results)] == [cased[0].data]


PRETRAINED = {"elmo__model": "pretrained/tiny", "pretraining__epochs": 1, "pretraining__min_count": 1}
WORD2VEC = {"embedding__pretrained": "word2vec", "vectors__epochs": 3}


@pytest.mark.parametrize(
    ("name", "changes", "other", "said", "saved"),
    [
        ("vectors", WORD2VEC, {"vectors__seed": 2}, "learning", 0),
        ("pretrain", PRETRAINED, {"pretraining__held_out": 20}, "epoch", 2),
    ],
)
def test_service_works_once_for_all_runs_that_need_the_same_and_goes_on_after_a_stop(
    tweets_file: Path, results: Results, name: KindName, changes: Any, other: Any, said: str, saved: int
) -> None:
    runs = [small_config(tweets_file, seed=seed, **changes) for seed in (1, 2)]
    differs = small_config(tweets_file, **changes | other)
    needed, kind, stop = services_needed([*runs, differs], results), JOB_KINDS[name], StopRequest()
    assert needed[name] == [runs[1], differs]
    assert name in JOB_KINDS["train" if name == "vectors" else "cache"].after
    assert kind.progress(results) == 0

    def progress(what: str, done: int, _total: int | None) -> None:
        if what.startswith(said) and done >= max(saved, 1):
            stop.end = 0  # the time is over

    reason = kind.work(needed[name], results, stop, Console(lambda _line: None, progress))
    assert reason is not None
    assert reason.reason == "deadline"
    assert kind.progress(results) == saved
    assert kind.work(needed[name], results, StopRequest(), Console(lambda _line: None, silent)) is None
    assert kind.progress(results) > saved
    assert name not in services_needed([*runs, differs], results)
