"""W&B's distributions: the same meaning as W&B's, and a value drawn once stays for ever."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.grids.grid import load_grid
from jobs.grids.sweep_file import Distribution, Parameter, read_sweep
from jobs.grids.sweep_file import draw as draw_value
from sentiment.errors import ConfigError
from sentiment.runs.run_dir import Results
from tests.jobs.grid_files import draw, write_grid
from tests.jobs.test_sweep_file import validator as validator

# For each distribution the keys of a parameter, and some of its quantiles by hand or table.
KNOWN: dict[str, tuple[dict[str, float], dict[float, float]]] = {
    "int_uniform": ({"min": 1, "max": 4}, {0.1: 1, 0.3: 2, 0.99: 4}),
    "uniform": ({"min": 0.5, "max": 1.5}, {0.1: 0.6, 0.5: 1.0}),
    "log_uniform_values": ({"min": 0.0001, "max": 0.01}, {0.25: 0.000316228, 0.5: 0.001}),
    "normal": ({"mu": 1, "sigma": 2}, {0.5: 1.0, 0.975: 4.91993}),
}

SPACE: dict[str, Any] = {
    "training.learning_rate": {"distribution": "log_uniform_values", "min": 0.0001, "max": 0.01},
    "model.hidden_size": {"min": 4, "max": 64},
    "model.dropout": {"distribution": "uniform", "min": 0.0, "max": 0.5},
    "training.clip": {"values": [0.5, 1.0, 10.0], "probabilities": [0.5, 0.25, 0.25]},
    "training.batch_size": {"values": [32, 64]},
}


def _parameter(name: str) -> dict[str, Any]:
    return {"distribution": name, **KNOWN[name][0]}


def _drawn(base: Path, results: Results, space: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    grid = load_grid(write_grid(base, space, **draw() | changes), results)
    return [run.parameters for run in grid.plan.runs]


def _refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_sweep(path)
    return str(caught.value)


@pytest.mark.parametrize("name", KNOWN)
def test_distribution_has_the_quantiles_that_its_name_promises(name: str) -> None:
    parameter = Parameter.model_validate(_parameter(name))
    distribution = parameter.flatten("x")["x"]
    assert isinstance(distribution, Distribution)
    for share, value in KNOWN[name][1].items():
        assert distribution.quantile(share) == value


@pytest.mark.more
def test_wandb_means_the_same_by_each_distribution(validator: Path) -> None:
    shares = [0.01, 0.2, 0.4, 0.6, 0.97]
    every = {name: _parameter(name) for name in KNOWN} | {"p": {"values": [1, 2], "probabilities": [0.7, 0.3]}}
    script = (
        "import json, sys; from sweeps.params import HyperParameter\n"
        "every, shares = json.loads(sys.argv[1])\n"
        "print(json.dumps({name: [float(HyperParameter(name, dict(one)).ppf(share)) for share in shares]\n"
        "                  for name, one in every.items()}))"
    )
    command = [sys.executable, "-W", "ignore", "-c", script, json.dumps([every, shares])]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(validator)})
    assert done.returncode == 0, done.stderr
    for name, theirs in json.loads(done.stdout).items():
        ours = Parameter.model_validate(every[name]).flatten(name)[name]
        assert isinstance(ours, Distribution)
        assert [ours.quantile(share) for share in shares] == pytest.approx(theirs, rel=1e-5)


def test_draws_lie_in_their_ranges_and_differ(base: Path, results: Results) -> None:
    drawn = _drawn(base, results, SPACE, run_cap=60)
    assert len(drawn) == 60
    assert all(0.0001 <= one["training.learning_rate"] <= 0.01 for one in drawn)
    assert len({one["training.learning_rate"] for one in drawn}) == 60
    assert {type(one["model.hidden_size"]) for one in drawn} == {int}
    assert {one["model.hidden_size"] for one in drawn} <= {*range(4, 65)}
    assert 15 <= sum(one["training.clip"] == 0.5 for one in drawn) <= 45
    assert {one["training.batch_size"] for one in drawn} == {32, 64}


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
    names = others[0]
    assert others[:3] == [{name: one[name] for name in names} for one in few]
    controller = {"type": "cloud", "seed": 2}
    assert _drawn(base, results, SPACE, run_cap=3, controller=controller) != few


def test_repeated_draws_are_one_run_and_too_few_different_ones_are_told(base: Path, results: Results) -> None:
    space = {"model.hidden_size": {"min": 4, "max": 8}}
    assert sorted(one["model.hidden_size"] for one in _drawn(base, results, space, run_cap=5)) == [4, 5, 6, 7, 8]
    with pytest.raises(ConfigError, match="run_cap = 50000: only 5 different runs were found; the last 1,000 draws"):
        _drawn(base, results, space, run_cap=50_000)


def test_unlikely_values_are_rarely_drawn_and_impossible_ones_never() -> None:
    distribution = Distribution("categorical", {}, ("a", "b", "c"), (0.9, 0.1, 0.0))
    drawn = [draw_value(distribution, 1, "x", index) for index in range(1000)]
    assert "c" not in drawn
    assert 60 <= drawn.count("b") <= 140
    assert distribution.quantile(1.0) == "b"  # where probabilities add up to slightly less than 1


def test_grid_runs_through_whole_numbers(base: Path, results: Results) -> None:
    grid = load_grid(write_grid(base, {"seed": {"min": 1, "max": 3}}), results)
    assert grid.plan.parameters == {"seed": [1, 2, 3]}
    assert len(grid.plan.runs) == 3


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ({"min": 1}, "distribution uniform needs max"),
        ({"min": 2, "max": 2}, "min 2 is not below max 2"),
        (
            {"distribution": "log_normal", "mu": 1},
            "distribution 'log_normal' is unknown; valid: constant, categorical, categorical_w_probabilities, "
            "int_uniform, uniform, log_uniform_values, normal",
        ),
        ({"distribution": "uniform", "min": 1, "max": 2, "q": 1}, "q: unknown key"),
        ({"distribution": "normal", "min": 1}, "distribution normal has no min; it takes mu, sigma"),
        ({"distribution": "normal", "sigma": 0}, "sigma must be greater than 0, not 0"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "takes positive numbers, not min 0"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 1}, "int_uniform takes whole numbers"),
        ({"values": [1, 2], "min": 1, "max": 2}, "needs exactly one of value, values, a distribution"),
        ({"values": [1, 2], "distribution": "normal"}, "needs exactly one of value, values, a distribution"),
        ({"values": [1, 2], "probabilities": [0.5]}, "1 probabilities of 2 values"),
        ({"values": [1, 2], "probabilities": [0.5, 0.6]}, "the probabilities add up to 1.1 instead of 1"),
        ({"distribution": "categorical"}, "distribution 'categorical' goes with values"),
    ],
)
def test_slip_in_a_distribution_is_told(base: Path, parameter: dict[str, Any], message: str) -> None:
    assert message in _refusal(write_grid(base, {"seed": parameter}, **draw()))
