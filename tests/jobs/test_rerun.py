"""Which runs `rerun` and `cancel` mean, and what a rerun gets more of."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from jobs.grids.grid import load_grid
from jobs.local import rerun_here
from jobs.session import GridSession, chain_for, missing_runs, tell_held
from jobs.slurm.commands import ENDED
from jobs.slurm.resources import Resources
from jobs.slurm.submissions import SubmissionDir, new_submission, write_intent
from jobs.status.grid_status import RunStatus
from jobs.status.selection import CAUSES, find_targets, select
from jobs.status.slurm_task_state import UNKNOWN
from jobs.tasks.attempt import Outcome
from sentiment.config import RunConfig
from sentiment.config_file import resolve
from sentiment.errors import SlurmError, UsageError
from sentiment.run_dir import Results
from sentiment.run_state import HELD, LOST
from tests.jobs.grid_files import write_grid, write_yaml
from tests.jobs.test_status import LAUNCH_FAILED, PLAN, _row, queued, submitted

ROWS = [
    _row(state, run_id=f"{state.lower()}")
    for state in (
        "COMPLETED",
        "PLANNED",
        "FAILED",
        "TIMEOUT",
        "LOST",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "CANCELLED",
        "HELD",
    )
] + [_row("RUNNING", active=True, run_id="running"), _row("PENDING", active=True, run_id="pending")]


@pytest.mark.parametrize(
    ("causes", "run_ids", "chosen"),
    [
        ([], [], ["failed", "timeout", "lost", "node_fail", "out_of_memory", "held"]),
        (["failed"], [], ["failed"]),
        (["timeout"], [], ["timeout"]),
        (["lost"], [], ["lost", "node_fail"]),
        (["oom", "timeout"], [], ["timeout", "out_of_memory"]),
        (["cancelled"], [], ["cancelled"]),
        (["held"], [], ["held"]),
        ([], ["cancelled", "failed"], ["failed", "cancelled"]),
        ([], ["running", "completed", "planned"], []),
        (["oom"], ["failed"], []),
    ],
    ids=str,
)
def test_only_what_is_asked_for_is_rerun(causes: list[str], run_ids: list[str], chosen: list[str]) -> None:
    assert [row.run_id for row in select(ROWS, causes, set(run_ids))] == chosen


def test_every_state_that_needs_somebody_has_a_cause() -> None:
    assert set().union(*CAUSES.values()) == {*ENDED, LOST, UNKNOWN, HELD} - {"COMPLETED"}


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


@pytest.mark.parametrize("command", ["rerun", "status"])
def test_command_that_finds_no_grid_says_so(command: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [command, "--results", str(tmp_path / "nothing")])
    assert (done.exit_code, done.output) == (0, "no grid was submitted yet: python -m jobs submit GRID\n")


def test_rerun_gets_more_of_what_was_lacking(results: Results, tmp_path: Path) -> None:
    configs = [resolve({}, {"seed": seed}, "a test") for seed in range(4)]
    states = ("OUT_OF_MEMORY", "TIMEOUT", "FAILED", "LOST")
    runs = [(_row(state, run_id=config.run_id), config) for state, config in zip(states, configs, strict=True)]
    places = _given(results, configs, Resources(time_minutes=90, memory_gb=8))
    cluster = _cluster(tmp_path, memory_gb=4, memory_factor=1.5, time_factor=2.0)
    parts = chain_for(runs, results, "g", cluster, places, most_tasks=1000)
    given = {run: part.resources for part in parts for task in part.tasks for run in task}
    assert [given[config.run_id].memory_gb for config in configs] == [12, 4, 4, 4]
    assert [given[config.run_id].time_minutes for config in configs] == [60, 180, 60, 60]
    assert [len(part.tasks) for part in parts if part.kind == "train"] == [1, 1, 2]


def test_configurations_come_from_the_submission_or_from_a_run_that_was_begun_without_slurm(results: Results) -> None:
    configs = [resolve({}, {"seed": seed}, "a test") for seed in range(3)]
    places = _given(results, configs[:2], Resources())
    results.run_dir(configs[2].run_id, "g").create(configs[2])
    desk = GridSession(results, PLAN, [], [places[configs[0].run_id][0]])
    rows = [_row("FAILED", run_id=config.run_id) for config in configs]
    assert desk.configs(rows) == list(zip(rows, configs, strict=True))


def test_more_memory_than_nobody_knows_is_a_mistake(results: Results, tmp_path: Path) -> None:
    config = resolve({}, {}, "a test")
    row: RunStatus = _row("OUT_OF_MEMORY", run_id=config.run_id)
    places = _given(results, [config], Resources())
    with pytest.raises(UsageError, match="no memory_gb is configured"):
        chain_for([(row, config)], results, "g", _cluster(tmp_path), places, most_tasks=1000)


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What scontrol and scancel were told, one line each; they refuse job 9."""
    log, programs = tmp_path / "orders", tmp_path / "programs"
    programs.mkdir()
    for name in ("scontrol", "scancel"):
        (programs / name).write_text(
            f"#!/bin/sh\necho {name} $* >> {log}\n"
            'case "$*" in *" 9"*) echo "9_0: Access/permission denied" >&2; exit 1;; esac\n'
        )
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return lambda: log.read_text().splitlines() if log.exists() else []


def _held_desk(results: Results) -> GridSession:
    """Of three runs, one is held, one waits, and one waits for vectors whose job is held."""
    cache = submitted(results, "cache", "6", [])
    first = submitted(results, "train", "7", ["run-0", "run-1"])
    second = submitted(results, "train", "8", ["run-2"], "afterok:6")
    report = submitted(results, "report", "10", [])
    jobs = [
        queued(cache, 0, LAUNCH_FAILED),
        queued(first, 0, LAUNCH_FAILED),
        queued(first, 1, "Priority"),
        queued(second, 0, "Dependency"),
        queued(report, None, "JobHeldUser"),
    ]
    return GridSession(results, PLAN, jobs, [cache, first, second, report])


def test_report_is_missing_if_nobody_submitted_it_or_it_is_gone_before_its_training(results: Results) -> None:
    training = submitted(results, "train", "7", ["run-0"])
    running = queued(training, 0, "None", "RUNNING")
    assert not GridSession(results, PLAN, [], []).lacks_report
    assert GridSession(results, PLAN, [running], [training]).lacks_report
    assert GridSession(results, PLAN, [], [training]).lacks_report  # the next command came when training had ended
    report = submitted(results, "report", "8", [])
    waiting = queued(report, None, "Dependency")
    assert not GridSession(results, PLAN, [running, waiting], [training, report]).lacks_report
    assert not GridSession(results, PLAN, [], [training, report]).lacks_report
    assert GridSession(results, PLAN, [running], [training, report]).lacks_report
    again = submitted(results, "train", "9", ["run-0"])
    assert GridSession(results, PLAN, [], [training, report, again]).lacks_report


def test_held_jobs_are_released_and_none_that_their_user_holds(
    results: Results, orders: Callable[[], list[str]]
) -> None:
    desk = _held_desk(results)
    assert desk.release(desk.rows) == ["6_0", "7_0"]
    assert orders() == ["scontrol release 6_0 7_0"]


def test_nothing_is_released_where_nothing_is_held(results: Results, orders: Callable[[], list[str]]) -> None:
    first = submitted(results, "train", "7", ["run-0", "run-1", "run-2"])
    desk = GridSession(results, PLAN, [queued(first, number, "Priority") for number in range(3)], [first])
    assert desk.release(desk.rows) == []
    assert orders() == []


def test_slurms_refusal_to_release_a_job_is_told(results: Results, orders: Callable[[], list[str]]) -> None:
    first = submitted(results, "train", "9", ["run-0"])
    desk = GridSession(results, PLAN, [queued(first, 0, "JobHeldAdmin")], [first])
    with pytest.raises(SlurmError, match="scontrol: 9_0: Access/permission denied"):
        desk.release(desk.rows)


def test_held_runs_are_cancelled_as_those_that_wait(results: Results, orders: Callable[[], list[str]]) -> None:
    desk = _held_desk(results)
    assert desk.cancel(desk.rows) == ["7_0", "7_1", "8_0"]
    assert orders() == ["scancel 7_0 7_1 8_0"]


def test_held_run_is_not_submitted_again_but_told(base: Path, results: Results) -> None:
    grid = load_grid(write_grid(base, {"seed": [1, 2, 3]}), results)
    states = ("HELD", "FAILED", "COMPLETED")
    rows = [_row(state, run_id=run.run_id) for state, run in zip(states, grid.plan.runs, strict=True)]
    assert [row.state for row, _ in missing_runs(grid, rows)] == ["FAILED"]
    told = "1 of 3 runs are held in Slurm's queue; `python -m jobs rerun some --held` frees them"
    assert list(tell_held("some", rows)) == [told]
    assert list(tell_held("some", rows[1:])) == []


def test_held_runs_are_left_to_slurm_by_a_rerun_here(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = submitted(results, "train", "7", ["run-0"])
    squeue = tmp_path / "squeue"
    squeue.write_text(
        f"#!/bin/sh\necho '7|0|PENDING|{LAUNCH_FAILED}|0:00|N/A|N/A||{first.submission.name}'\n", encoding="utf-8"
    )
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    said: list[str] = []
    assert rerun_here(results, PLAN, [], set(), None, said.append) is Outcome.COMPLETED
    assert said == [
        "1 of 1 runs are held in Slurm's queue; `python -m jobs rerun g --held` frees them",
        "nothing to do",
    ]
