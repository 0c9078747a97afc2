"""Runs that are completed in one grid are taken over by another, whole or not at all."""

import shutil
from pathlib import Path

import pytest

from jobs.grids.grid import ExpandedGrid, completed_elsewhere, load_grid, reuse_completed
from sentiment.runs.run_dir import Results, RunDir
from tests.jobs.grid_files import write_base, write_grid
from tests.small_runs import Experiment, digest_of


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


@pytest.fixture
def grid(tmp_path: Path, tweets_file: Path, results: Results) -> ExpandedGrid:
    grid = load_grid(write_grid(write_base(tmp_path, tweets_file), {"seed": [1, 2, 3]}), results)
    results.write_grid(grid.plan)
    return grid


def _put(trained: RunDir, run_dir: RunDir) -> RunDir:
    shutil.copytree(trained.path, run_dir.path)
    return run_dir


def test_completed_run_of_another_grid_is_taken_over_and_stays_where_it_was(
    results: Results, grid: ExpandedGrid, trained: RunDir
) -> None:
    source = _put(trained, results.run_dir(grid.plan.runs[0].run_id, "single"))
    reuse_completed(results, grid)
    target = results.run_dir(grid.plan.runs[0].run_id, "some")
    assert target.completed
    assert target.read_config() == grid.configs[0]
    assert digest_of(target) == digest_of(source)
    assert not results.run_dir(grid.plan.runs[1].run_id, "some").path.exists()
    assert completed_elsewhere(results, grid) == {}


def test_run_that_has_begun_here_or_has_no_result_there_is_left_alone(
    results: Results, grid: ExpandedGrid, trained: RunDir
) -> None:
    begun, unfinished, _ = (run.run_id for run in grid.plan.runs)
    _put(trained, results.run_dir(begun, "other"))
    results.run_dir(begun, "some").create(grid.configs[0])
    results.run_dir(unfinished, "other").create(grid.configs[1])
    reuse_completed(results, grid)
    assert not results.run_dir(begun, "some").completed


def test_run_that_was_trained_on_other_tweets_or_asks_something_else_is_not_taken_over(
    results: Results, tmp_path: Path, tweets_file: Path
) -> None:
    """Under the same id: the table has changed since, or the digits of a hash are the same by chance."""
    table = tmp_path / "table.csv"
    shutil.copy(tweets_file, table)
    grid = load_grid(write_grid(write_base(tmp_path, table), {"seed": [1]}), results)
    config, run_id = grid.configs[0], grid.plan.runs[0].run_id
    source = Experiment(config, results, results.run_dir(run_id, "other"))
    source.complete()
    assert list(completed_elsewhere(results, grid)) == [run_id]
    before = table.read_bytes()
    table.write_bytes(before + b'1,"one more, a good one"\n')
    assert completed_elsewhere(results, grid) == {}
    table.write_bytes(before)
    assert list(completed_elsewhere(results, grid)) == [run_id]
    other = config.model_copy(update={"seed": 2})
    source.run_dir.config_file.write_text(other.model_dump_json())
    assert completed_elsewhere(results, grid) == {}


def test_copy_that_fails_leaves_nothing_and_one_that_was_killed_is_cleared_away(
    results: Results, grid: ExpandedGrid, trained: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = grid.plan.runs[0].run_id
    _put(trained, results.run_dir(run_id, "other"))
    folder = results.grid_file("some").parent
    killed = folder / f".{run_id}.4242.tmp"
    killed.mkdir()

    def fail(source: Path, target: Path) -> None:
        target.mkdir()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", fail)
        with pytest.raises(OSError, match="No space left"):
            reuse_completed(results, grid)
    assert [path.name for path in folder.iterdir()] == ["grid.json"]
    reuse_completed(results, grid)
    assert results.run_dir(run_id, "some").completed


@pytest.mark.slow
def test_run_with_an_own_model_is_taken_over_as_long_as_that_is_here(
    results: Results, tmp_path: Path, tweets_file: Path
) -> None:
    own = {"elmo.model": "pretrained/tiny", "pretraining.epochs": 1, "pretraining.min_count": 1, "training.epochs": 1}
    grid = load_grid(write_grid(write_base(tmp_path, tweets_file), own), results)
    config, run_id = grid.configs[0], grid.plan.runs[0].run_id
    Experiment(config, results, results.run_dir(run_id, "other")).complete()
    assert list(completed_elsewhere(results, grid)) == [run_id]
    shutil.rmtree(results.pretrained)
    assert completed_elsewhere(results, grid) == {}
