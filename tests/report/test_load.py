"""Run directories in every state, damaged ones among them: all are named, and none stops the report."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from report.build import build_report
from report.read import load_study
from sentiment.config_file import resolve
from sentiment.errors import RunDirError, UsageError
from sentiment.runs.run_dir import Results, RunDir
from tests.report.made_up import BASE, Study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Empty."""
    return Study(Results(tmp_path / "results"))


def _report(study: Study, folder: Path) -> str:
    build_report(study.results, [], folder)
    return (folder / "report.md").read_text(encoding="utf-8")


def test_nothing_to_report_is_a_clear_message(study: Study) -> None:
    with pytest.raises(RunDirError, match="holds no run to report yet; `make run` trains one"):
        load_study(study.results, [])


def test_report_tells_how_far_it_is(invented: Results, tmp_path: Path) -> None:
    told: dict[str, list[tuple[int, int | None]]] = {}

    def progress(what: str, done: int, total: int | None) -> None:
        told.setdefault(what, []).append((done, total))

    build_report(invented, [], tmp_path / "report", progress=progress)
    assert [*told] == ["reading grids", "drawing and writing"]
    for steps in told.values():
        assert steps == [(number, len(steps)) for number in range(len(steps))]


def test_unknown_grid_is_refused_with_those_that_there_are(invented: Results) -> None:
    with pytest.raises(UsageError, match=r"--grid nowhere: .* has attention, elmo, rnn, stop_words, sweep"):
        load_study(invented, ["nowhere"])


def test_every_state_is_told(invented: Results) -> None:
    runs = load_study(invented, ["rnn"]).runs
    assert [run.state.state for run in runs] == ["COMPLETED"] * 8 + ["FAILED", "CANCELLED", "NOT_HEARD_OF", "PLANNED"]
    assert [run.state.reason for run in runs[8:]] == [
        "DivergedError: the loss ran away",
        "saved and stopped: SIGTERM",
        "its process on node-1 can't be seen from here",
        "",
    ]


def test_study_without_any_result_says_so(study: Study, tmp_path: Path) -> None:
    study.write_grid("rnn", "Which?", {"seed": [1, 2]}, [{"seed": 1}, {"seed": 2}])
    text = _report(study, tmp_path / "out")
    assert "No run is completed yet, so there is no answer yet." in text
    assert "Which? (0 of 2 runs completed)" in text
    assert "2 of 2 runs have no result: 2 planned." in text


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _future(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99, "mood": "good"}))


def _delete(path: Path) -> None:
    path.unlink()


@pytest.mark.slow
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
def test_damaged_run_is_named_and_the_others_are_reported(
    study: Study, tmp_path: Path, damage: Callable[[Path], None], file: str, message: str
) -> None:
    good, bad = (study.complete(resolve(BASE, {"seed": seed}, "base")) for seed in (1, 2))
    damage(bad.path / file)
    states = {run.run_id: run for run in load_study(study.results, []).runs}
    assert states[good.path.name].state.state == "COMPLETED"
    assert states[bad.path.name].state.state == "FAILED"
    assert message in states[bad.path.name].state.reason
    text = _report(study, tmp_path / "out")
    assert "1 of 2 runs has no result: 1 failed." in text
    assert message.replace("_", r"\_") in text.split("What could not be read")[1]


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert "so mistakes can't be shown" in text
    assert "Confusion: the net" in text


@pytest.mark.slow
def test_page_does_not_grow_with_runs_that_have_no_result(study: Study, tmp_path: Path) -> None:
    first = study.complete(resolve(BASE, {}, "base"))
    for number in range(600):
        run_dir = RunDir(first.path.with_name(f"run-{number:03d}"))
        run_dir.path.mkdir()
        shutil.copy(first.config_file, run_dir.config_file)
    text = _report(study, tmp_path / "out")
    assert "600 of 601 runs have no result" in text
    assert "501 of 601 runs: scores" in text
    every_run = text.split("# The runs")[1].split("\n#")[0]
    assert "run-499" in every_run
    assert "run-500" not in every_run
