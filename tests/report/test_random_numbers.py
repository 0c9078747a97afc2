"""Runs whose ELMo vectors are random numbers are marked wherever they stand, and never win."""

import re
from pathlib import Path

import pytest

from report.build import build_report
from sentiment.runs.run_dir import Results
from tests.report.made_up import Study
from tests.report.written import read_table

pytestmark = pytest.mark.slow


@pytest.fixture
def text(tmp_path: Path) -> str:
    """A report on nothing but random numbers."""
    study = Study(Results(tmp_path / "results"))
    runs = [{"elmo.model": "tiny", "elmo.layers": layers, "seed": seed} for layers in ("top", "mix") for seed in (1, 2)]
    for config in study.write_grid("elmo", "Which layers?", {"elmo.layers": ["top", "mix"]}, runs):
        study.complete(config, "elmo", skill=2.0 + config.seed)
    build_report(study.results, [], tmp_path / "out")
    return (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_random_numbers_alone_give_no_answer(text: str) -> None:
    assert "**All completed runs read random numbers in place of ELMo, so there is no answer yet.**" in text
    assert "of test tweets right" not in text
    assert "| **1** |" not in text


def test_every_row_and_sentence_about_random_numbers_is_marked(text: str) -> None:
    lines = text.replace("\\", "").splitlines()
    about = [line for line in lines if re.search(r"elmo_tiny|ELMo tiny|\b(top|mix) .*points", line)]
    assert len(about) > 10
    assert [line for line in about if "random numbers" not in line] == []


def test_random_numbers_never_beat_what_is_real(invented_report: Path) -> None:
    rows = read_table(invented_report, "leaderboard-all")
    random = [row["test_accuracy"] for row in rows if row["random_numbers"]]
    assert max(random) > rows[0]["test_accuracy"]  # they would have won
    assert not rows[0]["random_numbers"]
    effects = read_table(invented_report, "effects-elmo")
    assert not [row for row in effects if "tiny" in str(row["value"])]
