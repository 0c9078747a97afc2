"""What a power cut leaves of an unfinished run's files is that run's line in `status` and in the report."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.grid_jobs import GridJobs
from jobs.status import read_grid_status, render
from report.build import build_report
from sentiment.config import RunConfig
from sentiment.runs.run_dir import Results, RunDir
from tests.jobs.submitted import queued, submitted
from tests.report.made_up import Study, attempt, new_record

STEP = {"kind": "step", "step": 5, "epoch": 1, "loss": 0.5}
EPOCH = STEP | {"kind": "epoch", "best": True, "train": {"f1": 0.5}, "validation": {"f1": 0.5}}
FILES = ("run.json", "metrics.jsonl", "timings.jsonl", "config.json", "failure.json", "lock")
Damage = Callable[[Path], object]


def _rows(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


DAMAGES: dict[str, Damage] = {
    "a line of NUL": lambda path: path.write_bytes(_rows(STEP, EPOCH) + b"\0" * 40 + b"\n"),
    "NUL without an end": lambda path: path.write_bytes(_rows(STEP, EPOCH) + b"\0" * 40),
    "nothing but NUL": lambda path: path.write_bytes(b"\0" * 4096),
    "half a row": lambda path: path.write_bytes(_rows(STEP, EPOCH)[:-30]),
    "half a row within": lambda path: path.write_bytes(_rows(STEP)[:-20] + b"\n" + _rows(EPOCH)),
    "emptiness": lambda path: path.write_bytes(b""),
    "another text": lambda path: path.write_bytes(b"\xff\xfe no text\n"),
    "numbers": lambda path: path.write_bytes(b"7\n8\n"),
    "a list": lambda path: path.write_bytes(b"[]\n"),
    "a word for a step": lambda path: path.write_bytes(_rows(EPOCH, STEP | {"step": "five"})),
    "a word for an epoch": lambda path: path.write_bytes(_rows(EPOCH | {"epoch": "one"}, STEP)),
    "a word for a score": lambda path: path.write_bytes(_rows(EPOCH | {"validation": {"f1": "good"}}, STEP)),
    "no numbers": lambda path: path.write_bytes(_rows(EPOCH | {"validation": None}, STEP | {"step": None})),
    "other rows": lambda path: path.write_bytes(_rows({"kind": "epoch"})),
    "NaN": lambda path: path.write_bytes(b'{"kind": "epoch", "step": NaN, "epoch": NaN, "validation": {"f1": NaN}}\n'),
    "a folder": lambda path: path.mkdir(),
}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A grid of two runs that have begun."""
    study = Study(Results(tmp_path / "results"))
    for config in study.write_grid("g", "Which?", {"seed": [1, 2]}, [{"seed": 1}, {"seed": 2}]):
        _begin(study, config)
    return study


def _begin(study: Study, config: RunConfig) -> RunDir:
    run_dir = study.run_dir(config, "g")
    run_dir.create(config)
    run_dir.write_record(new_record(config, attempts=[attempt(reason="signal", detail="SIGTERM")]))
    run_dir.metrics_file.write_bytes(_rows(STEP, EPOCH))
    return run_dir


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_of_one_run_is_its_own_line(study: Study, tmp_path: Path, damage: Damage, file: str) -> None:
    plan = study.results.read_grid("g")
    assert plan is not None
    damaged, whole = (study.results.run_dir(run.run_id, "g") for run in plan.runs)
    (damaged.path / file).unlink(missing_ok=True)
    damage(damaged.path / file)
    status = read_grid_status(study.results, plan, GridJobs([], []))
    bad, good = status.rows
    assert (good.state, good.epoch, good.step, good.score) == ("CANCELLED", 1, 5, 0.5)
    if bad.state == "FAILED":
        assert f"{damaged.path.name}/{file}: " in bad.reason
        assert "\n" not in bad.reason
    else:
        assert bad.state in ("CANCELLED", "PLANNED")
    assert whole.path.name in render([status], every_row=True, now=datetime.now(UTC))
    json.dumps(asdict(status), allow_nan=False)
    build_report(study.results, [], tmp_path / "report")
    assert "2 of 2 runs have no result" in (tmp_path / "report" / "report.md").read_text()


@pytest.mark.parametrize("file", FILES[:-1])
def test_active_task_is_judged_by_the_queue_whatever_its_files_say(study: Study, file: str) -> None:
    plan = study.results.read_grid("g")
    assert plan is not None
    folder = submitted(study.results, "train", "7", [run.run_id for run in plan.runs])
    for run in plan.runs:
        (study.results.run_dir(run.run_id, "g").path / file).write_bytes(b"\0" * 64)
    jobs = [queued(folder, task, "None", state) for task, state in enumerate(("RUNNING", "PENDING"))]
    rows = read_grid_status(study.results, plan, GridJobs([folder], jobs)).rows
    assert [(row.state, row.active) for row in rows] == [("PENDING", True)] * 2
