"""The report's model card is the one that the command line prints of the recommended run."""

import re
from html import unescape
from pathlib import Path

import pytest

from report.build import build_report
from sentiment.config_file import resolve
from sentiment.runs.run_dir import Results
from tests.report.made_up import BASE, Study
from tests.report.written import best_seed, recommended, written_runs
from tests.test_command_line import invoke


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Two seeds, the second one better."""
    study = Study(Results(tmp_path / "results"))
    for seed, skill in ((1, 1.0), (2, 1.6)):
        study.complete(resolve(BASE, {"seed": seed}, "base"), skill=skill)
    return study


def test_model_card_is_that_of_the_command_line(study: Study, tmp_path: Path) -> None:
    build_report(study.results, [], tmp_path / "report")
    best = best_seed(recommended(written_runs(study.results.root)))
    printed = invoke("card", best.path)
    assert printed.exit_code == 0
    assert (tmp_path / "report" / "documents" / "model_card.md").read_text(encoding="utf-8") == printed.output
    assert best.path.name in printed.output
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    copied = re.search(r'model_card.md</a><code tabindex="0">(.*?)</code>', page, re.DOTALL)
    assert copied
    assert unescape(copied[1]) == printed.output
    markdown = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert f"export results/runs/single/{best.path.name} model.zip" in markdown
