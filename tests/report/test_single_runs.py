"""Runs outside of grids are reported as what they are: each for itself, and no answer to a question of theirs."""

from pathlib import Path

import pytest

from report.build import build_report
from sentiment.config_file import resolve
from sentiment.runs.run_dir import Results
from tests.report.made_up import BASE, Study
from tests.report.written import read_table

_RUNS = (
    {"model.pooling": "attention"},
    {"model.pooling": "last"},
    {"data.text.stop_words": "all"},
    {"elmo.model": "small"},
)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Four single runs that a grid could well consist of, and a grid of one run."""
    study = Study(Results(tmp_path / "results"))
    for number, parameters in enumerate(_RUNS):
        study.complete(resolve(BASE, parameters, "base"), skill=1.0 + 0.2 * number)
    (config,) = study.write_grid("one", "How good is it?", {"seed": [7]}, [{"seed": 7}])
    study.complete(config, "one")
    return study.results


@pytest.mark.slow
def test_single_runs_are_ranked_and_accounted_for_with_the_others(results: Results, tmp_path: Path) -> None:
    build_report(results, [], tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "of 4 other nets" in text
    tables = {name: read_table(tmp_path / "out", name) for name in ("runs", "usage", "commands")}
    assert [row["grid"] for row in tables["runs"]] == ["one", None, None, None, None]
    assert [(row["grid"], row["runs"]) for row in tables["usage"]] == [("one", 1), ("single runs", 4), ("all", 5)]
    assert len(tables["commands"]) == 5
    assert text.count("| single run |") == 8  # among all runs, and among the commands
