"""Grids: the same runs in the same order for ever, each once; and whatever is wrong is told before anything runs."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.grids.expand import Base, Draw, expand
from jobs.grids.grid import ExpandedGrid, expand_grid, load_grid
from sentiment.config_file import read_yaml
from sentiment.errors import ConfigError
from sentiment.runs.run_dir import Results
from tests.jobs.grid_files import draw, write_grid, write_yaml

LAYERS = {"model.layers": [1, 2], "model.cell": ["gru", "lstm"], "seed": [2, 1]}
WIDE: dict[str, Any] = {
    "model.hidden_size": [2, 3, 4, 5, 6],
    "model.dropout": [0.0, 0.1, 0.2],
    "training.clip": [0.5, 1.0],
    "seed": [1, 2, 3],
}


def _ids(grid: ExpandedGrid) -> list[str]:
    return [run.run_id for run in grid.plan.runs]


def _refusal(path: Path, results: Results, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_grid(path, results, overrides)
    return str(caught.value)


def test_runs_are_ordered_by_the_names_of_parameters_and_the_order_of_values(base: Path, results: Results) -> None:
    grid = load_grid(write_grid(base, LAYERS), results)
    parameters = [tuple(run.parameters.values()) for run in grid.plan.runs]
    assert [list(run.parameters) for run in grid.plan.runs] == [["model.cell", "model.layers", "seed"]] * 8
    assert parameters[:3] == [("gru", 1, 2), ("gru", 1, 1), ("gru", 2, 2)]
    assert [run.index for run in grid.plan.runs] == list(range(8))


def test_configurations_belong_to_the_planned_runs(base: Path, results: Results) -> None:
    grid = load_grid(write_grid(base, LAYERS), results)
    for run, config in zip(grid.plan.runs, grid.configs, strict=True):
        assert config.run_id == run.run_id
        assert config.model.cell == run.parameters["model.cell"]
        assert config.model.hidden_size == 6
    assert grid.plan.base == str(base)
    assert grid.plan.parameters == dict(sorted(LAYERS.items()))


def test_sections_of_parameters_mean_the_same_as_dotted_names(base: Path, results: Results) -> None:
    dotted = load_grid(write_grid(base, LAYERS), results)
    path = write_grid(base, {"seed": [2, 1]})
    values = read_yaml(path)
    values["parameters"]["model"] = {"parameters": {"layers": {"values": [1, 2]}, "cell": {"values": ["gru", "lstm"]}}}
    assert load_grid(write_yaml(path, values), results) == dotted


def test_random_search_draws_as_many_different_runs_as_are_wanted(base: Path, results: Results) -> None:
    grid = load_grid(write_grid(base, WIDE, **draw(trials=40)), results)
    assert len(set(_ids(grid))) == 40
    assert all(value in WIDE[name] for run in grid.plan.runs for name, value in run.parameters.items())
    everything = load_grid(write_grid(base, WIDE), results)
    assert _ids(grid) != _ids(everything)[:40]


def test_random_search_is_decided_by_its_seed(base: Path, results: Results) -> None:
    once = _ids(load_grid(write_grid(base, WIDE, **draw()), results))
    assert once != _ids(load_grid(write_grid(base, WIDE, **draw(seed=2)), results))


@pytest.mark.parametrize("more", [6, 50, 88])
def test_more_trials_continue_fewer(base: Path, results: Results, more: int) -> None:
    few = load_grid(write_grid(base, WIDE, **draw(trials=5)), results)
    many = load_grid(write_grid(base, WIDE, **draw(trials=more)), results)
    assert _ids(many)[:5] == _ids(few)


def test_grid_of_too_many_runs_is_refused_by_its_count(base: Path, results: Results) -> None:
    values = {"seed": list(range(1000)), "model.hidden_size": list(range(1, 1001))}
    path = write_grid(base, values)
    refusal = _refusal(path, results)
    assert "1,000,000 combinations (1,000 of seed x 1,000 of model.hidden_size), and 50,000 are the most" in refusal
    path = write_grid(base, {"seed": {"min": 0, "max": 1_000_000_000}})
    assert "1,000,000,001 combinations (1,000,000,001 of seed), and 50,000 are the most" in _refusal(path, results)
    path = write_grid(base, {f"p{number}": list(range(10)) for number in range(400)})
    assert "more than 10^15 combinations (10 of p99 x " in _refusal(path, results)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    space=st.fixed_dictionaries(
        {
            "seed": st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True),
            "model.pooling": st.lists(st.sampled_from(["last", "mean", "attention"]), min_size=1, unique=True),
            "model.attention.r": st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True),
        }
    ),
    trials=st.none() | st.integers(1, 5),
)
def test_expansion_has_each_run_once_and_none_is_missing_in_whatever_order_parameters_stand(
    space: dict[str, list[Any]], trials: int | None
) -> None:
    without = len([pooling for pooling in space["model.pooling"] if pooling != "attention"])
    hops = len(space["model.attention.r"]) if "attention" in space["model.pooling"] else 0
    all_runs = len(space["seed"]) * (without + hops)
    if trials and trials > all_runs:
        trials = None
    base: dict[str, Any] = {}
    trying = Draw(3, trials) if trials else None
    ids, turned = (
        [run.config.run_id for run in expand([Base("nowhere", base, base, {})], one, trying)[0]]
        for one in (space, dict(reversed(space.items())))
    )
    assert ids == turned, "the order of parameters in a file is nobody's intention"
    assert len(set(ids)) == len(ids)
    assert len(ids) == (all_runs if trials is None else trials)


def test_parameters_that_do_nothing_in_a_run_make_no_runs(base: Path, results: Results) -> None:
    """So that attention is compared with its absence in one grid, which is trained once."""
    parameters = {"model.pooling": ["mean", "attention"], "model.attention.r": [1, 5], "model.attention.d_a": [3, 4]}
    grid = load_grid(write_grid(base, parameters), results)
    assert len(grid.configs) == 1 + 4
    (without,) = [run for run in grid.plan.runs if run.parameters["model.pooling"] == "mean"]
    assert without.parameters == {"model.pooling": "mean"}


def test_overrides_are_for_all_runs_and_narrow_a_parameter(base: Path, results: Results) -> None:
    grid = load_grid(write_grid(base, LAYERS), results, ["model.layers=2", "training.epochs=1"])
    assert {(config.model.layers, config.training.epochs) for config in grid.configs} == {(2, 1)}
    assert len(grid.configs) == 4
    assert grid.plan.parameters["training.epochs"] == [1]


def test_all_mistakes_of_all_runs_are_told_at_once_and_nothing_is_written(
    base: Path, results: Results, tmp_path: Path
) -> None:
    parameters = {
        "model.layers": [1, 99],
        "model.kind": ["rnn", "feed_forward"],
        "model.pooling": "last",
        "training.epohcs": 3,
        "data.source": [str(tmp_path / "nothing.csv"), "sentiment140", "sample"],
        "elmo.model": ["small", "tiny"],
    }
    lines = _refusal(write_grid(base, parameters), results).splitlines()
    assert lines[0] == "grid 'some' cannot be run:"
    assert len(lines) == 4
    assert "training.epohcs: unknown key (an override); did you mean 'epochs'? Valid: optimizer, learning_r" in lines[1]
    assert "model.layers = 99 (an override): input should be less than or equal to 8 [in 12 of 24 runs," in lines[2]
    assert "model: pooling 'last' needs model.kind 'rnn'" in lines[3]
    assert not results.root.exists()

    del parameters["training.epohcs"]
    lines = _refusal(write_grid(base, parameters), results).splitlines()
    assert "model.layers = 99" in lines[1]
    assert "model: pooling 'last' needs model.kind 'rnn'" in lines[2]
    assert "[in 6 of 24 runs, first with data.source=" in lines[2]
    assert "nothing.csv': no such file; valid: sample, sentiment140, vader or the path of a table" in lines[3]
    assert "fetch them with `sentiment data sentiment140`" in lines[4]
    assert "elmo.model: ELMo model 'small' is not here: " in lines[5]
    assert "`sentiment prepare elmo small` fetches it" in lines[5]
    assert len(lines) == 6


def test_what_a_language_model_begins_with_is_told_by_its_own_field(base: Path, results: Results) -> None:
    message = _refusal(write_grid(base, {"elmo.model": "pretrained/small", "pretraining.init": "small"}), results)
    assert "pretraining.init: ELMo model 'small' is not here: " in message
    assert "elmo.model: " not in message


def test_vectors_and_test_sets_that_are_missing_are_told(base: Path, results: Results) -> None:
    parameters = {
        "embedding.pretrained": "vectors.txt",
        "data.tests.mine.path": "mine.csv",
        "data.tests.manual.path": "sentiment140",
    }
    message = _refusal(write_grid(base, parameters), results)
    assert "embedding.pretrained = 'vectors.txt': no such file" in message
    assert "data.tests.mine.path = 'mine.csv': no such file" in message
    assert "data.tests.manual.path = 'sentiment140': its tweets are not in" in message
    assert len(expand_grid(write_grid(base, parameters), results).configs) == 1
    message = _refusal(write_grid(base, {"encoder.model": "./nowhere"}), results)
    assert "encoder.model: encoder './nowhere': nowhere holds no model" in message


def test_planned_runs_keep_their_index_and_new_ones_come_behind_them(base: Path, results: Results) -> None:
    planned = load_grid(write_grid(base, LAYERS), results)
    results.write_grid(planned.plan)
    grown = {"seed": [3, 1, 2], "model.cell": ["lstm", "gru"], "model.layers": [2, 1]}
    grid = load_grid(write_grid(base, grown, description="Asked better?"), results)
    assert grid.plan.runs[:8] == planned.plan.runs
    assert [run.parameters["seed"] for run in grid.plan.runs[8:]] == [3] * 4
    assert [run.index for run in grid.plan.runs] == list(range(12))
    assert [config.run_id for config in grid.configs] == _ids(grid)
    assert grid.plan.description == "Asked better?"


def test_plan_that_the_file_no_longer_contains_is_refused_and_told_why(base: Path, results: Results) -> None:
    planned = load_grid(write_grid(base, LAYERS), results)
    results.write_grid(planned.plan)
    message = _refusal(write_grid(base, LAYERS | {"seed": [1], "training.epochs": 2}), results)
    assert "no longer contains 8 of the 8 runs that are planned in" in message
    assert "  seed: was [2, 1], is [1]" in message
    assert "  training.epochs: was that of the base run, is [2]" in message
    assert "model.cell" not in message
    assert f"move {results.runs / 'some'} away" in message
    assert results.read_grid("some") == planned.plan


def test_changed_base_run_is_noticed(base: Path, results: Results) -> None:
    path = write_grid(base, LAYERS)
    results.write_grid(load_grid(path, results).plan)
    write_yaml(base, read_yaml(base) | {"seed": 3, "embedding": {"size": 9}})
    assert f"no parameter, but {base}, a default of this program" in _refusal(path, results)


def test_machine_settings_may_change_under_a_plan(base: Path, results: Results) -> None:
    path = write_grid(base, LAYERS)
    results.write_grid(load_grid(path, results).plan)
    grid = load_grid(path, results, ["runtime.threads=2"])
    assert {config.runtime.threads for config in grid.configs} == {2}


def test_values_without_effect_and_spellings_of_a_path_make_no_runs(
    base: Path, results: Results, tweets_file: Path
) -> None:
    spellings = [
        str(tweets_file),
        str(tweets_file.parent / "." / "x" / ".." / tweets_file.name).replace("/x/", "/./x/"),
    ]
    grid = expand_grid(write_grid(base, {"data.source": spellings, "data.neutral_band": [0.1, 0.2]}), results)
    assert len(grid.configs) == 1
