"""What a dry run tells: on a page, without Slurm and without tweets, and nothing is written."""

import shlex
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from jobs.dry_run import show_plan
from jobs.grids.grid import load_grid
from sentiment.runs.run_dir import Results, RunDir
from tests.jobs.grid_files import GRIDS, draw, write_grid

CLUSTER = GRIDS.parent / "cluster.yaml"


@pytest.fixture(autouse=True)
def _no_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def _told(results: Results, base: Path, parameters: dict[str, Any], verbose: bool = False, **changes: Any) -> list[str]:
    return list(show_plan(results, load_grid(write_grid(base, parameters, **changes), results), CLUSTER, verbose))


def test_plan_shows_what_varies_and_the_tasks_and_writes_nothing(base: Path, results: Results) -> None:
    grid = load_grid(write_grid(base, {"model.layers": [1, 2], "training.epochs": 2}), results)
    assert list(show_plan(results, grid, CLUSTER)) == [
        "grid some: Which is best?",
        "2 of 2 runs would be submitted (2 PLANNED)",
        "  model.layers: 1, 2",
        f"  all runs: {base}, training.epochs=2",
        f"the first by itself: {shlex.join(grid.plan.command(grid.plan.runs[0]))}",
        "hours: not known, since no run like these is completed here",
        "data: 1 task, no GPU, 4 cores, 16 GB, 60 min",
        "train: 2 tasks, 1 GPU, 4 cores, 16 GB, 240 min",
        "report: 1 task, no GPU, 1 core, 8 GB, 30 min",
    ]
    told = "\n".join(show_plan(results, grid, CLUSTER, verbose=True))
    for line in (grid.plan.runs[1].run_id, "--array=0-1", "--gpus-per-node=1", "--mem=16384M", "--requeue"):
        assert line in told
    assert not [path for path in results.root.rglob("*") if path.is_file()]


def test_hours_are_those_of_completed_runs_of_the_same_size(base: Path, results: Results, trained: RunDir) -> None:
    parameters = {"seed": [1, 2, 3], "model.hidden_size": [6, 12]}
    grid = load_grid(write_grid(base, parameters), results)
    results.write_grid(grid.plan)
    shutil.copytree(trained.path, results.run_dir(trained.read_config().run_id, "some").path)
    told = _told(results, base, parameters)
    assert told[1] == "5 of 6 runs would be submitted (5 PLANNED, 1 COMPLETED)"
    (hours,) = (line for line in told if line.startswith("hours: "))
    assert " for 2 of them, by completed ones like them; of the other 3 runs not known" in hours
    result = trained.read_result()
    assert result is not None
    assert float(hours.split()[2]) == pytest.approx(2 * result.seconds_trained / 3600, rel=0.1)


def test_what_is_completed_in_other_grids_is_not_submitted(base: Path, results: Results, trained: RunDir) -> None:
    shutil.copytree(trained.path, results.run_dir(trained.read_config().run_id, "other").path)
    expected = "2 of 3 runs would be submitted (3 PLANNED); 1 are completed in other grids and would be taken over"
    assert _told(results, base, {"seed": [1, 2, 3]})[1] == expected


@pytest.mark.parametrize("grid", ["rnn", "elmo", "random_sweep"])
def test_dry_run_needs_no_tweets_and_fits_a_page(grid: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["submit", grid, "--dry-run", "--results", str(tmp_path / "results")])
    assert done.exit_code == 0, done.output
    assert "not here yet, so that `submit` would refuse" in done.output
    assert "fetch them with `sentiment data sentiment140`" in done.output
    assert len(done.output.splitlines()) <= 25
    refused = CliRunner().invoke(app, ["submit", grid, "--local", "--results", str(tmp_path / "results")])
    assert (refused.exit_code, f"grid {grid!r} cannot be run" in refused.output) == (2, True)


def test_rungs_are_told_with_what_they_take(base: Path, results: Results) -> None:
    halving = {"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2}}
    told = _told(results, base, {"seed": [1, 2, 3, 4], "training.epochs": 5}, **halving)
    rungs = "rungs: trials 4 to epoch 1, 2 to epoch 2, 1 to epoch 4, 1 to epoch 5; 9 of the 20 epochs of all trials"
    assert any(line.startswith(rungs) for line in told)
    assert any(line.startswith("train of rung 1: 2 tasks") for line in told)


@pytest.mark.slow
def test_a_thousand_trials_are_planned_in_seconds(base: Path, results: Results) -> None:
    drawn = {"training.learning_rate": {"distribution": "log_uniform_values", "min": 0.0001, "max": 0.1}}
    halving = {"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2}}
    start = time.process_time()
    told = _told(results, base, drawn | {"training.epochs": 5}, **halving, **draw(1, 1000))
    seconds = time.process_time() - start
    assert told[1].startswith("1,000 of 1,000 runs would be submitted")
    assert len(told) <= 25
    assert seconds < 5  # 1.5 on a quiet machine
