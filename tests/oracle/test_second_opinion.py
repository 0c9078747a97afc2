"""Every figure of the report, for random studies, equals that of a second implementation, to the last printed digit.

The suite judges 46 studies, the same each time; `FUZZ=1000 pytest tests/oracle` judges so many.
"""

import json
import os
import re
from pathlib import Path
from unittest.mock import patch

import pytest

from report.build import build_report
from report.questions import search
from report.render import charts, page
from sentiment.runs.run_dir import Results
from tests.commands import invoke
from tests.oracle.compare import judge, judge_evaluation
from tests.oracle.recompute_files import read_study
from tests.oracle.recompute_words import NO_OPINION
from tests.oracle.studies import write_random_study

# Of a longer search: an interval of a rounding error's width; a ranked trial whose log is damaged; a first comparison
# of two predictors that are right on the same tweets; means and scores that differ in their last bit; a gold table of
# which two predictors have answered one tweet.
_FOUND = (427, 467, 873, 900, 5018, 5039)
_STUDIES = (*range(int(os.environ.get("FUZZ", 40))), *_FOUND)
_WITH_CHARTS = 10
_EMPTY = '<svg width="1" height="1" role="img"><title></title></svg>'


def _report_without_charts(results: Results, folder: Path) -> None:
    with (
        patch.object(charts, "draw", lambda spec, title: _EMPTY),
        patch.object(page, "_vega_bundle", str),
        patch.object(search, "importances", lambda *_: {}),
    ):
        build_report(results, [], folder)


@pytest.mark.parametrize("seed", _STUDIES)
def test_every_figure_of_a_random_study_agrees_with_a_second_opinion(seed: int, tmp_path: Path) -> None:
    results = write_random_study(tmp_path / "results", seed)
    if seed % _WITH_CHARTS:
        _report_without_charts(results, results.report)
    else:
        done = invoke("report", "--results", results.root)
        assert done.exit_code in (0, 1), done.output
        assert isinstance(done.exception, SystemExit | None), repr(done.exception)
    verdict = judge(results.root, results.report)
    assert not verdict.lines, f"study {seed}:\n" + "\n".join(verdict.lines)
    assert verdict.judged
    for run in read_study(results.root).completed[:1]:
        if run.predictions and seed % _WITH_CHARTS == 0:
            out = tmp_path / "scores.json"
            assert invoke("evaluate", run.path, "--out", out).exit_code == 0
            assert judge_evaluation(run, json.loads(out.read_text())) == []


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A random study with its report; not to be changed."""
    results = write_random_study(tmp_path_factory.mktemp("study") / "results", 3)
    _report_without_charts(results, results.report)
    return results


@pytest.mark.parametrize("added", ["42 apples", "Test accuracy: 81.2 %, one seed"])
def test_figure_without_second_opinion_is_named(reported: Results, added: str) -> None:
    for name, text in (("report.md", f"\n{added}\n"), ("report.html", f"<p>{added}</p></main>")):
        path = reported.report / name
        content = path.read_text()
        changed = content.replace("</main>", text) if name.endswith("html") else content + text
        with patch.object(Path, "read_text", _with(path, changed)):
            lines = judge(reported.root, reported.report).lines
        assert any(added in line for line in lines), lines


@pytest.mark.parametrize("file", ["report.md", "tables/leaderboard.csv", "tables/leaderboard.tex", "checklist.md"])
def test_other_digit_is_found(reported: Results, file: str) -> None:
    path = reported.report / file
    content = path.read_text()
    score = re.search(r"\d\d\.(\d)", content)
    assert score is not None
    other = (int(score[1]) + 5) % 10
    changed = f"{content[: score.start(1)]}{other}{content[score.end(1) :]}"
    with patch.object(Path, "read_text", _with(path, changed)):
        assert judge(reported.root, reported.report).lines


def _with(changed: Path, content: str):  # type: ignore[no-untyped-def]
    """`Path.read_text` with other content of one file."""
    read_text = Path.read_text
    return lambda path, *args, **kwargs: content if path == changed else read_text(path, *args, **kwargs)


def test_reasons_for_figures_without_second_opinion_are_given() -> None:
    assert all(reason.endswith(".") for reason in NO_OPINION.values())
