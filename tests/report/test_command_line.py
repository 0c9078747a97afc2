"""`python -m report build`, as one types it, on runs that were really trained."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from report.read import load_study
from sentiment.runs.run_dir import Results
from tests.small_runs import Experiment, small_config


@pytest.fixture(scope="module")
def trained_results(tweets_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Three small runs, one of them with attention, and a fourth that was stopped."""
    results = Results(tmp_path_factory.mktemp("results with 'quotes'"))
    changes: list[dict[str, object]] = [
        {"model__cell": "lstm"},
        {"model__cell": "gru"},
        {"model__pooling": "attention"},
    ]
    for change in changes:
        config = small_config(tweets_file, **change)
        Experiment(config, results, results.run_dir(config.run_id)).complete()
    return results


def _build(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "report", "build", *arguments], capture_output=True, text=True)


@pytest.mark.slow
def test_trained_runs_become_a_report(trained_results: Results, tmp_path: Path) -> None:
    done = _build("--results", str(trained_results.root), "--out", str(tmp_path / "my report"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "3 of 3 runs are completed"
    assert done.stderr == ""
    text = (tmp_path / "my report" / "report.md").read_text(encoding="utf-8")
    best = max(
        run.completed.result.metrics["validation"].f1 for run in load_study(trained_results, []).runs if run.completed
    )
    assert f"| {100 * best:.1f}" in text.replace("*", "")
    for heading in ("The answer", "The questions", "The models", "The runs", "Errors and calibration"):
        assert f"\n## {heading}\n" in text
    assert "What does self-attention look at?" in text
    assert "Is ELMo worth what it costs?" not in text
    assert "The texts of the tweets are not here" not in text
    assert re.search(r"python -m sentiment|python -m pytest|--", text)


@pytest.mark.slow
def test_report_goes_into_the_results_by_default(trained_results: Results) -> None:
    assert _build("--results", str(trained_results.root), "--grid", "single").returncode == 0
    assert (trained_results.report / "report.html").is_file()


def test_nothing_to_report_is_one_message_and_no_page(tmp_path: Path) -> None:
    done = _build("--results", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path}/nowhere/runs: holds no run to report yet; `make run` trains one\n"
    assert not (tmp_path / "nowhere").exists()


def test_unknown_grid_is_a_mistake_in_use(trained_results: Results) -> None:
    done = _build("--results", str(trained_results.root), "--grid", "rnn")
    assert done.returncode == 2
    assert done.stderr.endswith("has single\n")


@pytest.mark.slow
def test_folder_that_cannot_be_written_is_named(trained_results: Results, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    done = _build("--results", str(trained_results.root), "--out", str(tmp_path / "taken"))
    assert done.returncode == 1
    assert "taken" in done.stderr
    assert "Traceback" not in done.stderr
