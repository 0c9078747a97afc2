"""What runs took is computed by one rule, whatever table shows it."""

import json
from pathlib import Path
from typing import Any

import pytest

from report.build import build_report
from report.compare.findings import analyse
from report.compare.usage import usage_of
from report.read.load import load_study
from sentiment.config_file import resolve
from sentiment.runs.run_dir import Results
from tests.report.made_up import BASE, Study, attempt

_GPU = "NVIDIA H100 80GB HBM3"


def _tables(tmp_path: Path, attempts: list[Any]) -> dict[str, Any]:
    """The tables of a report on one run with these attempts, which trained for 2.56 s."""
    study = Study(Results(tmp_path / "results"))
    study.complete(resolve(BASE, {}, "base"), attempts=attempts)
    build_report(study.results, [], tmp_path / "out")
    return {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out" / "tables").glob("*.json")}


@pytest.mark.slow
@pytest.mark.parametrize("devices", [("cpu", _GPU), (_GPU, "cpu")], ids=["CPU first", "GPU first"])
def test_hours_count_by_the_device_of_each_attempt(tmp_path: Path, devices: tuple[str, str]) -> None:
    tables = _tables(tmp_path, [attempt(device=device) for device in devices])
    for name in ("leaderboard", "runs", "usage"):
        assert tables[name][0]["gpu_hours"] == pytest.approx(60 / 3600), name
    assert tables["usage"][0]["cpu_hours"] == pytest.approx(60 / 3600)
    assert tables["leaderboard"][0]["seconds"] == 120


@pytest.mark.slow
def test_completed_run_without_a_recorded_end_counts_with_the_seconds_that_it_trained(tmp_path: Path) -> None:
    tables = _tables(tmp_path, [attempt(device=_GPU, end=None, reason=None)])
    assert tables["leaderboard"][0]["seconds"] == pytest.approx(2.56)
    for name in ("leaderboard", "runs", "usage"):
        assert tables[name][0]["gpu_hours"] == pytest.approx(2.56 / 3600), name


def test_work_done_twice_is_the_steps_between_a_last_and_a_first_one(tmp_path: Path) -> None:
    study = Study(Results(tmp_path / "results"))
    attempts = [attempt(last_step=20, reason="signal"), attempt(first_step=15, restart_count=2)]
    study.complete(resolve(BASE, {}, "base"), attempts=attempts)
    usage = usage_of(load_study(study.results, []).runs)
    assert usage.lost_seconds == pytest.approx(5 * 2.56 / 40)
    assert (usage.attempts, usage.signals, usage.requeues, usage.silent) == (2, 1, 2, 0)


def test_a_time_without_a_zone_is_named_as_damage_and_stops_nothing(tmp_path: Path) -> None:
    study = Study(Results(tmp_path / "results"))
    study.complete(resolve(BASE, {"seed": 2}, "base"))
    run_dir = study.complete(resolve(BASE, {}, "base"))
    record = json.loads(run_dir.record_file.read_text())
    record["attempts"][0]["start"] = "2026-01-01T10:00:00"
    run_dir.record_file.write_text(json.dumps(record))
    findings = analyse(load_study(study.results, []))
    assert len(findings.datasets[0].runs) == 1
    assert any("has no time zone" in problem for problem in findings.problems)
