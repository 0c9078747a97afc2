"""Runs that went on on other hardware are named where the report says how it was made."""

from pathlib import Path

import pytest

from report.build import build_report
from sentiment.config_file import resolve
from sentiment.runs.run_dir import Results
from tests.report.made_up import BASE, Study


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
