"""How runs were made: what they took, on which hardware, by which code."""

import json
from pathlib import Path
from typing import Any

import pytest

from report.build import build_report
from report.compare.findings import analyse
from report.read import load_study
from sentiment.config_file import resolve
from sentiment.runs.run_dir import Results
from tests.report.made_up import BASE, Study, attempt
from tests.report.written import read_table

_GPU = "NVIDIA H100 80GB HBM3"


def _tables(tmp_path: Path, attempts: list[Any]) -> dict[str, Any]:
    """The tables of a report on one run with these attempts, which trained for 2.56 s."""
    study = Study(Results(tmp_path / "results"))
    study.complete(resolve(BASE, {}, "base"), attempts=attempts)
    build_report(study.results, [], tmp_path / "out")
    return {name: read_table(tmp_path / "out", name) for name in ("leaderboard", "runs", "usage")}


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


@pytest.mark.slow
def test_runs_that_went_on_on_other_hardware_are_named(tmp_path: Path) -> None:
    study = Study(Results(tmp_path / "results"))
    still, moved = (resolve(BASE, {"seed": seed}, "base") for seed in (1, 2))
    study.complete(still, hardware=["Xeon (AVX512)"])
    build_report(study.results, [], tmp_path / "before")
    assert "on other hardware" not in (tmp_path / "before" / "report.md").read_text()
    study.complete(moved, hardware=["Xeon (AVX512)", "Old Xeon (AVX2)", "Xeon (AVX512)"])
    build_report(study.results, [], tmp_path / "after")
    (line,) = [one for one in (tmp_path / "after" / "report.md").read_text().splitlines() if "other hardware" in one]
    assert line.replace("\\", "") == (
        "- Continued on other hardware, so that a repetition may differ in its last digits: "
        f"1 run ({moved.run_id}), on Xeon (AVX512) and Old Xeon (AVX2)."
    )


ONE_VERSION = "Each run was computed by one version of the code."


def _report(tmp_path: Path, *attempts: dict[str, Any]) -> str:
    study = Study(Results(tmp_path / "results"))
    study.complete(resolve(BASE, {}, "base"), attempts=[attempt(**changes) for changes in attempts])
    build_report(study.results, [], tmp_path / "out")
    return (tmp_path / "out" / "report.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attempts", "one", "mixed"),
    [
        ([{"code": "a" * 64}], True, False),
        ([{"code": "a" * 64}, {"code": "a" * 64, "first_step": 20}], True, False),
        ([{"code": "a" * 64}, {"code": "b" * 64, "first_step": 20}], False, True),
        ([{"code": "a" * 64}, {"code": "b" * 64, "first_step": 0}], True, False),  # begun anew
    ],
)
def test_runs_that_went_on_with_other_code_are_named(
    tmp_path: Path, attempts: list[dict[str, Any]], one: bool, mixed: bool
) -> None:
    report = _report(tmp_path, *attempts)
    assert (ONE_VERSION in report) is one
    assert ("1 run went on with other code than had begun it: " in report) is mixed
