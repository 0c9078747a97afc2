"""What cannot be read is named by whatever part of the report wanted it; the same findings give the same report."""

from pathlib import Path

import pytest

from report.build import ask, build_sections
from report.compare.findings import analyse
from report.read import load_study
from report.render.blocks import Report
from report.render.page import write_report
from sentiment.runs.run_dir import Results
from tests.report.studies import write_study


def _files(report: Report, folder: Path) -> dict[str, bytes]:
    write_report(report, folder)
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_all_that_cannot_be_read_is_named_and_the_rest_is_reported(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    write_study(results)
    damaged = ("predictions.parquet", "metrics.jsonl", "attention.jsonl")
    for name in damaged:
        for path in sorted(results.runs.rglob(name))[::2]:
            path.unlink()
    written = _files(build_sections(*ask(analyse(load_study(results, [])))), tmp_path / "report")
    named = written["report.md"].decode().split("What could not be read")[1]
    assert [name for name in damaged if name in named.replace("\\", "")] == list(damaged)


@pytest.mark.slow
def test_questions_say_the_same_twice(invented: Results, tmp_path: Path) -> None:
    findings = analyse(load_study(invented, []))
    first, second = (_files(build_sections(*ask(findings)), tmp_path / name) for name in ("first", "second"))
    assert first == second
