"""Grid files: W&B takes them as they are, both readers see the same in them, and slips are told all at once."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from jobs.grids.grid import expand_grid
from jobs.grids.sweep_file import read_sweep
from sentiment.config_file import load_config, read_yaml
from sentiment.errors import ConfigError, UsageError
from sentiment.runs.run_dir import Results
from tests.jobs.grid_files import GRIDS, draw, starts_from, write_base, write_grid, write_yaml

FILES = sorted(GRIDS.glob("*.yaml"))
RUNS = {
    "attention": 60,
    "elmo": 72,
    "labels": 42,
    "own_elmo": 36,
    "random_sweep": 60,
    "random_sweep_full": 60,
    "random_sweep_one_epoch": 60,
    "rnn": 144,
    "smoke": 4,
    "stop_words": 18,
    "vader": 60,
}
STARTING_FROM_OTHERS = ("regularisation", "random_sweep_of_best", "random_sweep_of_best_full")
# W&B's validator, alone: it asks for a numpy that is too old for anything else here, and works with the present one.
VALIDATOR = ["sweeps==0.3.0", "jsonschema", "jsonschema-specifications", "jsonref", "attrs", "referencing", "rpds-py"]
VALIDATE = (
    "import json, sys, yaml; from sweeps.config import schema_violations_from_proposed_config as check\n"
    "print(json.dumps({path: [str(one) for one in check(yaml.safe_load(open(path)))] for path in sys.argv[1:]}))"
)


@pytest.fixture(scope="session")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with W&B's own validator of sweep files."""
    folder = tmp_path_factory.mktemp("validator")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *VALIDATOR]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip cannot fetch W&B's validator: {done.stderr.strip().splitlines()[-1]}")
    return folder


def _violations(validator: Path, *files: Path) -> dict[str, list[str]]:
    command = [sys.executable, "-W", "ignore", "-c", VALIDATE, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(validator)})
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def _refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_sweep(path)
    return str(caught.value)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_base(tmp_path, Path("tweets.csv"))


def _edit(path: Path, old: str, new: str) -> Path:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


@pytest.mark.more
def test_wandb_takes_each_grid_file_as_it_is(validator: Path, base: Path) -> None:
    wrong = _edit(write_grid(base, {"seed": 1}, name="wrong"), "method: grid", "method: gird")
    found = _violations(validator, *FILES, wrong)
    assert found.pop(str(wrong)) != []
    assert found == {str(path): [] for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_both_readers_of_yaml_see_the_same_in_a_grid_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    theirs, ours = yaml.safe_load(text), YAML(typ="safe", pure=True).load(text)
    assert json.dumps(theirs) == json.dumps(ours)
    assert read_sweep(path).name == path.stem


@pytest.mark.parametrize("name", RUNS)
def test_each_grid_of_the_study_expands(name: str, tmp_path: Path) -> None:
    grid = expand_grid(GRIDS / f"{name}.yaml", Results(tmp_path))
    assert len(grid.configs) == RUNS[name]
    assert grid.plan.description.endswith(("?", "."))
    assert "?" in grid.plan.description


@pytest.mark.parametrize("name", RUNS)
def test_what_wandbs_agent_passes_is_the_same_run(name: str, tmp_path: Path) -> None:
    """It writes `name=value` with Python's own text of each value."""
    grid = expand_grid(GRIDS / f"{name}.yaml", Results(tmp_path))
    for run in grid.plan.runs:
        arguments = [f"{field}={value}" for field, value in run.parameters.items()]
        assert load_config(Path(grid.plan.base), arguments).run_id == run.run_id


def test_each_grid_file_is_tested() -> None:
    assert {path.stem for path in FILES} == {*RUNS, *STARTING_FROM_OTHERS}


def test_search_as_published_has_the_same_trials_as_that_in_rungs(tmp_path: Path) -> None:
    full, rungs, one_epoch = (
        expand_grid(GRIDS / f"random_sweep{kind}.yaml", Results(tmp_path)).plan for kind in ("_full", "", "_one_epoch")
    )
    assert (
        [run.run_id for run in full.runs]
        == [run.run_id for run in rungs.runs]
        == [run.run_id for run in one_epoch.runs]
    )
    assert full.halving is None
    assert rungs.halving
    assert one_epoch.halving
    assert (rungs.halving.epochs, rungs.halving.eta) == ([1, 3, 9], 3)
    assert (one_epoch.halving.epochs, one_epoch.halving.eta) == ([1], 20)


def test_random_sweep_stays_within_the_published_ranges(tmp_path: Path) -> None:
    for config in expand_grid(GRIDS / "random_sweep.yaml", Results(tmp_path)).configs:
        assert 8 <= config.model.hidden_size <= 64
        assert config.model.dropout in (0, 0.01, 0.05, 0.1)
        assert config.training.clip in (0.5, 1, 10)
        assert 1e-4 <= config.training.learning_rate <= 1e-3
        assert (config.training.batch_size, config.training.optimizer) == (256, "adam")


@pytest.mark.parametrize("name", STARTING_FROM_OTHERS)
def test_grids_that_start_from_others_say_what_to_run_first(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"runs of grid 'rnn', which was never run .*; run that one first"):
        expand_grid(GRIDS / f"{name}.yaml", Results(tmp_path))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("learning_rate: {value: 1e-4}", "W&B reads 1e-4 as text; write it as 0.0001 or 1.0e-4"),
        ("learning_rate: {values: [0.1, 1e5]}", "W&B reads 1e5 as text"),
        ("elmo.cache: {value: off}", "parameters.elmo.cache.value: is 'off' here and False to W&B"),
        ("seed: {values: [010]}", "parameters.seed.values: is 10 here and 8 to W&B"),
    ],
)
def test_value_that_wandb_reads_otherwise_is_refused(base: Path, written: str, meant: str) -> None:
    path = _edit(write_grid(base, {"model.layers": 1}), "  model.layers: {value: 1}\n", f"  {written}\n")
    assert meant in _refusal(path)


def test_all_slips_of_a_file_are_told_at_once(base: Path) -> None:
    metric = {"name": "validation/acuracy", "goal": "max"}
    path = write_grid(base, {"seed": 1}, metric=metric, method="tpe", sed=3, description="", run_cap=0)
    lines = _refusal(path).splitlines()
    assert len(lines) == 5
    assert f"sed: unknown key ({path}); valid: name, description" in lines[-1]
    for start in ("description = ''", "method = 'tpe'", "metric.goal = 'max'", "run_cap = 0"):
        assert any(line.startswith(start) for line in lines)


def _halving(**keys: Any) -> dict[str, Any]:
    return {"early_terminate": {"type": "hyperband", **keys}}


def _bayes(rounds: int, per_round: int) -> dict[str, Any]:
    controller = {"type": "cloud", "seed": 1, "rounds": rounds, "per_round": per_round}
    return {"method": "bayes", "controller": controller}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        (_halving(min_iter=1, eta=1.00000001), "early_terminate.eta"),
        (_halving(min_iter=1, eta=math.inf), "early_terminate.eta"),
        (_halving(min_iter=10**400), "early_terminate.min_iter"),
        (draw(trials=10**9), "run_cap"),
        (_bayes(10**9, 2), "controller.rounds"),
        (_bayes(2, 10**9), "controller.per_round"),
        ({"parameters": {"seed": {"min": 0, "max": 10**400}}}, "parameters.seed"),
        ({"parameters": {"seed": {"min": -1e16, "max": 1.0}}}, "parameters.seed"),
    ],
    ids=str,
)
def test_numbers_that_nobody_can_mean_are_refused_before_anything_is_counted(
    base: Path, changes: dict[str, Any], field: str
) -> None:
    path = write_grid(base, {"seed": 1})
    write_yaml(path, read_yaml(path) | changes)
    path.write_text(path.read_text().replace("1e+16", "1.0e+16"))
    (line,) = _refusal(path).splitlines()
    assert line.startswith(field)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "other"}, "has the name 'other'; a grid is named like its file, 'some'"),
        ({"name": "single"}, "name 'single': takes letters"),
        ({"name": "../x"}, "name '../x': takes letters"),
        ({"metric": {"name": "f1", "goal": "maximize"}}, "'f1' is not measured; valid: validation/ and one of loss"),
        ({"metric": {"name": "test/loss", "goal": "maximize"}}, "goal 'maximize' would choose the worst loss"),
        ({"metric": {"name": "test/f1"}}, "metric.goal: is missing"),
        ({"command": ["python", "train.py", "${args}"]}, "command must end in train, the base run's file"),
        ({"command": ["train", "a.yaml", "b=1", "${args}"]}, "command must end in train, the base run's file"),
        ({"method": "random", "run_cap": 4}, "method random needs controller.seed"),
        ({"method": "random"}, "method random needs run_cap and controller.seed"),
        ({"run_cap": 4}, "run_cap: not with method grid"),
        ({"parameters": {"seed": {"mid": 1, "max": 3}}}, "parameters.seed.mid: unknown key"),
        ({"parameters": {"seed": {"value": 1, "values": [1]}}}, "exactly one of value, values, a distribution"),
        ({"parameters": {"seed": {"values": []}}}, "parameters.seed.values = []"),
        ({"parameters": {}}, "parameters = {}"),
        (starts_from("rnn", "good"), "input should be 'overfitting' or 'best'"),
        (starts_from("rnn", "overfitting", count=2), "count goes with runs 'best'"),
        ({"controller": {"type": "local"}}, "controller.type = 'local'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_slip_is_told_with_what_would_be_valid(base: Path, changes: dict[str, Any], message: str) -> None:
    path = write_grid(base, {"seed": 1})
    assert message in _refusal(write_yaml(path, read_yaml(path) | changes))
