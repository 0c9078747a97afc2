"""What commands do to grids beside a Slurm that works, is full, refuses or fails; intents, receipts and owners."""

import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from jobs import grid_jobs
from jobs.grid_jobs import GridJobs, QueueOwner
from jobs.grids.grid import ExpandedGrid
from jobs.launch.advance import release_held, rerun_grid, submit_study
from jobs.launch.backends import launch, load_configs
from jobs.launch.cancelling import cancel_active, cancel_grid, remove_grid
from jobs.launch.local_runner import LocalRunner
from jobs.launch.locked_grid import LaunchOptions
from jobs.requested import grid_lock, write_request
from jobs.status.grid_state import read_status
from jobs.status.names import Target, find_targets, read_plan
from jobs.submissions import SubmissionDir, read_submissions
from jobs.tasks.attempt import Outcome, record_failure
from jobs.tasks.grid_end import take_next_step
from sentiment.config_file import read_yaml
from sentiment.errors import ConfigError, DataError, LockedError, UsageError
from sentiment.files import write_atomically
from sentiment.runs.locks import Lock
from sentiment.runs.records import StartCount
from sentiment.runs.run_dir import Results, RunDir, sealed, short_id
from tests.commands import invoke, refused
from tests.invented import rungs_of
from tests.jobs.fake_slurm import FakeSlurm, call, states_of, submit_grid
from tests.jobs.grid_files import a_request, halving, load_grid, study_of, write_grid, write_yaml
from tests.jobs.submitted import (
    LAUNCH_FAILED,
    PLAN,
    DiedError,
    a_session,
    attempt_of,
    queued,
    submitted,
    write_attempts,
    write_epochs,
    write_submission,
)

FULL = (
    "echo 'sbatch: error: AssocMaxSubmitJobLimit' >&2; "
    "echo 'sbatch: error: Batch job submission failed: Job violates accounting/QOS policy' >&2; exit 1"
)


def test_submission_that_is_refused_does_not_pin_the_plan(slurm: FakeSlurm, base: Path, results: Results) -> None:
    grid = write_grid(base, {"seed": [1, 2]})
    slurm.fail("sbatch", "echo 'sbatch: error: invalid partition' >&2; exit 1")
    code, output = call(results, base, "submit", str(grid))
    assert (code, output.splitlines()[-1]) == (1, "error: sbatch: invalid partition")
    assert (results.read_grid("some"), read_submissions(results)) == (None, [])
    slurm.heal()
    submit_grid(results, base, {"seed": [3]})
    before = read_plan(results, "some")
    slurm.fail("sbatch", "exit 1")
    write_grid(base, {"seed": [3, 4]})
    assert call(results, base, "submit", str(grid))[0] == 1
    assert read_plan(results, "some") == before


def test_grid_without_room_is_refused_and_told_what_fits(slurm: FakeSlurm, base: Path, results: Results) -> None:
    grid = write_grid(base, {"seed": [1, 2, 3]})
    slurm.fail("sbatch", f'grep -q array=0-2 "$file" && {{ {FULL}; }}')
    code, output = call(results, base, "submit", str(grid))
    assert (code, "AssocMaxSubmitJobLimit" in output) == (3, True)
    assert output.endswith("; set `tasks: N` in the cluster file to use N tasks instead of 3\n")
    assert "scancel 101" in slurm.orders
    assert read_submissions(results) == []


def test_grid_that_is_locked_does_not_hold_up_the_others(slurm: FakeSlurm, base: Path, results: Results) -> None:
    for seed, name in enumerate(("some", "third")):
        submit_grid(results, base, {"seed": [seed]}, name=name)
    (slurm.folder / "jobs").write_text("")
    with grid_lock(results, "some"):
        code, output = call(results, base, "rerun")
    assert (code, "grid some: " in output, "already submits or cancels" in output) == (1, True, True)
    assert sum(slurm.tasks(results).values()) == 1


def test_new_job_is_not_lost(slurm: FakeSlurm, base: Path, results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    submit_grid(results, base, {"seed": [1]})
    jobs = (slurm.folder / "jobs").read_text()
    (slurm.folder / "jobs").write_text("")

    def read_just_then(*arguments: str) -> list[SubmissionDir]:
        (slurm.folder / "jobs").write_text(jobs)
        return read_submissions(results, "some")

    monkeypatch.setattr(grid_jobs, "read_submissions", read_just_then)
    assert states_of(results) == ["PENDING"]


def _ended(slurm: FakeSlurm, base: Path, results: Results) -> SubmissionDir:
    """The job that ends a grid, whose only run was killed."""
    submit_grid(results, base, {"seed": [1]})
    *_, training, ending = read_submissions(results)
    slurm.change(f"@{training.job_id}@0@PENDING@", f"@{training.job_id}@0@FAILED@")
    run_dir = results.run_dir(training.tasks[0][0], "some")
    run_dir.path.mkdir(parents=True)
    run_dir.write_record(StartCount(step=0, number=1, job=training.task_address(0)))
    return ending


def test_one_refusal_does_not_end_the_tries_and_a_hundred_do(
    slurm: FakeSlurm, base: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = _ended(slurm, base, results)
    slurm.fail("sbatch", "[ -e away ] || { touch away; exit 1; }")
    slurm.fail("scontrol", "if [ -e away ] && [ ! -e back ]; then touch back; exit 1; fi")
    assert take_next_step(ending, print) is Outcome.RETRY_LATER
    assert take_next_step(ending, print) is Outcome.COMPLETED
    (run,) = read_plan(results, "some").runs
    assert slurm.tasks(results) == {run.run_id: 1}
    slurm.fail("squeue", "exit 1")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "100")
    assert take_next_step(ending, print) is None


def test_grids_and_runs_are_found_by_their_names(results: Results) -> None:
    results.write_grid(PLAN)
    results.write_grid(PLAN.model_copy(update={"name": "other", "runs": []}))
    results.run_dir("run-1").path.mkdir(parents=True)
    assert find_targets(["run-1", "other"], results) == [
        *(Target("g", frozenset({"run-1"})), Target("other"), Target("single", frozenset({"run-1"})))
    ]
    assert find_targets([], results) == [Target("g"), Target("other")]
    assert find_targets(["g", "g/run-1"], results) == find_targets(["grids/g.yaml"], results) == [Target("g")]
    assert find_targets(["g/run-1"], results) == [Target("g", frozenset({"run-1"}))]
    for name in ("run-9", "other/run-1"):
        with pytest.raises(UsageError, match=f"{name}: neither a grid nor a run"):
            find_targets([name, "run-1"], results)


def test_wrong_grid_is_removed_by_the_command_that_is_told_and_its_name_is_free(
    slurm: FakeSlurm, base: Path, results: Results
) -> None:
    grid = submit_grid(results, base, {"seed": [1]})
    write_grid(base, {"seed": [2]})
    code, output = call(results, base, "submit", str(grid))
    assert (code, "A planned grid keeps its runs" in output) == (2, True)
    assert f"`{results.command('cancel', 'some', '--remove')}`" in output
    training = next(folder for folder in read_submissions(results) if folder.submission.job_kind.trains_runs)
    slurm.change(f"@{training.job_id}@0@PENDING@", f"@{training.job_id}@0@RUNNING@")
    slurm.fail("scancel", "exit 0")  # it saves first
    assert call(results, base, "cancel", "some", "--remove")[0] == 3
    slurm.heal()
    slurm.change(f"@{training.job_id}@0@RUNNING@", f"@{training.job_id}@0@CANCELLED@")
    assert call(results, base, "cancel", "some", "--remove") == (
        0,
        f"grid some: 0 runs cancelled\ngrid some: moved to {results.removed / 'some-1'}; its name is free\n",
    )
    assert call(results, base, "submit", str(grid))[0] == 0
    assert call(results, base, "cancel", "some", "--remove")[0] == 0
    assert sorted(path.name for path in results.removed.iterdir()) == ["some-1", "some-2"]
    assert "single: Ctrl+C" in refused(2, "cancel", "single", "--remove", "--results", results.root)


def test_each_grid_is_cancelled_though_an_earlier_one_cannot_be_removed_yet(
    slurm: FakeSlurm, base: Path, results: Results
) -> None:
    for seed, name in enumerate(("first", "second")):
        submit_grid(results, base, {"seed": [seed]}, name=name)
    slurm.fail("scancel", "exit 0")  # they save first
    code, output = call(results, base, "cancel", "first", "second", "--remove")
    assert (code, output.count("its runs have not ended yet")) == (3, 2)
    cancelled = " ".join(order for order in slurm.orders if order.startswith("scancel")).split()
    assert {folder.job_id for folder in read_submissions(results)} == {job.partition("_")[0] for job in cancelled} - {
        "scancel"
    }


def test_removal_that_was_killed_half_way_is_repeated(
    slurm: FakeSlurm, base: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_grid(results, base, {"seed": [1]})
    assert call(results, base, "cancel", "some")[0] == 0
    rename = Path.rename

    def die_after(path: Path, target: Path) -> None:
        rename(path, target)
        raise DiedError

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", die_after)
        with pytest.raises(DiedError):
            remove_grid(results, "some", print)
    assert call(results, base, "cancel", "some", "--remove")[0] == 0
    assert [(results.runs / "some").exists(), read_submissions(results)] == [False, []]


def test_damaged_request_keeps_no_job_from_being_cancelled_and_is_replaced(
    slurm: FakeSlurm, base: Path, results: Results
) -> None:
    grid = submit_grid(results, base, {"seed": [1]})
    request = results.slurm / "some" / "request.json"
    request.write_text("{")
    code, output = call(results, base, "rerun", "some")
    assert (code, "`submit` of the grid's file replaces it" in output) == (1, True)
    assert call(results, base, "submit", str(grid)) == (0, "nothing to submit\n")
    request.write_text("{")
    assert call(results, base, "cancel", "some")[0] == 0
    assert slurm.tasks(results) == {}
    assert states_of(results) == ["CANCELLED"]


def test_grid_that_another_command_has_locked_is_not_removed(results: Results) -> None:
    results.write_grid(PLAN)
    with grid_lock(results, "g"), pytest.raises(LockedError):
        remove_grid(results, "g", print)


def test_damaged_record_of_a_cancelled_run_is_set_aside_too(slurm: FakeSlurm, base: Path, results: Results) -> None:
    grid = submit_grid(results, base, {"seed": [1]})
    assert call(results, base, "cancel", "some")[0] == 0
    (run,) = read_plan(results, "some").runs
    run_dir = results.run_dir(run.run_id, "some")
    run_dir.path.mkdir()
    run_dir.record_file.write_text("{")
    assert states_of(results) == ["CANCELLED"]
    assert call(results, base, "submit", str(grid))[0] == 0
    assert [path.name for path in run_dir.path.iterdir()] == ["run.json.damaged"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["grid", "submission", "receipt", "cancelled", "owner"])
def test_damaged_record_of_a_grid_is_told_with_what_to_do_and_that_helps(
    slurm: FakeSlurm, base: Path, results: Results, name: str
) -> None:
    grid = submit_grid(results, base, {"seed": [1]})
    _, training, _ = read_submissions(results)
    training.mark_cancelled([])
    folders = {"grid": results.runs / "some", "owner": results.slurm}
    file = folders.get(name, training.path) / f"{name}.json"
    file.write_bytes(file.read_bytes()[:-30])
    code, output = call(results, base, "rerun")
    told = " ".join(output.split())
    assert (code, f"{file}: has changed" in told) == (1, True)
    if name == "submission":
        assert f"`scancel --name={training.name}` " in told
        commands = re.findall("`((?:scancel|mv) [^`]*)`", told)
        slurm.change(training.name, "none")  # as `scancel --name`, which this Slurm does not know
        assert subprocess.run(commands[1], shell=True, check=True).returncode == 0
    elif name == "grid":
        assert f"`{results.command('submit', 'some')}` plans it again" in told
    else:
        assert "; delete it" in told
        file.unlink()
    assert call(results, base, "submit", str(grid))[0] == 0
    assert states_of(results) == ["PENDING"]
    assert [*slurm.tasks(results).values()] == [1]


def test_plan_that_was_damaged_is_kept_beside_the_new_one(slurm: FakeSlurm, base: Path, results: Results) -> None:
    grid = submit_grid(results, base, {"seed": [1]})
    results.grid_file("some").write_text("{")
    assert call(results, base, "submit", str(grid), "--dry-run")[0] == 0
    assert results.grid_file("some").read_text() == "{"
    assert "grid.json.damaged" in call(results, base, "submit", str(grid))[1]
    assert results.grid_file("some").with_name("grid.json.damaged").read_text() == "{"


def test_grid_whose_plan_is_gone_is_not_cancelled_without_a_word(
    slurm: FakeSlurm, base: Path, results: Results
) -> None:
    submit_grid(results, base, {"seed": [1]})
    (run,) = read_plan(results, "some").runs
    folder = results.run_dir(run.run_id, "some").path
    folder.mkdir()
    (folder / "config.json").touch()
    results.grid_file("some").unlink()
    code, output = call(results, base, "cancel", "some")
    assert (code, "grid.json: is missing, but there are runs of this grid" in output) == (1, True)


def test_grid_that_was_expanded_before_another_command_planned_it_is_refused(
    slurm: FakeSlurm, base: Path, results: Results
) -> None:
    first, second = (load_grid(write_grid(base, {"seed": [seed]}), results) for seed in (1, 2))
    file = base.with_name("some.yaml")
    options = LaunchOptions()
    assert submit_study(results, study_of(first, file), options) == 0
    with pytest.raises(LockedError, match="repeat the command"):
        submit_study(results, study_of(second, file), options)
    assert read_plan(results, "some").runs == first.plan.runs
    assert submit_study(results, study_of(first, file), options) == 0


def test_plan_of_a_command_that_took_over_stays(
    slurm: FakeSlurm, base: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = [load_grid(write_grid(base, {"seed": [seed]}), results).plan for seed in (1, 2)]

    def is_taken_over(_lock: Lock) -> None:
        results.write_grid(plans[0])
        raise LockedError("has taken this over")

    monkeypatch.setattr(Lock, "check", is_taken_over)
    assert call(results, base, "submit", str(base.with_name("some.yaml")))[0] == 1
    assert results.read_grid("some") == plans[0]


def test_plan_whose_runs_were_copied_from_another_grid_stays_when_its_jobs_are_refused(
    slurm: FakeSlurm, base: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy_first(results: Results, grid: ExpandedGrid, _code: str) -> dict[str, RunDir]:
        results.run_dir(grid.configs[0].run_id, grid.plan.name).create(grid.configs[0])
        return {}

    monkeypatch.setattr("jobs.launch.advance.completed_elsewhere", copy_first)
    slurm.fail("sbatch", "exit 1")
    assert call(results, base, "submit", str(write_grid(base, {"seed": [1, 2]})))[0] == 1
    assert states_of(results) == ["PLANNED"] * 2


def test_run_without_a_submission_is_not_retried_by_itself_and_its_grid_can_be_cancelled(results: Results) -> None:
    results.write_grid(PLAN)
    record_failure(results.run_dir("run-0", "g"), OSError("disk full"), retry=True)
    said: list[str] = []
    cancel_grid(results, PLAN, set(), said.append)
    assert said == ["grid g: 0 runs cancelled"]
    (grid,) = read_status(results)
    assert [row.interrupted for row in grid.rows] == [False] * 3


@pytest.mark.usefixtures("slurm")
def test_final_job_that_is_submitted_alone_runs_a_snapshot_of_the_code(results: Results) -> None:
    training = submitted(results, "train", "7", ["run-0"])
    session = a_session(results, GridJobs([training], []))
    launch(session, session.read_state(), [], {})
    final = read_submissions(results)[-1].submission
    assert (final.kind, final.code) == ("report", "a snapshot")


def test_number_of_runs_at_a_time_is_refused_where_it_has_no_effect(base: Path, results: Results) -> None:
    grid = write_grid(base, {"seed": [1]})
    told = refused(2, "submit", str(grid), "--at-once", "2", "--results", results.root)
    assert "--at-once" in told
    assert not results.slurm.exists()


def test_damaged_plan_of_another_grid_hides_no_run(results: Results) -> None:
    results.write_grid(PLAN)
    results.grid_file("damaged").parent.mkdir()
    results.grid_file("damaged").write_text("{")
    results.run_dir("begun", "damaged").path.mkdir()
    assert find_targets(["run-1", "begun"], results) == [
        *(Target("damaged", frozenset({"begun"})), Target("g", frozenset({"run-1"})))
    ]


def test_configurations_are_those_last_submitted_else_planned(base: Path, results: Results) -> None:
    file = write_grid(base, {"seed": [1, 2]})
    grid = load_grid(file, results)
    given, planned = grid.configs
    as_submitted = given.model_copy(update={"description": "as submitted"})
    session = a_session(results, GridJobs([write_submission(results, [[as_submitted]])], []), grid.plan)
    write_request(results, a_request(file))
    write_yaml(base, read_yaml(base) | {"embedding": {"size": 9}})
    configs = load_configs(session, [given.run_id, planned.run_id])
    assert configs == {given.run_id: as_submitted, planned.run_id: planned}
    write_request(results, a_request(file))
    with pytest.raises(ConfigError, match=f"not {planned.run_id}; "):
        load_configs(session, [planned.run_id])


@pytest.mark.usefixtures("no_slurm")
def test_stopped_rerun_of_a_run_names_the_run_to_go_on_with(
    base: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = load_grid(write_grid(base, {"seed": [1, 2]}), results).plan
    results.write_grid(plan)
    write_request(results, a_request(base.with_name("some.yaml"), local=True))
    first, _ = (run.run_id for run in plan.runs)
    record_failure(results.run_dir(first, "some"), DataError("broken.csv"))
    monkeypatch.setattr(LocalRunner, "_run_job", lambda runner, _folder: runner.stop._remember(signal.SIGINT, None))
    code, output = call(results, base, "rerun", first, "--local")
    again = results.command("rerun", f"some/{short_id(first)}", "--local")
    assert (code, f"stopped; to go on: `{again}`" in " ".join(output.split())) == (3, True)


def test_held_jobs_are_told_released_and_cancelled(results: Results, slurm: FakeSlurm) -> None:
    cache = submitted(results, "cache", "6", [])
    first = submitted(results, "train", "7", ["run-0", "run-1"])
    second = submitted(results, "train", "8", ["run-2"], "afterok:6")
    report = submitted(results, "report", "10", [])
    jobs = [queued(cache, 0, LAUNCH_FAILED), queued(first, 0, LAUNCH_FAILED), queued(first, 1, "Priority")]
    jobs += [queued(second, 0, "Dependency"), queued(report, None, "JobHeldUser")]
    session = a_session(results, GridJobs([cache, first, second, report], jobs))
    rows = session.read_state().rows
    assert [(row.state, row.active) for row in rows] == [("HELD", False), ("PENDING", True), ("HELD", False)]
    assert session.jobs.other_job_states() == {"cache": "HELD", "report": "PENDING"}
    release_held(session)
    assert slurm.orders == ["scontrol release 6_0 7_0"]
    slurm.fail("scontrol", "echo '7_0: Access/permission denied' >&2; exit 1")
    assert release_held(session) == 1
    assert cancel_active(session, {"run-0", "run-1", "run-2"}) == ["run-0", "run-1", "run-2"]
    assert slurm.orders[-1] == "scancel 7_0 7_1 8_0"


def test_job_that_only_an_administrator_releases_keeps_no_failed_run_from_being_resubmitted(
    slurm: FakeSlurm, base: Path, results: Results
) -> None:
    submit_grid(results, base, {"seed": [1, 2]})
    training = next(folder for folder in read_submissions(results) if folder.submission.job_kind.trains_runs)
    slurm.change(f"@{training.job_id}@0@PENDING@None@", f"@{training.job_id}@0@PENDING@JobHeldAdmin@")
    slurm.change(f"@{training.job_id}@1@PENDING@", f"@{training.job_id}@1@FAILED@")
    write_attempts(results.run_dir(training.run_ids[1], "some"), attempt_of(training.task_address(1)))
    slurm.fail("scontrol", "case $1 in release) echo 'Access/permission denied' >&2; exit 1;; esac")
    code, output = call(results, base, "rerun")
    assert (code, "Access/permission denied" in output, "1 of 2 runs submitted" in output) == (1, True, True)
    assert slurm.tasks(results) == {training.run_ids[0]: 1, training.run_ids[1]: 1}


def test_failed_trial_ranks_last_and_is_too_late_afterwards(slurm: FakeSlurm, base: Path, results: Results) -> None:
    grid = submit_grid(results, base, {"model.layers": [1, 2], "training.epochs": 3}, **halving(min_iter=1, eta=3))
    plan = read_plan(results, "some")
    good, failed = (results.run_dir(run.run_id, "some") for run in plan.runs)
    write_attempts(good, attempt_of("7_0", reason="paused"))
    write_epochs(good, [0.5])
    record_failure(failed, DataError("broken.csv"))
    assert [trial.value for trial in rungs_of(results, plan).rank_current().rankings[0].trials] == [0.5, None]
    (slurm.folder / "jobs").write_text("")
    _, output = call(results, base, "submit", str(grid))
    assert output.splitlines()[0].startswith("1 of 2 runs")
    assert slurm.tasks(results) == {good.path.name: 1}
    assert "1 of 2 runs submitted" in call(results, base, "rerun")[1]


def test_cancelled_trial_whose_rung_is_ranked_is_pruned_and_trained_when_it_is_named(
    slurm: FakeSlurm, base: Path, results: Results
) -> None:
    grid = submit_grid(results, base, {"model.layers": [1, 2], "training.epochs": 3}, **halving(min_iter=1, eta=3))
    plan = read_plan(results, "some")
    good, cancelled = (results.run_dir(run.run_id, "some") for run in plan.runs)
    write_attempts(good, attempt_of("7_0", reason="paused"))
    write_epochs(good, [0.5])
    assert call(results, base, "cancel", cancelled.path.name)[0] == 0
    (slurm.folder / "jobs").write_text("")
    assert states_of(results) == ["PAUSED", "CANCELLED"]
    assert "` goes on with 2 runs" in invoke("status", "--results", results.root).output
    record_failure(cancelled, DataError("broken.csv"))  # before it was cancelled
    rungs_of(results, plan).rank_current()
    assert call(results, base, "submit", str(grid))[0] == 0
    assert slurm.tasks(results) == {good.path.name: 1}
    assert states_of(results)[1] == "PRUNED"
    assert call(results, base, "rerun", cancelled.path.name)[0] == 0
    assert slurm.tasks(results)[cancelled.path.name] == 1


def test_jobs_of_somebody_else_are_unknown_and_left_alone(results: Results, slurm: FakeSlurm, tmp_path: Path) -> None:
    results.write_grid(PLAN)
    submitted(results, "train", "7", [run.run_id for run in PLAN.runs])
    write_atomically(results.slurm / "owner.json", sealed(QueueOwner(user="anna", cluster="big")))
    expected = "these are the jobs of anna on cluster big, not of root on cluster test: "
    with pytest.raises(UsageError, match=expected):
        rerun_grid(results, PLAN, set(), LaunchOptions())
    with pytest.raises(UsageError, match=expected):
        cancel_grid(results, PLAN, set(), print)
    assert not any(order.startswith(("sbatch", "scancel")) for order in slurm.orders)
    for reason in ("submitted by anna on cluster big; run this command there", "knows of no cluster"):
        rows = read_status(results)[0].rows
        assert [(row.state, reason in row.reason) for row in rows] == [("UNKNOWN", True)] * 3
        (slurm.folder / "scontrol").write_text("#!/bin/sh\necho Could not establish a configuration source >&2; exit 1")


def test_submissions_come_oldest_first_by_their_numbers(results: Results) -> None:
    written = [submitted(results, "train", str(number), ["run-0"]) for number in range(6)]
    submitted(results, "train", "9", ["run-0"], grid="other")
    assert read_submissions(results, "g") == written
    assert len(read_submissions(results)) == 7
    assert GridJobs(written).tasks == {"run-0": (written[-1], 0)}


def test_copy_of_a_submissions_folder_is_no_submission(results: Results) -> None:
    folder = submitted(results, "train", "7", ["run-0"])
    shutil.copytree(folder.path, folder.path.with_name(f"copy-of-{folder.path.name}"))
    assert read_submissions(results, "g") == [folder]
    assert submitted(results, "train", "8", ["run-0"]).number == folder.number + 1


# What a program does before it answers, or to its answer.
FAILURES = {
    "exit 1": "echo 'error: no' >&2; exit 1",
    "away": "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1",
    "KILL": "kill -9 $$",
    "KILL after": "alter='cat; kill -9 $$'",
    "exit 1 after": "alter='cat'; answer \"$@\"; exit 1",
    "empty": "alter='cat >/dev/null'",
    "late": "exec sleep 30",
    "half a line": "alter='head -c -4'",
    "short": "alter='head -n 1'",
    "other columns": "echo 'JOBID PARTITION NAME USER'; echo '101 main grid root'; exit 0",
    "bytes": r"printf '\377\376\000\201\n'; exit 0",
    "a warning first": "echo 'warning: maintenance from Monday'",
    "odd names": r"printf '@900@N/A@RUNNING@None@a|b\n101|0|FAILED@\n' >> jobs",
}
HARMLESS = {"a warning first", "odd names"}
# What changes nothing, or the same as another failure, where an answer is an exit code, one line or no table.
_ALIKE = {
    "squeue": {"exit 1 after"},
    "sbatch": {"short", "odd names"},
    "scontrol": {"short", "odd names", "exit 1 after", "other columns", "bytes"},
    "scancel": {"short", "odd names", "exit 1 after", "other columns", "bytes", "empty", "half a line"},
}
_OF_RERUN = {"exit 1", "KILL after", "empty", "half a line", "odd names"}  # it launches as `submit` does
TRUTH = ("PENDING", "PENDING", "FAILED", "TIMEOUT")


@dataclass
class Scene:
    """A grid of four runs: one runs, one waits, one failed, and one ran out of time."""

    results: Results
    slurm: FakeSlurm
    grid: Path
    snapshot: Path

    def call(self, command: str) -> tuple[int, list[str]]:
        more: list[str] = {"submit": [str(self.grid)], "cancel": ["some"]}.get(command, [])
        code, output = call(self.results, self.grid, command, *more)
        return code, output.splitlines()

    @property
    def states(self) -> list[str]:
        return states_of(self.results)

    @property
    def tasks(self) -> list[int]:
        found, plan = self.slurm.tasks(self.results), read_plan(self.results, "some")
        return [found.get(run.run_id, 0) for run in plan.runs]

    def restore(self) -> None:
        for folder in (self.results.root, self.slurm.folder):
            shutil.rmtree(folder)
            shutil.copytree(self.snapshot / folder.name, folder)


@pytest.fixture
def scene(slurm: FakeSlurm, results: Results, base: Path, tmp_path: Path) -> Scene:
    scene = Scene(results, slurm, write_grid(base, {"seed": [1, 2, 3, 4]}), tmp_path / "snapshot")
    assert scene.call("submit")[0] == 0
    training = next(one for one in read_submissions(results) if one.submission.job_kind.trains_runs)
    for task, state in ((0, "RUNNING"), (2, "FAILED"), (3, "TIMEOUT")):
        begins = f"@{training.job_id}@{task}@"
        slurm.change(f"{begins}PENDING@", f"{begins}{state}@")
    for task in (2, 3):  # which have begun their runs; others would be left to the tasks that are there
        write_attempts(results.run_dir(training.tasks[task][0], "some"), attempt_of(training.task_address(task)))
    (slurm.folder / "orders").unlink()
    for folder in (results.root, slurm.folder):
        shutil.copytree(folder, scene.snapshot / folder.name)
    return scene


def _play(scene: Scene, command: str, program: str, failure: str) -> None:
    """A command under a failure, and once more when Slurm answers again."""
    run, late = subprocess.run, failure == "late"

    def answer(words: list[str], timeout: float | None = None, **more: Any) -> object:
        return run(words, timeout=0.2 if late and words[0] == program else timeout, **more)

    scene.slurm.fail(program, FAILURES[failure])
    with patch.object(subprocess, "run", answer):
        code, lines = scene.call(command)
        states = scene.states
    case = (command, program, failure, code, lines, states, scene.tasks)
    assert "LOST" not in states, case
    assert max(scene.tasks) <= 1, case
    if command == "status":
        assert code == 3, case
        assert states == list(TRUTH) if failure in HARMLESS else "UNKNOWN" in states, case
        assert all(state in ("UNKNOWN", true) for state, true in zip(states, TRUTH, strict=True)), case
    elif failure in HARMLESS or (command, failure) == ("cancel", "short"):
        assert code == 0, case
    elif code:
        assert len([line for line in lines if f"{program}: " in line]) == 1, case
    else:  # sbatch had accepted the job, or only the job that it replaces could not be cancelled
        assert program in ("sbatch", "scancel"), case
    scene.slurm.heal()
    assert "LOST" not in scene.states, case
    assert command == "status" or scene.call(command)[0] == 0, case
    expected = {"status": [1, 1, 0, 0], "cancel": [0, 0, 0, 0]}.get(command, [1, 1, 1, 1])
    assert scene.tasks == expected, case


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "rerun", "submit", "cancel"])
def test_matrix_of_commands_and_faults_has_no_lost_and_no_doubled_run(scene: Scene, command: str) -> None:
    assert (scene.states, scene.tasks) == (list(TRUTH), [1, 1, 0, 0])
    scene.call(command)
    called = {order.split()[0] for order in scene.slurm.orders}
    scene.restore()
    for program in called & _ALIKE.keys():
        failures = FAILURES.keys() - _ALIKE[program]
        for failure in failures & _OF_RERUN if command == "rerun" else failures:
            _play(scene, command, program, failure)
            scene.restore()
