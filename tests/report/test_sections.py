"""Sections only read what was found, so that the order in which they are written makes no difference."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from report.analysis.findings import Findings, analyse
from report.build import SECTIONS, build_sections
from report.read.load import load_study
from report.render.blocks import Report
from report.render.write import write_report
from sentiment.run_dir import Results
from tests.report.studies import write_study


def _files(report: Report, folder: Path) -> dict[str, bytes]:
    write_report(report, folder)
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _in_any_order(findings: Findings) -> Report:
    written = {}
    for number in random.Random(4).sample(range(len(SECTIONS)), len(SECTIONS)):
        written[number] = SECTIONS[number](findings)
    sections = [written[number] for number in range(len(SECTIONS)) if written[number].blocks]
    return replace(build_sections(findings), sections=sections)


@pytest.mark.slow
def test_order_of_the_sections_changes_nothing_even_where_much_cannot_be_read(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    write_study(results)
    damaged = ("predictions.parquet", "metrics.jsonl", "attention.jsonl")
    for name in damaged:
        for path in sorted(results.runs.rglob(name))[::2]:
            path.unlink()
    expected = _files(build_sections(analyse(load_study(results, []))), tmp_path / "expected")
    named = expected["report.md"].decode().split("What could not be read")[1]
    assert [name for name in damaged if name in named.replace("\\", "")] == list(damaged)
    assert _files(_in_any_order(analyse(load_study(results, []))), tmp_path / "found") == expected


@pytest.mark.slow
def test_section_says_the_same_twice(invented: Results, tmp_path: Path) -> None:
    findings = analyse(load_study(invented, []))
    first, second = (_files(build_sections(findings), tmp_path / name) for name in ("first", "second"))
    assert first == second
