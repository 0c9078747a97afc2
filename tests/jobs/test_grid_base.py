"""Grids that start from runs of a finished grid: those that overfit, or the best that do not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.grid import load_grid
from sentiment.errors import UsageError
from sentiment.records import PlannedRun, Result
from sentiment.run_dir import Results, RunDir
from tests.jobs.grid_files import draw, finish, starts_from, write_grid

Judge = Callable[[PlannedRun], tuple[float, bool] | None]

# Validation accuracy by hidden size and seed, and whether the run overfits.
FOUND = {
    (4, 1): (0.70, False),
    (4, 2): (0.72, False),
    (5, 1): (0.90, False),
    (5, 2): (0.80, True),
    (6, 1): (0.75, False),
    (6, 2): (0.77, False),
    (7, 1): (0.79, False),
    (7, 2): (0.60, False),
}
FIRST: dict[str, Any] = {"model.hidden_size": [4, 5, 6, 7], "model.layers": 1, "seed": [1, 2]}


def _as_found(run: PlannedRun) -> tuple[float, bool]:
    return FOUND[run.parameters["model.hidden_size"], run.parameters["seed"]]


@pytest.fixture
def like(trained: RunDir) -> Result:
    result = trained.read_result()
    assert result is not None
    return result


def _run_first(base: Path, results: Results, like: Result, judge: Judge = _as_found) -> None:
    finish(results, load_grid(write_grid(base, FIRST, name="first"), results), like, judge)


def _refusal(path: Path, results: Results) -> str:
    with pytest.raises(UsageError) as caught:
        load_grid(path, results)
    return str(caught.value)


def test_each_run_that_overfits_is_varied_with_its_own_seed(base: Path, results: Results, like: Result) -> None:
    _run_first(base, results, like)
    varied = {"model.dropout": [0.0, 0.5], "training.clip": [1.0, 0.1]}
    grid = load_grid(write_grid(base, varied, name="second", **starts_from("first", "overfitting")), results)
    assert len(grid.configs) == 4
    for run, config in zip(grid.plan.runs, grid.configs, strict=True):
        assert (config.model.hidden_size, config.seed) == (5, 2)
        assert run.parameters["model.hidden_size"] == 5
        assert run.parameters["model.dropout"] == config.model.dropout
    assert grid.plan.parameters["model.hidden_size"] == [5]
    assert grid.plan.parameters["training.clip"] == [1.0, 0.1]


def test_several_bases_are_all_varied(base: Path, results: Results, like: Result) -> None:
    _run_first(base, results, like, lambda run: (0.8, run.parameters["seed"] == 1))
    varied = {"model.dropout": [0.2, 0.5]}
    grid = load_grid(write_grid(base, varied, name="second", **starts_from("first", "overfitting")), results)
    found = [(run.parameters["model.hidden_size"], run.parameters["model.dropout"]) for run in grid.plan.runs]
    assert found == [(size, dropout) for size in (4, 5, 6, 7) for dropout in (0.2, 0.5)]
    assert grid.plan.parameters["model.hidden_size"] == [4, 5, 6, 7]


def test_best_is_by_the_mean_over_seeds_of_those_that_never_overfit(base: Path, results: Results, like: Result) -> None:
    _run_first(base, results, like)
    drawn = draw(trials=6)
    drawn["controller"] |= starts_from("first", "best")["controller"]
    grid = load_grid(write_grid(base, {"training.epochs": list(range(1, 11))}, name="second", **drawn), results)
    assert {config.model.hidden_size for config in grid.configs} == {6}
    assert len(grid.configs) == 6
    two = starts_from("first", "best", count=2)
    grid = load_grid(write_grid(base, {"training.epochs": 9}, name="third", **two), results)
    assert [config.model.hidden_size for config in grid.configs] == [6, 4]


def test_best_by_loss_is_the_lowest(base: Path, results: Results, like: Result) -> None:
    _run_first(base, results, like)
    for size, loss in ((4, 0.4), (6, 0.5), (7, 0.6)):
        for run_dir in (RunDir(file.parent) for file in (results.runs / "first").glob("*/result.json")):
            result = run_dir.read_result()
            assert result is not None
            if run_dir.read_config().model.hidden_size == size:
                validation = result.metrics["validation"].model_copy(update={"loss": loss})
                metrics = result.metrics | {"validation": validation}
                run_dir.write_result(result.model_copy(update={"metrics": metrics}))
    by_loss = {"metric": {"name": "validation/loss", "goal": "minimize"}} | starts_from("first", "best")
    grid = load_grid(write_grid(base, {"training.epochs": 9}, name="second", **by_loss), results)
    assert [config.model.hidden_size for config in grid.configs] == [4]


def test_base_is_the_run_as_it_was_though_its_file_has_changed(base: Path, results: Results, like: Result) -> None:
    _run_first(base, results, like)
    path = write_grid(base, {"model.dropout": [0.2]}, name="second", **starts_from("first", "overfitting"))
    before = load_grid(path, results)
    base.write_text("embedding: {size: 50}\n", encoding="utf-8")
    assert load_grid(path, results).configs == before.configs
    assert before.configs[0].embedding.size == 8


def test_grid_that_was_never_run_is_named(base: Path, results: Results) -> None:
    path = write_grid(base, {"model.dropout": 0.5}, name="second", **starts_from("first", "overfitting"))
    message = _refusal(path, results)
    assert "grid 'second' starts from runs of grid 'first', which was never run with these results" in message
    assert str(results.grid_file("first")) in message


def test_unfinished_grid_says_how_many_runs_have_no_result(base: Path, results: Results, like: Result) -> None:
    _run_first(base, results, like, lambda run: None if run.parameters["seed"] == 2 else (0.8, True))
    path = write_grid(base, {"model.dropout": 0.5}, name="second", **starts_from("first", "overfitting"))
    message = _refusal(path, results)
    assert "is not finished: 4 of 8 runs have no result yet (bilstm4-mean_max-s2-" in message
    assert "see `python -m jobs status first`" in message


@pytest.mark.parametrize(
    ("overfits", "wanted", "message"),
    [
        (False, starts_from("first", "overfitting"), "runs of grid 'first' that overfit: none of its 8 does"),
        (True, starts_from("first", "best"), "only 0 of its 4 configurations do not overfit with any seed"),
        (False, starts_from("first", "best", count=5), "the best 5 of grid 'first' that do not overfit, but only 4"),
    ],
    ids=["none overfits", "all overfit", "too many"],
)
def test_grid_without_such_runs_is_no_base(
    base: Path, results: Results, like: Result, overfits: bool, wanted: dict[str, Any], message: str
) -> None:
    _run_first(base, results, like, lambda run: (0.8, overfits))
    assert message in _refusal(write_grid(base, {"model.dropout": 0.5}, name="second", **wanted), results)
