"""From files to runs: order, draws, bases of other grids, runs that are taken over."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from jobs.grids.expand import Base, expand
from jobs.grids.grid import ExpandedGrid, completed_elsewhere, copy_completed
from jobs.grids.sweep_file import Choices
from jobs.tasks.attempt import record_failure
from sentiment.config import EmbeddingConfig
from sentiment.config_file import read_yaml, resolve
from sentiment.errors import DataError, DivergedError, KilledError, NoProgressError, UsageError
from sentiment.runs.code_version import running_code
from sentiment.runs.records import PlannedRun, Result
from sentiment.runs.run_dir import Results, RunDir
from tests.jobs.grid_files import (
    Judge,
    draw,
    finish,
    load_grid,
    refusal,
    starts_from,
    write_base,
    write_grid,
    write_yaml,
)
from tests.small_runs import Experiment, digest_of, load_config, stored

LAYERS = {"model.layers": [1, 2], "model.cell": ["gru", "lstm"], "seed": [2, 1]}


def _ids(grid: ExpandedGrid) -> list[str]:
    return [run.run_id for run in grid.plan.runs]


def test_runs_are_ordered_by_the_names_of_parameters_and_the_order_of_values(base: Path, results: Results) -> None:
    grid = load_grid(write_grid(base, LAYERS), results)
    parameters = [tuple(run.parameters.values()) for run in grid.plan.runs]
    assert parameters[:3] == [("gru", 1, 2), ("gru", 1, 1), ("gru", 2, 2)]
    assert [run.index for run in grid.plan.runs] == list(range(8))


def test_grid_of_too_many_runs_is_refused_by_its_count(base: Path, results: Results) -> None:
    huge = {f"p{number}": list(range(10)) for number in range(40)} | {"seed": {"min": 0, "max": 1_000_000_000}}
    told = refusal(load_grid, write_grid(base, huge), results)
    assert "more than 50,000 combinations; seed alone has 1,000,000,001 values" in told


@pytest.mark.parametrize(("trials", "number"), [(None, 2 * (2 + 3)), (7, 7)])
def test_expansion_has_each_run_once_in_whatever_order(trials: int | None, number: int) -> None:
    values = {"seed": [2, 1], "model.pooling": ["last", "attention", "mean"], "model.attention.r": [9, 1, 5]}
    space = {name: Choices(choices) for name, choices in values.items()}
    ids, turned = (
        [config.run_id for _, config in expand([Base("nowhere", {}, {}, {})], one, trials, 3)[0]]
        for one in (space, dict(reversed(space.items())))
    )
    assert ids == turned, "the order of parameters in a file is nobody's intention"
    assert len({*ids}) == len(ids) == number


def test_all_mistakes_of_all_runs_are_told_at_once_and_nothing_is_written(base: Path, results: Results) -> None:
    parameters = {
        "model.layers": [1, 99],
        "model.kind": ["rnn", "feed_forward"],
        "model.pooling": "last",
        "training.epohcs": 3,
        "data.source": ["nothing.csv", "sentiment140", "sample"],
        "elmo.model": ["small", "none"],
    }
    mistakes = ["training.epohcs: unknown key", "model.layers = 99", "model: pooling 'last' needs model.kind 'rnn'"]
    _, *lines = refusal(load_grid, write_grid(base, parameters), results).splitlines()
    assert [line.lstrip().startswith(one) for line, one in zip(lines, mistakes, strict=True)] == [True] * 3
    assert "[in 12 of 24 runs," in lines[1]
    assert not results.root.exists()
    del parameters["training.epohcs"]
    told = refusal(load_grid, write_grid(base, parameters), results)
    assert "[in 6 of 24 runs, first with data.source=" in told
    for missing in ("nothing.csv': no such", "`sentiment data sentiment140 --", "`sentiment prepare elmo small --"):
        assert missing in told


@pytest.mark.parametrize(
    ("parameter", "value", "told"),
    [
        ("data.tests.mine.path", "mine.csv", "data.tests.mine.path = 'mine.csv': no such file"),
        ("data.tests.manual.path", "sentiment140", "manual.path = 'sentiment140': its tweets are not in"),
        ("embedding.pretrained", "vectors.txt", "embedding.pretrained = 'vectors.txt': no such file"),
        ("encoder.model", "./nowhere", "encoder.model: encoder './nowhere': nowhere holds no whole model"),
    ],
)
def test_input_that_is_missing_is_named(base: Path, results: Results, parameter: str, value: str, told: str) -> None:
    assert told in refusal(load_grid, write_grid(base, {parameter: value}), results)


def test_parameters_without_effect_make_no_runs(base: Path, results: Results, tweets_file: Path) -> None:
    other = tweets_file.parent / "." / "x" / ".." / tweets_file.name  # the same file
    parameters = {"model.pooling": ["mean", "attention"], "model.attention.r": [1, 5], "model.attention.d_a": [3, 4]}
    without_effect = {"data.source": [str(tweets_file), str(other)], "vectors.epochs": [3, 4]}
    path = write_grid(base, parameters | without_effect)
    grid = load_grid(path, results)
    assert len(grid.configs) == 1 + 4
    (without,) = [run for run in grid.plan.runs if run.parameters["model.pooling"] == "mean"]
    assert "model.attention.r" not in without.parameters
    grid = load_grid(path, results, ["model.attention.r=5", "training.epochs=1"])
    assert (len(grid.configs), {config.training.epochs for config in grid.configs}) == (1 + 2, {1})
    assert grid.plan.parameter_values["training.epochs"] == ["1"]


def test_runs_of_another_grid_are_repeated_by_parameters(base: Path, results: Results, like: Result) -> None:
    first = {"model.hidden_size": [5, 6], "training.epochs": 1, "model.pooling": "max", "data.columns.label": "label"}
    finish(results, load_grid(write_grid(base, first, name="first"), results), like, lambda run: (0.8, False))
    other = {"model": {"hidden_size": 9, "bidirectional": False}, "seed": 4, "embedding": {"size": 7}}
    other_file = write_yaml(base.parent / "other" / "base.yaml", read_yaml(base) | other)
    varied = {"model.dropout": [0.2, 0.3], "description": "a: b #c"}
    grid = load_grid(write_grid(other_file, varied, name="second", **starts_from("first", "best", count=2)), results)
    assert (grid.plan.base, grid.plan.parameter_values["embedding.size"]) == (str(other_file), ["8"])
    for run, config in zip(grid.plan.runs, grid.configs, strict=True):
        overrides = run.overrides()[1::2]  # each after a --set
        assert load_config(Path(grid.plan.base), overrides).run_id == run.run_id == config.run_id


def test_planned_runs_keep_their_time_and_index_and_new_ones_come_behind_them(base: Path, results: Results) -> None:
    planned = load_grid(write_grid(base, LAYERS), results)
    results.write_grid(planned.plan)
    grown = {"seed": [3, 1, 2], "model.cell": ["lstm", "gru"], "model.layers": [2, 1]}
    grid = load_grid(write_grid(base, grown), results)
    assert grid.plan.runs[:8] == planned.plan.runs
    assert grid.plan.planned_at == planned.plan.planned_at
    assert [(run.index, run.parameters["seed"]) for run in grid.plan.runs[8:]] == [(8 + new, 3) for new in range(4)]
    assert [config.run_id for config in grid.configs] == _ids(grid)


def test_each_mistake_in_a_hypothesis_is_a_line_when_the_grid_is_read(base: Path, results: Results) -> None:
    wrong = {"claim": "A.", "setting": "model.layers", "values": 3, "better_than": 1}
    unknown = {"claim": "B.", "setting": "model.pooling", "values": "max", "better_than": "last"}
    grid = write_grid(base, LAYERS, controller={"hypotheses": [wrong, unknown]})
    lines = refusal(load_grid, grid, results).splitlines()
    assert "hypothesis 'A.': model.layers has no value 3 in this grid; it has 1, 2" in lines[1]
    assert "hypothesis 'B.': setting 'model.pooling' is none of the grid's parameters" in lines[2]


def test_plan_that_the_file_no_longer_contains_is_refused_and_told_why(base: Path, results: Results) -> None:
    labels = ['data.labels={"negative": ["0"], "positive": ["1"], "ignored": []}']
    planned = load_grid(write_grid(base, LAYERS), results, labels)
    results.write_grid(planned.plan)
    changed = write_grid(base, LAYERS | {"seed": [1], "training.epochs": 2})
    message = refusal(load_grid, changed, results, labels)
    assert "data.labels" not in message
    assert "no longer contains 8 of the 8 runs that are planned in" in message
    for change in ("  seed: was ['2', '1'], is ['1']\n", "  training.epochs: was that of the base run, is ['2']"):
        assert change in message
    write_yaml(base, read_yaml(base) | {"seed": 3, "embedding": {"size": 9}})
    assert f"no parameter, but {base}" in refusal(load_grid, write_grid(base, LAYERS), results, labels)


# Validation accuracy by hidden size and seed or fold; 0.80 is that of a run which overfits.
SCORES = [0.70, 0.72, 0.90, 0.80, 0.75, 0.77, 0.79, 0.60]
FIRST: dict[str, Any] = {"model.hidden_size": [4, 5, 6, 7], "model.layers": 1, "seed": [1, 2]}


def _by_table(run: PlannedRun) -> tuple[float, bool]:
    repetition = run.parameters.get("seed") or run.parameters["data.fold"]
    score = SCORES[2 * (run.parameters["model.hidden_size"] - 4) + repetition - 1]
    return score, score == 0.80


def _run_first(
    base: Path, results: Results, like: Result, judge: Judge = _by_table, parameters: dict[str, Any] = FIRST
) -> None:
    finish(results, load_grid(write_grid(base, parameters, name="first"), results), like, judge)


def _fail_one(
    base: Path, results: Results, like: Result, cause: Exception, failing: int = 1
) -> tuple[list[str], ExpandedGrid | str]:
    """One run fails, all others get their results: the ids, and what starts from the best, or why nothing can."""
    _run_first(base, results, like, lambda run: None if run.index == failing else _by_table(run))
    run_ids = [run.run_id for run in results.read_grid("first").runs]
    record_failure(results.run_dir(run_ids[failing], "first"), cause)
    best = write_grid(base, {"training.epochs": 9}, name="second", **starts_from("first", "best"))
    try:
        return run_ids, load_grid(best, results)
    except UsageError as error:
        return run_ids, str(error)


def test_each_run_that_overfits_is_varied_with_its_own_seed(base: Path, results: Results, like: Result) -> None:
    _run_first(base, results, like)
    base.write_text("embedding: {size: 50}\n", encoding="utf-8")  # they stay as they were
    varied = {"model.dropout": [0.0, 0.5], "training.clip": [1.0, 0.1]}
    grid = load_grid(write_grid(base, varied, name="second", **starts_from("first", "overfitting")), results)
    found = {(config.model.hidden_size, config.seed, config.embedding.size) for config in grid.configs}
    assert (len(grid.configs), found) == (4, {(5, 2, 8)})
    assert [run.parameters["model.dropout"] for run in grid.plan.runs] == [one.model.dropout for one in grid.configs]


def test_net_that_learned_nothing_neither_overfits_nor_is_the_best(base: Path, results: Results, like: Result) -> None:
    _run_first(base, results, like)
    plan = results.read_grid("first")
    for run in plan.runs:
        if run.parameters["model.hidden_size"] == 5:
            run_dir = results.run_dir(run.run_id, "first")
            run_dir.write_record(stored(run_dir, Result).model_copy(update={"only_label": 0}))
    for runs, sizes in (("overfitting", []), ("best", [6])):
        file = write_grid(base, {"model.dropout": 0.5}, name="second", **starts_from("first", runs))
        assert _sizes(load_grid(file, results)) == sizes


def test_further_files_of_runs_are_varied_like_the_first(base: Path, results: Results) -> None:
    other = write_yaml(base.with_name("other.yaml"), {"elmo": {"model": "tiny"}, "training": {"epochs": 2}})
    changes = {"controller": {"type": "cloud", "files": [str(other)]}}
    grid = load_grid(write_grid(base, {"seed": [1, 2]}, **changes), results, check_inputs=False)
    assert [bool(config.elmo) for config in grid.configs] == [False, False, True, True]
    assert grid.configs[2].embedding == EmbeddingConfig()
    for run, config in zip(grid.plan.runs, grid.configs, strict=True):
        assert resolve(read_yaml(base), run.parameters, "the test").run_id == run.run_id == config.run_id
    named = load_grid(write_grid(base, {"elmo.model": "small"}, **changes), results, check_inputs=False)
    assert [config.elmo and config.elmo.model for config in named.configs] == [None, "small"]
    missing = write_grid(base, {"seed": [1, 2]}, controller={"files": ["none.yaml"]})
    assert "none.yaml: no such file" in refusal(load_grid, missing, results)


def _sizes(grid: ExpandedGrid) -> list[int]:
    return [config.model.hidden_size for config in grid.configs]


@pytest.mark.parametrize("repeated", [{"seed": [1, 2]}, {"data.folds": 2, "data.fold": [1, 2]}], ids=["seed", "fold"])
def test_best_is_by_the_mean_over_seeds_and_folds_of_those_that_never_overfit(
    base: Path, results: Results, like: Result, repeated: dict[str, Any]
) -> None:
    _run_first(base, results, like, parameters={"model.hidden_size": [4, 5, 6, 7], "model.layers": 1} | repeated)
    drawn = draw(trials=6)
    drawn["controller"] |= starts_from("first", "best")["controller"]
    grid = load_grid(write_grid(base, {"training.epochs": list(range(1, 11))}, name="second", **drawn), results)
    assert _sizes(grid) == [6] * 6
    by_loss = starts_from("first", "best") | {"metric": {"name": "validation/loss", "goal": "minimize"}}
    for chosen, best in ((starts_from("first", "best", count=2), [6, 4]), (by_loss, [6])):
        assert _sizes(load_grid(write_grid(base, {"training.epochs": 9}, name="third", **chosen), results)) == best


def test_grid_that_was_never_run_or_is_unfinished_is_no_base_yet(base: Path, results: Results, like: Result) -> None:
    path = write_grid(base, {"model.dropout": 0.5}, name="second", **starts_from("first", "overfitting"))
    assert "starts from runs of grid 'first', which has no plan" in refusal(load_grid, path, results)
    _run_first(base, results, like, lambda run: None if run.parameters["seed"] == 2 else (0.8, True))
    message = refusal(load_grid, path, results)
    assert "is not finished: 4 of 8 runs have no result yet, such as bilstm4-mean_max-s2-" in message
    assert f"see `{results.command('status', 'first')}`" in message


@pytest.mark.parametrize(("failing", "best"), [(4, 4), (1, 6)], ids=["a seed of the best", "a seed of another one"])
def test_run_that_would_diverge_again_is_left_out_and_told(
    base: Path, results: Results, like: Result, failing: int, best: int
) -> None:
    run_ids, grid = _fail_one(base, results, like, DivergedError("the loss is nan"), failing)
    assert isinstance(grid, ExpandedGrid)
    diverged = f"{run_ids[failing]}, which failed: DivergedError: the loss is nan"
    assert (_sizes(grid), grid.plan.starts_from.left_out) == ([best], [diverged])
    overfitting = write_grid(base, {"model.dropout": 0.5}, name="third", **starts_from("first", "overfitting"))
    grid = load_grid(overfitting, results)
    assert [(config.model.hidden_size, config.seed) for config in grid.configs] == [(5, 2)]


@pytest.mark.parametrize(
    "error", [KilledError("by signal 9"), NoProgressError("cut 3 times"), DataError("some.csv: no such file")], ids=repr
)
def test_run_that_may_complete_is_waited_for(base: Path, results: Results, like: Result, error: Exception) -> None:
    run_ids, told = _fail_one(base, results, like, error)
    assert f"is not finished: 1 of 8 runs have no result yet, such as {run_ids[1]};" in str(told)


def test_completed_run_of_another_grid_is_taken_over(base_of_trained: Path, results: Results, trained: RunDir) -> None:
    grid = load_grid(write_grid(base_of_trained, {"seed": [1, 2, 3]}), results)
    results.write_grid(grid.plan)
    taken, begun, unfinished = (run.run_id for run in grid.plan.runs)
    shutil.copytree(trained.path, results.run_dir(taken, "single").path)
    shutil.copytree(trained.path, results.run_dir(begun, "other").path)
    results.run_dir(begun, "some").create(grid.configs[1])
    results.run_dir(unfinished, "other").create(grid.configs[2])
    copy_completed(results, "some", completed_elsewhere(results, grid, running_code().training))
    target = results.run_dir(taken, "some")
    assert (target.read_config(), digest_of(target)) == (grid.configs[0], digest_of(trained))
    assert [results.run_dir(run_id, "some").completed for run_id in (taken, begun, unfinished)] == [True, False, False]
    assert completed_elsewhere(results, grid, running_code().training) == {}


def test_run_on_other_tweets_or_questions_is_not_taken(results: Results, tmp_path: Path, tweets_file: Path) -> None:
    table = tmp_path / "table.csv"
    shutil.copy(tweets_file, table)
    grid = load_grid(write_grid(write_base(tmp_path, table), {"seed": [1]}), results)
    config, run_id = grid.configs[0], grid.plan.runs[0].run_id
    source = Experiment(config, results, results.run_dir(run_id, "other"))
    source.complete()
    assert list(completed_elsewhere(results, grid, running_code().training)) == [run_id]
    before = table.read_bytes()
    table.write_bytes(before + b'1,"one more, a good one"\n')
    assert completed_elsewhere(results, grid, running_code().training) == {}
    table.write_bytes(before)
    assert list(completed_elsewhere(results, grid, running_code().training)) == [run_id]
    other = config.model_copy(update={"seed": 2})
    source.run_dir.write_config(other)
    assert completed_elsewhere(results, grid, running_code().training) == {}
