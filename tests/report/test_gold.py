"""The report of the invented study is what it was, to the letter."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from report.build import build_report
from sentiment.runs.run_dir import Results
from tests.report.gold import GOLD, HOW_TO_UPDATE, scrubbed

pytestmark = pytest.mark.slow


def test_report_is_the_expected_one(invented_report: Path) -> None:
    found = scrubbed((invented_report / "report.md").read_text(encoding="utf-8"))
    expected = GOLD.read_text(encoding="utf-8")
    different = [(a, b) for a, b in zip(found.splitlines(), expected.splitlines(), strict=False) if a != b]
    assert found == expected, f"it differs, first in {different[:1]}; {HOW_TO_UPDATE}"


@pytest.mark.slow
def test_same_runs_give_the_same_bytes(invented: Results, invented_report: Path, tmp_path: Path) -> None:
    build_report(invented, [], tmp_path)
    files = sorted(path.relative_to(invented_report) for path in invented_report.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    for file in files:
        assert (tmp_path / file).read_bytes() == (invented_report / file).read_bytes(), file


def test_markdown_refers_only_to_files_that_are_there(invented_report: Path) -> None:
    references = re.findall(r"\]\((figures/[^)]+)\)", (invented_report / "report.md").read_text())
    assert len(references) > 8
    assert {name for name in references if not (invented_report / name).is_file()} == set()


def test_figures_are_well_formed_and_say_what_they_are(invented_report: Path) -> None:
    figures = sorted((invented_report / "figures").glob("*.svg"))
    assert len(figures) > 8
    for path in figures:
        title = ElementTree.parse(path).getroot().find(".//{*}title")
        assert title is not None, path
        assert title.text, path


def test_every_figure_has_a_caption_that_names_n_or_its_runs(invented_report: Path) -> None:
    captions = re.findall(r"\]\(figures/[^)]+\)\n\*(.*)\*\n", (invented_report / "report.md").read_text())
    assert len(captions) > 8
    assert [
        caption for caption in captions if not re.search(r"n = \d|\d runs|tweets: |\d comparable runs", caption)
    ] == []
