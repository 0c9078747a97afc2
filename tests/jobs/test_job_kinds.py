"""What each kind of job does for the runs that need it."""

from pathlib import Path
from typing import Any

from jobs.services import JOB_KINDS, services_needed, unprepared
from sentiment.console import Console, silent
from sentiment.data.corpus import prepare_corpus
from sentiment.runs.run_dir import Results
from sentiment.training.preparation import prepare_data
from sentiment.training.stop import StopRequest
from tests.small_runs import small_config


def test_one_run_stands_for_tweets_that_lack_corpus_or_baseline(tweets_file: Path, results: Results) -> None:
    def configs(**changes: Any) -> Any:
        return [small_config(tweets_file, seed=seed, **changes) for seed in (1, 2)]

    plain, cased = configs(), configs(data__text__lowercase=False)
    assert [config.data for config in unprepared([*plain, *cased], results)] == [plain[0].data, cased[0].data]
    prepare_corpus(plain[0].data, results)
    assert len(unprepared(plain, results)) == 1
    prepare_data(plain[0], results, silent)
    assert [config.data for config in unprepared([*plain, *cased], results)] == [cased[0].data]


def test_vectors_are_learned_once_for_all_that_need_them_and_after_a_stop(tweets_file: Path, results: Results) -> None:
    changes: dict[str, Any] = {"embedding__pretrained": "word2vec", "vectors__epochs": 3}
    runs = [small_config(tweets_file, seed=seed, **changes) for seed in (1, 2)]
    differs = small_config(tweets_file, **changes, vectors__seed=2)
    needed, kind, stop = services_needed([*runs, differs], results), JOB_KINDS["vectors"], StopRequest()
    assert needed["vectors"] == [runs[1], differs]
    assert "vectors" in JOB_KINDS["train"].after

    def progress(what: str, _done: int, _total: int | None) -> None:
        if what.startswith("learning"):
            stop.end = 0  # the time is over

    reason = kind.work(needed["vectors"], results, stop, Console(lambda _line: None, progress))
    assert reason is not None
    assert reason.reason == "deadline"
    assert kind.progress(results) == 0
    assert kind.work(needed["vectors"], results, StopRequest(), Console(lambda _line: None, silent)) is None
    assert kind.progress(results) > 0
    assert "vectors" not in services_needed([*runs, differs], results)
