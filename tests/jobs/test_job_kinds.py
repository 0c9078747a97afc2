"""The table of job kinds is the only place that knows one kind from another."""

import re
from pathlib import Path
from typing import get_args

import pytest

from jobs.job_kinds import JOB_KINDS, TRAINING, JobKind, KindName, jobs_needed
from jobs.slurm.resources import ClusterFile, Resources
from sentiment.console import Console, silent
from sentiment.runs.run_dir import Results
from sentiment.training.stop import StopRequest
from tests.small_runs import small_config

PACKAGE = Path(__file__).parents[2] / "jobs"
_ASKS_FOR_A_KIND = re.compile(rf"kind\b.*(==|!=|\bin\b).*['\"]({'|'.join(JOB_KINDS)})['\"]")


def test_no_other_module_asks_which_kind_a_job_is() -> None:
    assert _ASKS_FOR_A_KIND.search('if folder.submission.kind != "train":')
    found = [
        f"{path}:{number}: {line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "job_kinds.py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if _ASKS_FOR_A_KIND.search(line)
    ]
    assert found == []


def test_every_name_of_a_kind_has_its_row() -> None:
    assert tuple(JOB_KINDS) == get_args(KindName)


@pytest.mark.parametrize("kind", JOB_KINDS.values(), ids=lambda kind: kind.name)
def test_row_says_one_way_to_work_and_waits_only_for_rows_above(kind: JobKind) -> None:
    assert [kind.trains_runs, kind.work is not None, kind.final].count(True) == 1
    above = [*JOB_KINDS][: [*JOB_KINDS].index(kind.name)]
    assert set(kind.after) <= set(above)
    assert set(kind.resources) <= set(Resources.model_fields)
    assert kind.trains_runs or kind.name in ClusterFile.model_fields


def test_only_one_kind_trains_and_only_the_last_ends_a_chain() -> None:
    assert [kind.name for kind in JOB_KINDS.values() if kind.trains_runs] == [TRAINING.name]
    assert [kind.final for kind in JOB_KINDS.values()] == [False, False, False, False, False, True]


def test_runs_need_the_jobs_that_have_something_to_do_for_them(tweets_file: Path, results: Results) -> None:
    plain, elmo = small_config(tweets_file), small_config(tweets_file, elmo__model="tiny")
    needed = jobs_needed([plain, elmo], results)
    assert [config.data for config in needed["data"]] == [plain.data]  # one run for all on the same tweets
    assert (needed["cache"], needed["report"]) == ([elmo], [])
    assert set(jobs_needed([plain], results)) == {"data", "report"}


def test_vectors_are_learned_once_for_all_runs_on_them_by_a_job_between_tweets_and_training(
    tweets_file: Path, results: Results
) -> None:
    word2vec = {"embedding__pretrained": "word2vec", "vectors__epochs": 2}
    runs = [small_config(tweets_file, seed=seed, **word2vec) for seed in (1, 2)]
    fewer = small_config(tweets_file, data__train_rows=100, **word2vec)
    other = small_config(tweets_file, vectors__seed=2, **word2vec)
    needed = jobs_needed([*runs, fewer, other], results)
    assert needed["vectors"] in ([runs[1], other], [fewer, other])
    assert JOB_KINDS["vectors"].after == ("data",)
    assert "vectors" in TRAINING.after
    kind = JOB_KINDS["vectors"]
    assert kind.work is not None
    assert kind.progress(results) == 0
    said: list[str] = []
    assert kind.work(needed["vectors"], results, StopRequest(), Console(said.append, silent)) is None
    assert kind.progress(results) == 4
    assert len(said) == 2
    assert "vectors" not in jobs_needed([*runs, fewer, other], results)


def test_a_job_that_learns_vectors_and_is_stopped_goes_on_and_its_epochs_are_its_progress(
    tweets_file: Path, results: Results
) -> None:
    config = small_config(tweets_file, embedding__pretrained="word2vec", vectors__epochs=3)
    kind, stop = JOB_KINDS["vectors"], StopRequest()
    assert kind.work is not None

    def progress(what: str, done: int, _total: int | None) -> None:
        if what.startswith("learning") and done:
            stop.end = 0  # the time is over, as soon as the second epoch begins

    reason = kind.work([config], results, stop, Console(lambda _line: None, progress))
    assert reason is not None
    assert reason.reason == "deadline"
    assert 1 <= kind.progress(results) < 3
    assert kind.work([config], results, StopRequest(), Console(lambda _line: None, silent)) is None
    assert kind.progress(results) == 3


def test_a_language_model_is_trained_once_for_all_runs_on_it_by_a_job_before_its_vectors_are_computed(
    tweets_file: Path, results: Results
) -> None:
    small = {"pretraining__epochs": 1, "pretraining__held_out": 20, "pretraining__min_count": 1}
    own = {"elmo__model": "pretrained/tiny"} | small
    runs = [small_config(tweets_file, seed=seed, **own) for seed in (1, 2)]
    other = small_config(tweets_file, pretraining__seed=2, **own)
    needed = jobs_needed([*runs, other], results)
    assert needed["pretrain"] == [runs[1], other]
    assert needed["cache"] == [*runs, other]
    assert JOB_KINDS["pretrain"].after == ("data",)
    assert "pretrain" in JOB_KINDS["cache"].after
    assert "pretrain" in TRAINING.after
    kind, stop = JOB_KINDS["pretrain"], StopRequest()
    assert kind.work is not None
    assert kind.progress(results) == 0

    def progress(what: str, done: int, _total: int | None) -> None:
        if what.startswith("epoch") and done == 2:
            stop.end = 0  # the time is over after two steps

    reason = kind.work(needed["pretrain"], results, stop, Console(lambda _line: None, progress))
    assert reason is not None
    assert reason.reason == "deadline"
    assert kind.progress(results) == 2
    assert kind.work(needed["pretrain"], results, StopRequest(), Console(lambda _line: None, silent)) is None
    assert kind.progress(results) > 2
    assert "pretrain" not in jobs_needed([*runs, other], results)
