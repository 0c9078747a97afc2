"""Which runs `rerun` and `cancel` mean, and what a rerun gets more of."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from jobs.grid_jobs import GridJobs
from jobs.grids.grid import load_grid
from jobs.plan import WantedRun, plan_jobs
from jobs.policy import rerun
from jobs.session import GridSession, LaunchOptions, cancel_grid, rerun_grid
from jobs.slurm.commands import Job
from jobs.slurm.resources import ClusterFile, Resources
from jobs.status import describe_held, find_targets, run_configs
from jobs.submissions import SubmissionDir, new_submission, write_intent
from sentiment.config import RunConfig
from sentiment.config_file import read_yaml, resolve
from sentiment.errors import NoSlurmError, SlurmError, UsageError
from sentiment.runs.run_dir import Results
from tests.jobs.fake_slurm import FakeSlurm
from tests.jobs.grid_files import write_grid, write_yaml
from tests.jobs.submitted import LAUNCH_FAILED, PLAN, a_job, a_row, a_session, queued, submitted

ROWS = [
    a_row(state, run_id=f"{state.lower()}")
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
] + [a_row("RUNNING", active=True, run_id="running"), a_row("PENDING", active=True, run_id="pending")]


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
    meant = [row for row in ROWS if not run_ids or row.run_id in run_ids]
    assert [row.run_id for row in meant if rerun(row, causes, bool(run_ids))] == chosen


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


def _cluster(**defaults: object) -> ClusterFile:
    return ClusterFile.model_validate({"defaults": {"time_minutes": 60, **defaults}})


def _given(results: Results, configs: list[RunConfig], resources: Resources) -> GridJobs:
    job = a_job("train", [[config.run_id] for config in configs], configs, resources, 1)
    folder = write_intent(new_submission(results, "g", job, None))
    return GridJobs([folder], [])


@pytest.mark.parametrize("command", ["rerun", "status"])
def test_command_that_finds_no_grid_says_so(command: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [command, "--results", str(tmp_path / "nothing")])
    where = f"{tmp_path / 'nothing'}: no grid was submitted to this folder of results yet"
    assert (done.exit_code, done.output) == (0, f"{where}; sentiment submit GRID, or --results DIR\n")


def test_rerun_gets_more_of_what_was_lacking(results: Results, tmp_path: Path) -> None:
    configs = [resolve({}, {"seed": seed}, "a test") for seed in range(4)]
    states = ("OUT_OF_MEMORY", "TIMEOUT", "FAILED", "LOST")
    runs = [WantedRun(a_row(state, run_id=one.run_id), one, None) for state, one in zip(states, configs, strict=True)]
    jobs = _given(results, configs, Resources(time_minutes=90, memory_gb=8))
    cluster = _cluster(memory_gb=4, memory_factor=1.5, time_factor=2.0)
    parts = plan_jobs(runs, results, cluster, "g", jobs)
    given = {run: part.resources for part in parts for task in part.tasks for run in task}
    assert [given[config.run_id].memory_gb for config in configs] == [12, 4, 4, 4]
    assert [given[config.run_id].time_minutes for config in configs] == [60, 180, 60, 60]
    assert [len(part.tasks) for part in parts if part.kind == "train"] == [1, 1, 2]


def test_configurations_are_those_last_submitted_else_begun_else_planned(base: Path, results: Results) -> None:
    grid = load_grid(write_grid(base, {"seed": [1, 2, 3]}), results)
    submitted, begun, planned = grid.configs
    jobs = _given(results, [submitted.model_copy(update={"description": "as submitted"})], Resources())
    results.run_dir(submitted.run_id, "some").create(submitted)
    results.run_dir(begun.run_id, "some").create(begun.model_copy(update={"description": "as begun"}))
    run_ids = [run.run_id for run in grid.plan.runs]
    found, mistakes = run_configs(results, grid.plan, run_ids, jobs.places)
    assert mistakes == {}
    assert [found[run_id].run_id for run_id in run_ids] == run_ids
    assert [found[run_id].description for run_id in run_ids[:2]] == ["as submitted", "as begun"]
    assert found[planned.run_id] == planned


def test_run_that_never_began_and_is_no_longer_what_was_planned_is_told(base: Path, results: Results) -> None:
    grid = load_grid(write_grid(base, {"seed": [1]}), results)
    write_yaml(base, read_yaml(base) | {"embedding": {"size": 9}})
    (run_id,) = (run.run_id for run in grid.plan.runs)
    found, mistakes = run_configs(results, grid.plan, [run_id], {})
    assert (found, f"not {run_id} of grid some; bring back its own file" in mistakes[run_id]) == ({}, True)


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


def _session(results: Results, queue: list[Job], submissions: list[SubmissionDir]) -> GridSession:
    return a_session(results, GridJobs(submissions, queue))


def _release(session: GridSession) -> None:
    session._release([row for row in session.rows if rerun(row) == "releases"], False)


def _with_held_jobs(results: Results) -> GridSession:
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
    return _session(results, jobs, [cache, first, second, report])


def test_report_is_missing_if_nobody_submitted_it_or_it_is_gone_before_its_training(results: Results) -> None:
    training = submitted(results, "train", "7", ["run-0"])
    running = queued(training, 0, "None", "RUNNING")
    assert not GridJobs([], []).lacks_final_job
    assert GridJobs([training], [running]).lacks_final_job
    assert GridJobs([training], []).lacks_final_job  # the next command came when training had ended
    report = submitted(results, "report", "8", [])
    waiting = queued(report, None, "Dependency")
    assert not GridJobs([training, report], [running, waiting]).lacks_final_job
    assert not GridJobs([training, report], []).lacks_final_job
    assert GridJobs([training, report], [running]).lacks_final_job
    again = submitted(results, "train", "9", ["run-0"])
    assert GridJobs([training, report, again], []).lacks_final_job


def test_held_jobs_are_released_and_none_that_their_user_holds(
    results: Results, orders: Callable[[], list[str]]
) -> None:
    session = _with_held_jobs(results)
    _release(session)
    assert orders() == ["scontrol release 6_0 7_0"]


def test_nothing_is_released_where_nothing_is_held(results: Results, orders: Callable[[], list[str]]) -> None:
    first = submitted(results, "train", "7", ["run-0", "run-1", "run-2"])
    session = _session(results, [queued(first, number, "Priority") for number in range(3)], [first])
    _release(session)
    assert orders() == []


def test_slurms_refusal_to_release_a_job_is_told(results: Results, orders: Callable[[], list[str]]) -> None:
    first = submitted(results, "train", "9", ["run-0"])
    session = _session(results, [queued(first, 0, "JobHeldAdmin")], [first])
    with pytest.raises(SlurmError, match="scontrol: 9_0: Access/permission denied"):
        _release(session)


def test_held_runs_are_cancelled_as_those_that_wait(results: Results, orders: Callable[[], list[str]]) -> None:
    session = _with_held_jobs(results)
    assert session.cancel({"run-0", "run-1", "run-2"}) == ["run-0", "run-1", "run-2"]
    assert orders() == ["scancel 7_0 7_1 8_0"]


def test_cancelling_one_of_the_runs_that_share_tasks_leaves_the_others_alone(
    results: Results, orders: Callable[[], list[str]]
) -> None:
    job = a_job("train", [["run-0", "run-1"], ["run-2"]], [], Resources(at_once=2), 1)
    folder = write_intent(new_submission(results, "g", job, None))
    folder.accept("7")
    session = _session(results, [queued(folder, task, "Priority") for task in (0, 1)], [folder])
    assert session.cancel({"run-1"}) == ["run-1"]
    assert orders() == []
    assert folder.cancelled == {"run-1"}
    session.jobs = GridJobs(session.jobs.submissions, session.jobs.queue)
    assert [(row.state, row.active) for row in session.rows[:2]] == [("PENDING", True), ("CANCELLED", False)]
    assert {*session.cancel({"run-0", "run-2"})} == {"run-0", "run-2"}  # the last that go on
    assert orders() == ["scancel 7_0 7_1"]
    assert folder.cancelled == {"run-0", "run-1", "run-2"}


def test_cancel_of_a_grid_that_waits_nowhere_needs_no_slurm(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    cancel_grid(results, PLAN, set(), said.append)
    assert said == ["grid g: 0 runs cancelled"]
    submitted(results, "train", "7", ["run-0"])
    with pytest.raises(NoSlurmError):
        cancel_grid(results, PLAN, set(), said.append)


def test_held_run_is_not_submitted_again_but_told(base: Path, results: Results) -> None:
    grid = load_grid(write_grid(base, {"seed": [1, 2, 3]}), results)
    states = ("HELD", "FAILED", "COMPLETED")
    rows = [a_row(state, run_id=run.run_id) for state, run in zip(states, grid.plan.runs, strict=True)]
    told = "1 of 3 runs are held in the queue; `sentiment rerun some` frees them"
    assert list(describe_held("some", rows)) == [told]
    assert list(describe_held("some", rows[1:])) == []


def test_held_runs_are_left_to_slurm_by_a_rerun_here(results: Results, tmp_path: Path, slurm: FakeSlurm) -> None:
    first = submitted(results, "train", "7", ["run-0"])
    slurm.add(first.submission.name, "7", 0, "PENDING", LAUNCH_FAILED)
    said: list[str] = []
    assert rerun_grid(results, PLAN, [], set(), LaunchOptions(tmp_path / "none.yaml", local=True, say=said.append)) == 0
    assert said == [
        "1 of 1 runs are held in the queue; `sentiment rerun g` frees them",
        "nothing to do",
    ]
