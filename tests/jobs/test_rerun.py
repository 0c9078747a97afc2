"""Which runs `rerun` and `cancel` mean, and what a rerun gets more of."""

from pathlib import Path

import pytest

from jobs.cluster import Resources
from jobs.desk import Desk, parts_for
from jobs.manifest import SubmissionDir, new_submission, write_intent
from jobs.selection import CAUSES, find_targets, select
from jobs.slurm import ENDED
from jobs.state import LOST, UNKNOWN
from jobs.status import Row
from sentiment.config import RunConfig
from sentiment.config_file import resolve
from sentiment.errors import UsageError
from sentiment.run_dir import Results
from tests.jobs.grid_files import write_yaml
from tests.jobs.test_status import PLAN, _row

ROWS = [
    _row(state, run_id=f"{state.lower()}")
    for state in ("COMPLETED", "PLANNED", "FAILED", "TIMEOUT", "LOST", "NODE_FAIL", "OUT_OF_MEMORY", "CANCELLED")
] + [_row("RUNNING", active=True, run_id="running"), _row("PENDING", active=True, run_id="pending")]


@pytest.mark.parametrize(
    ("causes", "run_ids", "chosen"),
    [
        ([], [], ["failed", "timeout", "lost", "node_fail", "out_of_memory"]),
        (["failed"], [], ["failed"]),
        (["timeout"], [], ["timeout"]),
        (["lost"], [], ["lost", "node_fail"]),
        (["oom", "timeout"], [], ["timeout", "out_of_memory"]),
        (["cancelled"], [], ["cancelled"]),
        ([], ["cancelled", "failed"], ["failed", "cancelled"]),
        ([], ["running", "completed", "planned"], []),
        (["oom"], ["failed"], []),
    ],
    ids=str,
)
def test_only_what_is_asked_for_is_rerun(causes: list[str], run_ids: list[str], chosen: list[str]) -> None:
    assert [row.run_id for row in select(ROWS, causes, set(run_ids))] == chosen


def test_every_end_without_result_has_a_cause() -> None:
    assert set().union(*CAUSES.values()) == {*ENDED, LOST, UNKNOWN} - {"COMPLETED"}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    results = Results(tmp_path / "results")
    results.write_grid(PLAN)
    results.write_grid(PLAN.model_copy(update={"name": "other", "runs": []}))
    return results


def test_grids_and_runs_are_found_by_their_names(results: Results) -> None:
    found = {plan.name: runs for plan, runs in find_targets(["run-1", "other"], results)}
    assert found == {"g": {"run-1"}, "other": set()}
    assert [plan.name for plan, _ in find_targets([], results)] == ["g", "other"]
    assert find_targets(["g", "run-1"], results) == [(PLAN, set())]


def test_name_that_is_neither_is_refused(results: Results) -> None:
    with pytest.raises(UsageError, match=r"run-9: neither a grid nor a run in .*; grids here: g, other"):
        find_targets(["g", "run-9"], results)


def _cluster(folder: Path, **defaults: object) -> Path:
    return write_yaml(folder / "cluster.yaml", {"defaults": {"time_minutes": 60, **defaults}})


def _given(results: Results, configs: list[RunConfig], resources: Resources) -> dict[str, tuple[SubmissionDir, int]]:
    tasks = [[config.run_id] for config in configs]
    folder = write_intent(new_submission(results, "g", "train", tasks, resources, 1, 90, None), configs)
    return {config.run_id: (folder, task) for task, config in enumerate(configs)}


def test_rerun_gets_more_of_what_was_lacking(results: Results, tmp_path: Path) -> None:
    configs = [resolve({}, {"seed": seed}, "a test") for seed in range(4)]
    states = ("OUT_OF_MEMORY", "TIMEOUT", "FAILED", "LOST")
    runs = [(_row(state, run_id=config.run_id), config) for state, config in zip(states, configs, strict=True)]
    places = _given(results, configs, Resources(time_minutes=90, memory_gb=8))
    cluster = _cluster(tmp_path, memory_gb=4, memory_factor=1.5, time_factor=2.0)
    parts = parts_for(runs, "g", cluster, places, most_tasks=1000)
    given = {run: part.resources for part in parts for task in part.tasks for run in task}
    assert [given[config.run_id].memory_gb for config in configs] == [12, 4, 4, 4]
    assert [given[config.run_id].time_minutes for config in configs] == [60, 180, 60, 60]
    assert [len(part.tasks) for part in parts if part.kind == "train"] == [1, 1, 2]


def test_configurations_come_from_the_submission_or_from_a_run_that_was_begun_without_slurm(results: Results) -> None:
    configs = [resolve({}, {"seed": seed}, "a test") for seed in range(3)]
    places = _given(results, configs[:2], Resources())
    results.run_dir(configs[2].run_id, "g").create(configs[2])
    desk = Desk(results, PLAN, [], [places[configs[0].run_id][0]])
    rows = [_row("FAILED", run_id=config.run_id) for config in configs]
    assert desk.configs(rows) == list(zip(rows, configs, strict=True))


def test_more_memory_than_nobody_knows_is_a_mistake(results: Results, tmp_path: Path) -> None:
    config = resolve({}, {}, "a test")
    row: Row = _row("OUT_OF_MEMORY", run_id=config.run_id)
    places = _given(results, [config], Resources())
    with pytest.raises(UsageError, match="no memory_gb is configured"):
        parts_for([(row, config)], "g", _cluster(tmp_path), places, most_tasks=1000)
