"""Grid files are W&B's: both read the same in them, mean the same by each distribution, and slips are told."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from jobs.grids.grid import GridRequest
from jobs.grids.sweep_file import Parameter, read_grid_file
from sentiment.config_file import read_yaml
from sentiment.errors import ConfigError
from sentiment.runs.run_dir import Results
from tests.jobs.grid_files import GRIDS, draw, halving, load_grid, refusal, starts_from, write_grid, write_yaml
from tests.small_runs import load_config

FILES = sorted(GRIDS.glob("*.yaml"))
RUNS = dict.fromkeys(("attention", "random_sweep", "vader"), 60)
RUNS |= {"elmo": 48, "encoders": 45, "tweeteval": 18, "labels": 42, "rnn": 144, "smoke": 4, "stop_words": 18}
STARTING_FROM_OTHERS = ("regularisation", "random_sweep_of_best")
# W&B's validator, alone: it asks for a numpy that is too old for anything else here, and works with the present one.
VALIDATOR = ["sweeps==0.3.0", "jsonschema", "jsonschema-specifications", "jsonref", "attrs", "referencing", "rpds-py"]
VALIDATE = (
    "import json, sys, yaml; from sweeps.config import schema_violations_from_proposed_config as check\n"
    "print(json.dumps({path: [str(one) for one in check(yaml.safe_load(open(path)))] for path in sys.argv[1:]}))"
)


@pytest.mark.more
def test_wandb_takes_each_grid_file_as_it_is(tmp_path: Path, base: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "validator")]
    done = subprocess.run([*pip, *VALIDATOR], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip cannot fetch W&B's validator: {done.stderr.strip().splitlines()[-1]}")
    wrong = write_grid(base, {"seed": 1}, name="wrong", method="gird")
    command = [sys.executable, "-W", "ignore", "-c", VALIDATE, *map(str, (*FILES, wrong))]
    environ = {"PYTHONPATH": str(tmp_path / "validator")}
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout)
    assert found.pop(str(wrong)) != []
    assert found == {str(path): [] for path in FILES}


def test_laptops_study_asks_all_findings_but_those_on_values_that_it_leaves_out(tmp_path: Path) -> None:
    study = read_yaml(GRIDS.parent / "studies" / "vader.yaml")
    left_out = []
    for name, changes in study["grids"].items():
        file = read_grid_file(GRIDS / f"{name}.yaml")
        asked = GridRequest(file, changes).hypotheses("now")
        assert asked
        claims = [stated.hypothesis.claim for stated in asked]
        left_out += [stated.claim for stated in file.sweep.controller.hypotheses if stated.claim not in claims]
    larger = "The model of 5.5 billion words is better than the small one."
    assert left_out == ["Less dropout is better than more.", larger, "An L2 penalty helps."]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_both_readers_of_yaml_see_the_same_in_a_grid_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    theirs, ours = yaml.safe_load(text), YAML(typ="safe", pure=True).load(text)
    assert json.dumps(theirs) == json.dumps(ours)
    assert read_grid_file(path).sweep.name == path.stem


@pytest.mark.parametrize("name", RUNS)
def test_each_grid_of_the_study_expands(name: str, tmp_path: Path) -> None:
    grid = load_grid(GRIDS / f"{name}.yaml", Results(tmp_path), check_inputs=False)
    assert len(grid.configs) == RUNS[name]
    assert grid.plan.description.endswith(("?", "."))
    assert "?" in grid.plan.description
    for run in grid.plan.runs[::10]:  # W&B's agent writes `name=value` with Python's own text of each value
        arguments = [f"{field}={value}" for field, value in run.parameters.items()]
        assert load_config(Path(grid.plan.base), arguments).run_id == run.run_id
    assert {path.stem for path in FILES} == {*RUNS, *STARTING_FROM_OTHERS}


SPACE: dict[str, Any] = {
    "training.learning_rate": {"distribution": "log_uniform_values", "min": 0.0001, "max": 0.01},
    "model.hidden_size": {"min": 4, "max": 64},
    "model.dropout": {"distribution": "uniform", "min": 0.0, "max": 0.5},
    "training.clip": {"values": [0.5, 1.0, 10.0]},
    "training.batch_size": {"values": [32, 64]},
}


def _drawn(base: Path, results: Results, space: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    grid = load_grid(write_grid(base, space, **draw() | changes), results)
    return [run.parameters for run in grid.plan.runs]


@pytest.mark.parametrize(
    ("distribution", "low", "high", "quantiles"),
    [
        ("int_uniform", 1, 4, {0.1: 1, 0.3: 2, 0.99: 4}),
        ("uniform", 0.5, 1.5, {0.1: 0.6, 0.5: 1.0}),
        ("log_uniform_values", 0.0001, 0.01, {0.25: 0.000316228, 0.5: 0.001}),
    ],
)
def test_distribution_has_the_quantiles_that_its_name_promises(
    distribution: str, low: float, high: float, quantiles: dict[float, float]
) -> None:
    parameter = Parameter.model_validate({"distribution": distribution, "min": low, "max": high}).choices
    assert {share: parameter.quantile(share) for share in quantiles} == quantiles


def test_search_is_told_no_seeds_to_choose_from_by_override(base: Path, results: Results) -> None:
    for search in (draw(), halving(min_iter=1)):
        path = write_grid(base, SPACE if "run_cap" in search else {"training.epochs": 3}, **search)
        told = refusal(load_grid, path, results, ["seed=[1,2]"])
        assert "seed: a search would choose the luckiest one" in told


def test_value_drawn_once_stays_for_ever(base: Path, results: Results) -> None:
    few = _drawn(base, results, SPACE, run_cap=3)
    assert few[0] == {
        "model.dropout": 0.456989,
        "model.hidden_size": 31,
        "training.batch_size": 32,
        "training.clip": 10.0,
        "training.learning_rate": 0.000313763,
    }
    assert _drawn(base, results, SPACE, run_cap=20)[:3] == few
    others = _drawn(base, results, {name: SPACE[name] for name in ("model.hidden_size", "training.learning_rate")})
    assert others[:3] == [{name: drawn[name] for name in others[0]} for drawn in few]
    assert _drawn(base, results, SPACE, run_cap=3, controller={"type": "cloud", "seed": 2}) != few


def test_repeated_draws_are_one_run_and_too_few_different_ones_are_told(
    base: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.grids.expand._MAX_REPEATS", 60)
    space = {"model.hidden_size": {"min": 4, "max": 8}}
    assert sorted(one["model.hidden_size"] for one in _drawn(base, results, space, run_cap=5)) == [4, 5, 6, 7, 8]
    with pytest.raises(ConfigError, match="run_cap = 50000: only 5 different runs were found"):
        _drawn(base, results, space, run_cap=50_000)


@pytest.mark.parametrize(
    ("keys", "epochs", "rungs"),
    [
        ({"min_iter": 1, "eta": 3}, 12, [1, 3, 9]),
        ({"min_iter": 3}, 12, [3, 9]),
        ({"min_iter": 2, "eta": 1.5}, 7, [2, 3, 4, 6]),
    ],
)
def test_bands_are_those_of_wandb(base: Path, keys: dict[str, float], epochs: int, rungs: list[int]) -> None:
    sweep = read_grid_file(write_grid(base, {"model.layers": [1, 2]}, **halving(**keys))).sweep
    assert sweep.early_terminate.halving(epochs).epochs == rungs


def _seed(**parameter: Any) -> dict[str, Any]:
    """A random search for a seed."""
    return {"parameters": {"seed": parameter}, **draw()}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "other"}, "has the name 'other'; a grid is named like its file, 'some'"),
        ({"name": "single"}, "name 'single': takes letters"),
        ({"metric": {"name": "f1", "goal": "maximize"}}, "metric.name = 'f1'"),
        ({"metric": {"name": "test/accuracy", "goal": "maximize"}}, "input should be 'validation/loss'"),
        ({"metric": {"name": "validation/loss", "goal": "maximize"}}, "goal 'maximize' would choose the worst"),
        ({"command": ["python", "train.py", "${args}"]}, "command must end in train, the base run's file"),
        ({"method": "random"}, "method random needs run_cap and controller.seed; the file has"),
        (starts_from("rnn", "overfitting", count=2), "count is only allowed with runs: best"),
        (halving(min_iter=10**400), "early_terminate.min_iter"),
        ({"method": "bayes"}, "`method: random` and `early_terminate: {type: hyperband, min_iter: 1, eta: 3}`"),
        (
            halving(min_iter=1) | {"parameters": {"seed": {"values": [1, 2]}}},
            "seed: a search would choose the luckiest",
        ),
        ({"run_cap": 3}, "method grid trains all combinations: it takes neither run_cap"),
        (_seed(min=1), "a distribution needs a min below its max"),
        (_seed(min=2, max=2), "it has min 2 and max 2"),
        (_seed(distribution="normal", min=1, max=2), "should be 'int_uniform', 'uniform' or 'log_uniform_values'"),
        (_seed(distribution="log_uniform_values", min=0, max=1), "takes positive numbers, not min 0"),
        (_seed(distribution="int_uniform", min=0.5, max=1), "int_uniform takes whole numbers"),
        (_seed(values=[1, 2], min=1, max=2), "needs exactly one of value, values, min and max"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_slip_is_told_with_what_would_be_valid(base: Path, changes: dict[str, Any], message: str) -> None:
    path = write_grid(base, {"seed": 1})
    write_yaml(path, read_yaml(path) | changes)
    assert message in refusal(read_grid_file, path)
