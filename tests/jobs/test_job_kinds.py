"""The table of job kinds is the only place that knows one kind from another."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from jobs.services import JOB_KINDS, JobKind, KindName, services_needed, unprepared
from jobs.slurm.resources import ClusterFile, Resources
from sentiment.console import Console, silent
from sentiment.data.corpus import prepare_corpus
from sentiment.runs.run_dir import Results
from sentiment.training.experiment import prepare_data
from sentiment.training.stop import StopRequest
from tests.small_runs import small_config

PACKAGE = Path(__file__).parents[2] / "jobs"
_ASKS_FOR_A_KIND = re.compile(rf"kind\b.*(==|!=|\bin\b).*['\"]({'|'.join(JOB_KINDS)})['\"]")


def test_no_other_module_asks_which_kind_a_job_is() -> None:
    assert _ASKS_FOR_A_KIND.search('if folder.submission.kind != "train":')
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "services.py"]
    assert [path for path in files if any(map(_ASKS_FOR_A_KIND.search, path.read_text().splitlines()))] == []


@pytest.mark.parametrize("kind", JOB_KINDS.values(), ids=lambda kind: kind.name)
def test_row_says_one_way_to_work_and_waits_only_for_rows_above(kind: JobKind) -> None:
    assert tuple(JOB_KINDS) == get_args(KindName)
    assert [kind.trains_runs, any(kind.function), kind.final].count(True) == 1
    above = [*JOB_KINDS][: [*JOB_KINDS].index(kind.name)]
    assert set(kind.after) <= set(above)
    assert set(kind.resources) <= set(Resources.model_fields)
    assert kind.trains_runs or kind.name in ClusterFile.model_fields


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


def test_vectors_are_learned_once_for_all_runs_on_them_and_anew_after_a_stop(
    tweets_file: Path, results: Results
) -> None:
    word2vec = {"embedding__pretrained": "word2vec", "vectors__epochs": 3}
    runs = [small_config(tweets_file, seed=seed, **word2vec) for seed in (1, 2)]
    other = small_config(tweets_file, vectors__seed=2, **word2vec)
    needed, kind, stop = services_needed([*runs, other], results), JOB_KINDS["vectors"], StopRequest()
    assert needed["vectors"] == [runs[1], other]
    assert "vectors" in JOB_KINDS["train"].after
    assert kind.progress(results) == 0

    def progress(what: str, done: int, _total: int | None) -> None:
        if what.startswith("learning") and done:
            stop.end = 0  # the time is over, as soon as the second epoch begins

    reason = kind.work(needed["vectors"], results, stop, Console(lambda _line: None, progress))
    assert reason is not None
    assert reason.reason == "deadline"
    assert kind.progress(results) == 0
    assert kind.work(needed["vectors"], results, StopRequest(), Console(lambda _line: None, silent)) is None
    assert kind.progress(results) > 0
    assert "vectors" not in services_needed([*runs, other], results)


def test_a_language_model_is_trained_once_for_all_runs_on_it_before_its_vectors_are_computed(
    tweets_file: Path, results: Results
) -> None:
    small = {"pretraining__epochs": 1, "pretraining__held_out": 20, "pretraining__min_count": 1}
    runs = [small_config(tweets_file, seed=seed, elmo__model="pretrained/tiny", **small) for seed in (1, 2)]
    needed, kind, stop = services_needed(runs, results), JOB_KINDS["pretrain"], StopRequest()
    assert (needed["pretrain"], needed["cache"]) == ([runs[1]], runs)
    assert "pretrain" in JOB_KINDS["cache"].after
    assert kind.progress(results) == 0

    def progress(what: str, done: int, _total: int | None) -> None:
        if what.startswith("epoch") and done == 2:
            stop.end = 0  # the time is over after two steps

    reason = kind.work(needed["pretrain"], results, stop, Console(lambda _line: None, progress))
    assert reason is not None
    assert kind.progress(results) == 2
    assert kind.work(needed["pretrain"], results, StopRequest(), Console(lambda _line: None, silent)) is None
    assert kind.progress(results) > 2
    assert "pretrain" not in services_needed(runs, results)
