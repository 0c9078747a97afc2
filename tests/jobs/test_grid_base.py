"""Grids that start from runs of a finished grid: those that overfit, or the best that do not."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from jobs.grids.grid import load_grid
from jobs.tasks.attempt import KilledError, NoProgressError, record_failure
from sentiment.config_file import read_yaml, resolve
from sentiment.errors import DataError, DivergedError, MemoryExhaustedError, UsageError
from sentiment.runs.records import PlannedRun, Result
from sentiment.runs.run_dir import Results, RunDir
from tests.jobs.grid_files import draw, finish, starts_from, write_grid, write_yaml

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


def _fail_one(
    base: Path, results: Results, like: Result, error: Exception, size: int = 4, seed: int = 2
) -> tuple[str, Path]:
    """One run fails, all others get their results; its id, and a grid that starts from the best of the others."""
    failing = {"model.hidden_size": size, "model.layers": 1, "seed": seed}
    _run_first(base, results, like, lambda run: None if run.parameters == failing else _as_found(run))
    run_id = _run_id(results, size, seed)
    record_failure(results.run_dir(run_id, "first"), error)
    return run_id, write_grid(base, {"training.epochs": 9}, name="second", **starts_from("first", "best"))


def _run_id(results: Results, size: int, seed: int) -> str:
    plan = results.read_grid("first")
    assert plan is not None
    found = {(run.parameters["model.hidden_size"], run.parameters["seed"]): run.run_id for run in plan.runs}
    return found[size, seed]


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
                run_dir.write_record(result.model_copy(update={"metrics": metrics}))
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


def _perform(command: list[str], results: Results) -> Path:
    """Give a command as it is printed; the directory of the run that it trained."""
    python, *words = shlex.split(shlex.join(command))
    assert python == "python"
    done = subprocess.run(
        [sys.executable, *words, "--results", str(results.root)], capture_output=True, text=True, cwd=results.root
    )
    assert done.returncode == 0, done.stderr
    (result,) = (results.runs / "single").glob("*/result.json")
    return result.parent


@pytest.mark.slow
def test_command_of_a_run_that_starts_from_another_grids_run_repeats_it(
    base: Path, results: Results, like: Result
) -> None:
    """Though the grid's own `command` names another file, which differs in what is varied and in what is not."""
    first = {"model.hidden_size": [5, 6], "training.epochs": 1, "model.pooling": "max", "data.columns.label": "label"}
    finish(results, load_grid(write_grid(base, first, name="first"), results), like, lambda run: (0.8, False))
    values = read_yaml(base)
    other = values | {"model": {"hidden_size": 9, "bidirectional": False}, "seed": 4, "embedding": {"size": 7}}
    other_file = write_yaml(base.parent / "other" / "base.yaml", other)
    varied = {"model.dropout": [0.2, 0.3], "description": "a: b #c"}
    path = write_grid(other_file, varied, name="second", **starts_from("first", "best", count=2))
    grid = load_grid(path, results)
    assert grid.plan.base == str(other_file)
    last = grid.plan.runs[-1]
    assert grid.configs[-1].embedding.size == 8
    assert _perform(grid.plan.command(last), results).name == last.run_id
    assert grid.plan.parameters["embedding.size"] == [8]
    for run, config in zip(grid.plan.runs, grid.configs, strict=True):
        assert resolve(read_yaml(other_file), run.parameters, "the test").run_id == run.run_id == config.run_id


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
    assert "see `sentiment status first`" in message


def test_run_that_would_diverge_again_is_left_out_and_told(base: Path, results: Results, like: Result) -> None:
    diverged, best = _fail_one(base, results, like, DivergedError("the loss is nan at step 3"))
    grid = load_grid(best, results)
    assert [config.model.hidden_size for config in grid.configs] == [6]
    assert grid.left_out == [
        f"{diverged} of grid first, which fails whenever it is run: DivergedError: the loss is nan at step 3",
        f"{_run_id(results, 4, 1)} of grid first: with another seed it fails whenever it is run",
    ]
    overfitting = write_grid(base, {"model.dropout": 0.5}, name="third", **starts_from("first", "overfitting"))
    grid = load_grid(overfitting, results)
    assert [(config.model.hidden_size, config.seed) for config in grid.configs] == [(5, 2)]
    assert grid.left_out == [
        f"{diverged} of grid first, which fails whenever it is run: DivergedError: the loss is nan at step 3"
    ]


def test_configuration_that_diverges_with_a_seed_does_not_win_by_the_others(
    base: Path, results: Results, like: Result
) -> None:
    """6 is the best by its mean, and by each of its seeds better than 4, which is next."""
    for seed in (1, 2):
        _, best = _fail_one(base, results, like, DivergedError("the loss is nan"), 6, seed)
        assert [config.model.hidden_size for config in load_grid(best, results).configs] == [4]
        shutil.rmtree(results.runs)


@pytest.mark.parametrize(
    "error",
    [
        KilledError("its process was killed by signal 9"),
        NoProgressError("cut 3 times in a row"),
        MemoryExhaustedError("the GPU's memory is full"),
        DataError("some.csv: no such file"),
        OSError("No space left on device"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_run_that_another_attempt_may_complete_is_waited_for(
    base: Path, results: Results, like: Result, error: Exception
) -> None:
    failed, best = _fail_one(base, results, like, error)
    assert f"is not finished: 1 of 8 runs have no result yet ({failed})" in _refusal(best, results)


def test_diverged_run_that_is_tried_again_is_waited_for(base: Path, results: Results, like: Result) -> None:
    diverged, best = _fail_one(base, results, like, DivergedError("the loss is nan"))
    results.run_dir(diverged, "first").failure_file.unlink()
    assert f"is not finished: 1 of 8 runs have no result yet ({diverged})" in _refusal(best, results)


def test_too_few_sound_configurations_are_told_with_those_left_out(base: Path, results: Results, like: Result) -> None:
    diverged, _ = _fail_one(base, results, like, DivergedError("the loss is nan"))
    three = write_grid(base, {"training.epochs": 9}, name="third", **starts_from("first", "best", count=3))
    message = _refusal(three, results)
    assert "wanted are 3 configurations, there are 2" in message
    assert (
        f"left out: {diverged} of grid first, which fails whenever it is run: DivergedError: the loss is nan" in message
    )


def test_what_is_left_out_is_shown_before_anything_is_submitted(
    base: Path, results: Results, like: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    diverged, best = _fail_one(base, results, like, DivergedError("the loss is nan"))
    monkeypatch.setenv("PATH", str(base.parent))  # without Slurm
    cluster = write_yaml(base.parent / "cluster.yaml", {})
    arguments = ["submit", str(best), "--dry-run", "--results", str(results.root), "--cluster", str(cluster)]
    lines = CliRunner().invoke(app, arguments).output.splitlines()
    assert (
        lines[0]
        == f"left out: {diverged} of grid first, which fails whenever it is run: DivergedError: the loss is nan"
    )


@pytest.mark.parametrize(
    ("overfits", "wanted", "message"),
    [
        (False, starts_from("first", "overfitting"), "runs of grid 'first' that overfit: none of its 8 does"),
        (True, starts_from("first", "best"), "wanted are 1 configurations, there are 0"),
        (
            False,
            starts_from("first", "best", count=5),
            "wanted are 5 configurations, there are 4",
        ),
    ],
    ids=["none overfits", "all overfit", "too many"],
)
def test_grid_without_such_runs_is_no_base(
    base: Path, results: Results, like: Result, overfits: bool, wanted: dict[str, Any], message: str
) -> None:
    _run_first(base, results, like, lambda run: (0.8, overfits))
    assert message in _refusal(write_grid(base, {"model.dropout": 0.5}, name="second", **wanted), results)
