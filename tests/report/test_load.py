"""Run directories in every state, broken ones among them: all are named, and none stops the report."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from report.analysis.datasets import datasets
from report.build import build_report
from report.read.load import Run, load_study
from sentiment.config_file import resolve
from sentiment.errors import RunDirError, UsageError
from sentiment.run_dir import Results, RunDir
from tests.report.made_up import BASE, Study, attempt, new_record


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Empty."""
    return Study(Results(tmp_path / "results"))


def _only_run(study: Study) -> Run:
    (run,) = load_study(study.results, []).runs
    return run


def _report(study: Study, folder: Path) -> str:
    build_report(study.results, [], folder)
    return (folder / "report.md").read_text(encoding="utf-8")


def test_nothing_to_report_is_a_clear_message(study: Study) -> None:
    with pytest.raises(RunDirError, match="holds no run to report yet; `make run` trains one"):
        load_study(study.results, [])


def test_unknown_grid_is_refused_with_those_that_there_are(invented: Results) -> None:
    with pytest.raises(UsageError, match=r"--grid nowhere: .* has attention, elmo, rnn, stop_words, sweep"):
        load_study(invented, ["nowhere"])


def test_every_state_is_told(invented: Results) -> None:
    runs = load_study(invented, ["rnn"]).runs
    assert [run.state for run in runs] == ["completed"] * 8 + ["failed", "stopped", "interrupted", "missing"]
    assert [run.detail for run in runs[8:]] == [
        "DivergedError: the loss ran away",
        "signal: SIGTERM",
        "its process on node-1 died without a word",
        "has not begun",
    ]


def test_run_whose_lock_has_a_heartbeat_is_running(study: Study) -> None:
    run_dir = study.run_dir(config := resolve(BASE, {}, "base"))
    run_dir.create(config)
    run_dir.write_record(new_record(config, attempts=[attempt(end=None, reason=None, last_step=None)]))
    run_dir.lock_file.write_text("{}")
    assert _only_run(study).state == "running"
    long_ago = time.time() - 3600
    os.utime(run_dir.lock_file, (long_ago, long_ago))
    assert _only_run(study).state == "interrupted"


def test_study_without_any_result_says_so(study: Study, tmp_path: Path) -> None:
    study.write_grid("rnn", "Which?", {"seed": [1, 2]}, [{"seed": 1}, {"seed": 2}])
    text = _report(study, tmp_path / "out")
    assert "No run is completed yet, so there is no answer yet." in text
    assert "None of its 2 runs is completed." in text
    assert "2 of 2 runs have no result: 2 missing." in text


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _future(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99, "mood": "good"}))


def _delete(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("damage", "file", "message"),
    [
        (_truncate, "result.json", "is not a valid record"),
        (_truncate, "run.json", "is not a valid record"),
        (_truncate, "config.json", "is not a configuration of this version"),
        (_future, "result.json", "has schema version 99, this program reads 1"),
        (_future, "run.json", "has schema version 99, this program reads 1"),
        (_delete, "config.json", "holds no config.json"),
        (_delete, "run.json", "run.json is missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__.strip("_"),
)
def test_broken_run_is_named_and_the_others_are_reported(
    study: Study, tmp_path: Path, damage: Callable[[Path], None], file: str, message: str
) -> None:
    good, bad = (study.complete(resolve(BASE, {"seed": seed}, "base")) for seed in (1, 2))
    damage(bad.path / file)
    states = {run.run_id: run for run in load_study(study.results, []).runs}
    assert states[good.path.name].state == "completed"
    assert states[bad.path.name].state == "broken"
    assert message in states[bad.path.name].detail
    text = _report(study, tmp_path / "out")
    assert "1 of 2 runs have no result: 1 broken." in text
    assert message.replace("_", r"\_") in text.split("What could not be read")[1]


@pytest.mark.parametrize(
    ("damage", "file"),
    [
        (_delete, "predictions.parquet"),
        (_truncate, "predictions.parquet"),
        (_delete, "metrics.jsonl"),
        (lambda path: path.write_text('{"kind": "epoch"}\n'), "metrics.jsonl"),
        (lambda path: path.write_text("no json\n"), "metrics.jsonl"),
        (_delete, "attention.jsonl"),
        (lambda path: path.write_text("[1]\n"), "attention.jsonl"),
    ],
)
def test_run_without_a_readable_file_is_still_reported(
    study: Study, tmp_path: Path, damage: Callable[[Path], None], file: str
) -> None:
    run_dir = study.complete(resolve(BASE, {"model.pooling": "attention"}, "base"))
    damage(run_dir.path / file)
    text = _report(study, tmp_path / "out")
    assert "of test tweets right" in text
    assert file.replace("_", r"\_") in text.split("What could not be read")[1]


def test_half_written_last_row_of_a_metric_log_is_left_out(study: Study, tmp_path: Path) -> None:
    run_dir = study.complete(resolve(BASE, {}, "base"))
    with open(run_dir.metrics_file, "a") as file:
        file.write('{"kind": "ep')
    assert "What could not be read" not in _report(study, tmp_path / "out")


def test_broken_plan_is_named_and_its_runs_are_reported(study: Study, tmp_path: Path) -> None:
    (config,) = study.write_grid("rnn", "Which?", {}, [{}])
    study.complete(config, "rnn")
    study.results.grid_file("rnn").write_text("{")
    text = _report(study, tmp_path / "out")
    assert "of test tweets right" in text
    assert "grid.json" in text.split("What could not be read")[1]


def test_texts_that_are_not_on_this_machine_are_missed_with_a_word(study: Study, tmp_path: Path) -> None:
    run_dir = study.complete(resolve(BASE, {}, "base"))
    record = RunDir(run_dir.path).read_record()
    assert record
    (study.results.corpus_dir(record.data_fingerprint) / "tweets.parquet").unlink()
    text = _report(study, tmp_path / "out")
    assert "so mistakes and groups can't be shown" in text
    assert "Confusion matrices" in text


@pytest.mark.parametrize(
    ("source", "record", "is_sentiment140"),
    [
        ("my/sentiment140.csv", {"dataset": "table"}, False),
        ("my/sentiment140.csv", {}, False),
        ("my/tweets.csv", {"dataset": "sentiment140"}, True),
        ("sentiment140", {"dataset": "sentiment140"}, True),
        ("sentiment140", {}, True),
    ],
)
def test_data_set_of_a_run_is_known_by_its_record(
    study: Study, source: str, record: dict[str, str], is_sentiment140: bool
) -> None:
    study.complete(resolve(BASE, {"data.source": source}, "base"), **record)
    (dataset,) = datasets(load_study(study.results, []))
    assert dataset.is_sentiment140 == is_sentiment140
