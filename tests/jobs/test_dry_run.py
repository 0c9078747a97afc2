"""What submitting would do, told without doing any of it; costs by runs that are completed here."""

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from jobs.dry_run import Completed, _work, estimate, read_completed, show_plan
from jobs.grids.grid import load_grid
from jobs.grids.requirements import training_tweets
from sentiment.config import RunConfig
from sentiment.config_file import resolve
from sentiment.runs.records import Result
from sentiment.runs.run_dir import Results, RunDir
from tests.jobs.grid_files import GRIDS, finish, write_grid, write_yaml
from tests.small_runs import invented_tweets, write_tweets

CLUSTER = GRIDS.parent / "cluster.yaml"


def _config(**changes: Any) -> RunConfig:
    return resolve({}, {name.replace("__", "."): value for name, value in changes.items()}, "nowhere")


def _completed(seconds: float, size: int = 10, device: str = "cpu", tweets: int = 1000, **changes: Any) -> Completed:
    return Completed(_config(**changes), seconds, 10, size, device, tweets)


def _unknown(_: RunConfig) -> None:
    """The number of training tweets where it can't be known."""


@pytest.fixture(autouse=True)
def _no_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_runs_cost_what_their_like_did_else_what_any_on_the_same_tweets_did() -> None:
    known = [
        _completed(10, model__hidden_size=8),
        _completed(20, model__hidden_size=8, seed=2),
        _completed(100, model__hidden_size=99),
        _completed(7000, data__source="sample"),
    ]
    configs = [_config(model__hidden_size=8, seed=5), _config(model__hidden_size=16), _config(data__source="a.csv")]
    costs = estimate(configs, known, _unknown)
    assert costs.seconds == pytest.approx(15 + (10 + 20 + 100) / 3)
    assert costs.bases == {"runs of the same size": 1, "runs on the same tweets": 1}
    assert (costs.bytes, costs.devices) == (20, ["cpu"])


def test_sizes_that_were_not_trained_have_a_range_in_proportion_to_their_work() -> None:
    known = [_completed(100, model__hidden_size=64)]
    same, larger, smaller = (_config(model__hidden_size=size, seed=9) for size in (64, 512, 8))
    alike = estimate([same], known, _unknown)
    assert (alike.least, alike.most) == (100, 100)
    costs = estimate([larger], known, _unknown)
    assert costs.seconds == costs.least == 100
    assert costs.most == pytest.approx(100 * _work(larger) / _work(known[0].config))
    assert costs.most > 1_000
    assert estimate([smaller], known, _unknown).least < 20
    assert estimate([smaller], known, _unknown).most == 100


def test_runs_on_other_tweets_count_in_proportion_to_the_number_of_tweets() -> None:
    known = [_completed(100, tweets=2_000, training__epochs=10)]
    same_size, longer = (_config(data__source="a.csv", training__epochs=epochs) for epochs in (10, 40))
    costs = estimate([same_size], known, lambda _: 6_000)
    assert (costs.least, costs.seconds, costs.most) == (300, 300, 300)
    assert costs.bases == {"runs on other tweets": 1}
    assert estimate([longer], known, lambda _: 6_000).most == 1_200
    with_elmo = _config(data__source="a.csv", elmo__model="tiny", data__text__lowercase=False)
    assert estimate([with_elmo], known, lambda _: 6_000).bases.total() == 0


def test_runs_on_far_fewer_tweets_tell_nothing_and_those_of_other_sizes_something() -> None:
    known = [_completed(100, tweets=500, training__epochs=10)]
    same_size, larger = (_config(data__source="a.csv", model__hidden_size=size) for size in (64, 512))
    assert known[0].config.model.hidden_size == 64
    assert estimate([same_size], known, lambda _: 5_000).bases == {"runs on other tweets": 1}
    assert estimate([same_size], known, lambda _: 5_001).bases.total() == 0
    assert estimate([larger], known, lambda _: 5_000).bases == {"runs on other tweets": 1}
    assert estimate([larger], known, lambda _: 5_000).most > 10 * estimate([same_size], known, lambda _: 5_000).most


def test_number_of_training_tweets_is_known_before_anything_is_fetched_or_prepared(tmp_path: Path) -> None:
    tweets = training_tweets(Results(tmp_path))
    assert tweets(_config(data__source="sentiment140")) == 1_280_000
    assert tweets(_config(data__source="sentiment140", data__max_rows=100_000)) == 80_000
    assert tweets(_config(data__source="sentiment140", data__train_rows=500)) == 500
    assert tweets(_config(data__source="vader", data__folds=5, data__fold=1)) == 2_940
    assert tweets(_config(data__source=str(tmp_path / "missing.csv"))) is None
    table = write_tweets(tmp_path / "own.csv", invented_tweets(400))
    assert tweets(_config(data__source=str(table))) == pytest.approx(320, abs=2)


def test_dry_run_needs_no_tweets_and_says_what_is_not_here(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["submit", "rnn", "--dry-run", "--results", str(tmp_path / "results")])
    assert done.exit_code == 0, done.output
    assert "144 of 144 runs would be submitted" in done.output
    assert "costs of 144 of 144 runs: unknown, since no run like these is completed here; " in done.output
    assert "not here yet, so that `submit` would refuse" in done.output
    assert "fetch them with `make data DATA=sentiment140`" in done.output
    assert "data: 1 task, no GPU" in done.output  # the job that would prepare them
    elmo = CliRunner().invoke(app, ["submit", "elmo", "--dry-run", "--results", str(tmp_path / "results")])
    assert elmo.exit_code == 0, elmo.output
    assert "elmo.model: " in elmo.output
    assert "runs: unknown, since no run like these is completed here" in elmo.output
    own = ["submit", "rnn", "--dry-run", "--results", str(tmp_path / "results"), "--set", "data.source=missing.csv"]
    assert "the number of their tweets can't be known" in CliRunner().invoke(app, own).output
    refused = CliRunner().invoke(app, ["submit", "rnn", "--local", "--results", str(tmp_path / "results")])
    assert (refused.exit_code, "grid 'rnn' cannot be run" in refused.output) == (2, True)


def test_runs_on_a_gpu_count_alone() -> None:
    costs = estimate([_config()], [_completed(1000), _completed(10, device="NVIDIA H100")], _unknown)
    assert (costs.seconds, costs.devices) == (10, ["NVIDIA H100"])


def test_nothing_is_known_where_nothing_is_completed() -> None:
    assert estimate([_config()], [], _unknown).bases.total() == 0


def test_completed_runs_are_read_with_their_time_and_size(trained: RunDir, results: Results) -> None:
    run_dir = results.run_dir(trained.read_config().run_id, "some")
    shutil.copytree(trained.path, run_dir.path)
    broken = results.run_dir("broken", "some")
    broken.path.mkdir()
    broken.result_file.write_text("{", encoding="utf-8")
    (found,) = read_completed(results)
    result = trained.read_result()
    assert result is not None
    assert (found.seconds, found.device) == (result.seconds_trained, "cpu")
    assert found.tweets == result.metrics["train"].n
    assert found.config == trained.read_config()
    assert found.bytes == sum(path.stat().st_size for path in run_dir.path.rglob("*") if path.is_file())


def test_plan_shows_differences_costs_and_directives_and_writes_nothing(base: Path, results: Results) -> None:
    grid = load_grid(write_grid(base, {"model.layers": [1, 2], "training.epochs": 2}), results)
    text = "\n".join(show_plan(results, grid, CLUSTER))
    assert "grid some: Which is best?" in text
    assert f"all runs: {base}, training.epochs=2\n" in text
    header, first, second = text.splitlines()[2:5]
    assert header.split() == ["run", "state", "model.layers"]
    assert first.split() == ["0", grid.plan.runs[0].run_id, "PLANNED", "1"]
    assert second.split() == ["1", grid.plan.runs[1].run_id, "PLANNED", "2"]
    assert f"the first by itself: {shlex.join(grid.plan.command(grid.plan.runs[0]))}" in text
    assert "2 of 2 runs would be submitted" in text
    assert "costs of 2 of 2 runs: unknown, since no run like these is completed here; " in text
    jobs = ("data: 1 task, no GPU, 4 cores", "train: 2 tasks, 1 GPU, 4 cores, 16 GB, 240 min", "report: 1 task, no GPU")
    for line in (*jobs, "--array=0-1", "--gpus-per-node=1", "--mem=16384M", "--requeue"):
        assert line in text
    assert not [path for path in results.root.rglob("*") if path.is_file()]


def test_plan_leaves_out_what_is_completed_and_learns_from_it(base: Path, results: Results, trained: RunDir) -> None:
    grid = load_grid(write_grid(base, {"seed": [1, 2, 3]}), results)
    done = results.run_dir(grid.plan.runs[0].run_id, "some")
    shutil.copytree(trained.path, done.path)
    assert done.read_config() == grid.configs[0]
    results.write_grid(grid.plan)
    text = "\n".join(show_plan(results, grid, CLUSTER))
    assert "2 of 3 runs would be submitted" in text
    assert "by completed runs on cpu: runs of the same size for 2 of 2 runs" in text
    assert "--array=0-1" in text


def test_plan_says_what_is_completed_in_other_grids(base: Path, results: Results, trained: RunDir) -> None:
    grid = load_grid(write_grid(base, {"seed": [1, 2, 3]}), results)
    shutil.copytree(trained.path, results.run_dir(grid.plan.runs[0].run_id, "other").path)
    text = "\n".join(show_plan(results, grid, CLUSTER))
    assert "1 of 3 runs are completed in other grids and would be taken over\n2 of 3 runs would be submitted" in text


def test_plan_of_a_completed_grid_asks_slurm_for_nothing(base: Path, results: Results, trained: RunDir) -> None:
    like = trained.read_result()
    assert isinstance(like, Result)
    grid = load_grid(write_grid(base, {"seed": [1, 2]}), results)
    finish(results, grid, like, lambda run: (0.8, False))
    text = "\n".join(show_plan(results, grid, CLUSTER))
    assert text.endswith("0 of 2 runs would be submitted")


def test_plan_with_elmo_begins_with_its_vectors(base: Path, results: Results, tmp_path: Path) -> None:
    grid = load_grid(write_grid(base, {"elmo.model": "tiny", "elmo.layers": ["top", "mix"]}), results)
    cluster = write_yaml(tmp_path / "cluster.yaml", {"cache": {"partition": "big"}, "report": {"gpus": 0}})
    text = "\n".join(show_plan(results, grid, cluster))
    assert "ELMo's vectors come on top" in text
    assert text.index("cache: 1 task") < text.index("--partition=big") < text.index("train: 2 tasks")
