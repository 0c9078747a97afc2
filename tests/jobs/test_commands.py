"""What commands do to grids beside a Slurm that works, is full, refuses or fails; intents, receipts and owners."""

import errno
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from unittest.mock import Mock

import pytest

from jobs import grid_jobs
from jobs.grid_jobs import GridJobs, QueueOwner
from jobs.grids.grid import ExpandedGrid
from jobs.launch.advance import release_held, rerun_grid, submit_study
from jobs.launch.backends import load_configs
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
from sentiment.runs.records import Result, StartCount
from sentiment.runs.run_dir import Results, RunDir, sealed, short_id
from tests.commands import invoke, refused
from tests.invented import rungs_of
from tests.jobs.fake_slurm import FakeSlurm
from tests.jobs.grid_files import a_request, halving, load_grid, result_like, study_of, write_grid, write_yaml
from tests.jobs.submitted import (
    LAUNCH_FAILED,
    PLAN,
    DiedError,
    a_failure,
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


def test_submission_that_is_refused_does_not_pin_the_plan(slurm: FakeSlurm) -> None:
    grid = slurm.write_grid({"seed": [1, 2]})
    slurm.fail("sbatch", "echo 'sbatch: error: invalid partition' >&2; exit 1")
    assert slurm.told(1, "submit", grid).splitlines()[-1] == "error: sbatch: invalid partition"
    assert (slurm.results.read_grid("some"), read_submissions(slurm.results)) == (None, [])
    slurm.heal()
    slurm.submit({"seed": [3]})
    before = read_plan(slurm.results, "some")
    slurm.fail("sbatch", "exit 1")
    slurm.write_grid({"seed": [3, 4]})
    assert slurm.call("submit", grid)[0] == 1
    assert read_plan(slurm.results, "some") == before


def test_grid_without_room_is_refused_and_told_what_fits(slurm: FakeSlurm) -> None:
    grid = slurm.write_grid({"seed": [1, 2, 3]})
    slurm.fail("sbatch", f'grep -q array=0-2 "$file" && {{ {FULL}; }}')
    output = slurm.told(3, "submit", grid)
    assert "AssocMaxSubmitJobLimit" in output
    assert output.endswith("; set `tasks: N` in the cluster file to use N tasks instead of 3\n")
    assert "scancel 101" in slurm.orders
    assert read_submissions(slurm.results) == []


@pytest.mark.parametrize("without_locks", [True, False])
def test_grid_on_a_full_disk_is_cancelled_in_slurm_at_least(
    without_locks: bool, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm.submit({"seed": [3]})
    full = Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr("jobs.submissions.write_atomically", full)
    if without_locks:  # without an inode
        monkeypatch.setattr("sentiment.runs.locks.Lock._make", full)
    code, output = slurm.call("cancel", "some")
    assert (code, "No space left on device" in output, "Traceback" in output) == (1, True, False)
    assert slurm.orders[-1] == "scancel 101_0 102_0 103"


def test_grid_that_is_locked_does_not_hold_up_the_others(slurm: FakeSlurm) -> None:
    for seed, name in enumerate(("some", "third")):
        slurm.submit({"seed": [seed]}, name=name)
    slurm.forget()
    with grid_lock(slurm.results, "some"):
        output = slurm.told(1, "rerun")
    assert ("grid some: " in output, "already submits or cancels" in output) == (True, True)
    assert sum(slurm.tasks.values()) == 1


@pytest.mark.parametrize("command", ["cancel", "rerun", "submit"])
def test_command_that_slurm_does_not_answer_says_what_it_has_done_and_what_not(slurm: FakeSlurm, command: str) -> None:
    names = ("first", "second", "third")
    files = [slurm.submit({"seed": [seed]}, name=name) for seed, name in enumerate(names)]
    if command != "cancel":
        slurm.change("@PENDING@", "@FAILED@")
    second = f"{read_submissions(slurm.results, 'second')[-1].path.parent}/lock-*"
    slurm.fail("squeue", f"ls {second} && [ -e asked ] && {{ echo 'Connection refused' >&2; exit 1; }}; touch asked")
    output = slurm.told(1, command, *(files if command == "submit" else names))
    assert ("grid first: 1 run cancelled" if command == "cancel" else "1 of 1 runs submitted") in output
    assert "grid second: as far as is known, nothing was done but what is said above; repeat the command" in output
    assert "Connection refused" in output
    assert "third" not in output


def test_submit_that_only_adds_a_missing_final_job_says_so(slurm: FakeSlurm) -> None:
    grid = slurm.submit({"seed": [1]})
    missing = "the final job, which decides what comes next, was missing"
    assert missing not in slurm.told(0, "submit", grid)
    slurm.change("@N/A@PENDING@", "@N/A@CANCELLED@")
    assert missing in slurm.told(0, "submit", grid)


def test_new_job_is_not_lost(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm.submit({"seed": [1]})
    jobs = (slurm.folder / "jobs").read_text()
    slurm.forget()

    def read_just_then(*arguments: str) -> list[SubmissionDir]:
        (slurm.folder / "jobs").write_text(jobs)
        return read_submissions(slurm.results, "some")

    monkeypatch.setattr(grid_jobs, "read_submissions", read_just_then)
    assert slurm.states == ["PENDING"]


def _ended(slurm: FakeSlurm) -> SubmissionDir:
    """The job that ends a grid, whose only run was killed."""
    slurm.submit({"seed": [1]})
    *_, training, ending = read_submissions(slurm.results)
    slurm.set_task(0, "FAILED")
    run_dir = slurm.results.run_dir(training.tasks[0][0], "some")
    run_dir.path.mkdir(parents=True)
    run_dir.write_record(StartCount(step=0, number=1, job=training.task_address(0)))
    return ending


def test_one_refusal_does_not_end_the_tries_and_a_hundred_do(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    ending = _ended(slurm)
    slurm.fail("sbatch", "[ -e away ] || { touch away; exit 1; }")
    slurm.fail("scontrol", "if [ -e away ] && [ ! -e back ]; then touch back; exit 1; fi")
    assert take_next_step(ending, print) is Outcome.RETRY_LATER
    assert take_next_step(ending, print) is Outcome.COMPLETED
    assert slurm.tasks == {slurm.runs[0].path.name: 1}
    slurm.fail("squeue", "exit 1")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "100")
    assert take_next_step(ending, print) is None


def test_final_job_stays_until_there_is_room_for_the_one_that_follows_it(slurm: FakeSlurm) -> None:
    """Else nobody would retry the runs that it has just submitted, rank their rung, or write the report."""
    ending = _ended(slurm)
    slurm.fail("sbatch", f'grep -q array= "$file" || {{ {FULL}; }}')
    for _ in range(2):
        assert take_next_step(ending, print) is Outcome.RETRY_LATER
    slurm.heal()
    assert take_next_step(ending, print) is Outcome.COMPLETED
    assert slurm.tasks == {slurm.runs[0].path.name: 1}
    following = read_submissions(slurm.results)[-1]
    assert following.submission.job_kind.final
    assert following.receipt


def test_grids_and_runs_are_found_by_their_names(results: Results) -> None:
    results.write_grid(PLAN)
    results.write_grid(PLAN.model_copy(update={"name": "other", "runs": []}))
    results.run_dir("run-1").path.mkdir(parents=True)
    of_run = Target("g", frozenset({"run-1"}))
    single = Target("single", frozenset({"run-1"}))
    assert find_targets(["run-1", "other"], results) == [of_run, Target("other"), single]
    assert find_targets([], results) == [Target("g"), Target("other")]
    assert find_targets(["g", "g/run-1"], results) == find_targets(["grids/g.yaml"], results) == [Target("g")]
    assert find_targets(["g/run-1"], results) == [of_run]
    for name in ("run-9", "other/run-1"):
        with pytest.raises(UsageError, match=f"{name}: neither a grid nor a run"):
            find_targets([name, "run-1"], results)
    results.run_dir("begun", "damaged").path.mkdir(parents=True)
    results.grid_file("damaged").write_text("{")
    assert find_targets(["run-1", "begun"], results) == [Target("damaged", frozenset({"begun"})), of_run, single]


def test_wrong_grid_is_removed_by_the_command_that_is_told_and_its_name_is_free(slurm: FakeSlurm) -> None:
    grid = slurm.submit({"seed": [1]})
    slurm.write_grid({"seed": [2]})
    output = slurm.told(2, "submit", grid)
    assert "A planned grid keeps its runs" in output
    assert f"`{slurm.results.command('cancel', 'some', '--remove')}`" in output
    slurm.set_task(0, "RUNNING")
    slurm.fail("scancel", "exit 0")  # it saves first
    assert "its runs have not ended yet" in slurm.told(3, "cancel", "some", "--remove")
    slurm.heal()
    slurm.change("@RUNNING@", "@CANCELLED@")
    assert slurm.call("cancel", "some", "--remove") == (
        0,
        f"grid some: 0 runs cancelled\ngrid some: moved to {slurm.results.removed / 'some-1'}; its name is free\n",
    )
    assert slurm.call("submit", grid)[0] == 0
    assert slurm.call("cancel", "some", "--remove")[0] == 0
    assert sorted(path.name for path in slurm.results.removed.iterdir()) == ["some-1", "some-2"]
    assert "single: Ctrl+C" in refused(2, "cancel", "single", "--remove", "--results", slurm.results.root)


def test_removal_that_was_killed_half_way_is_repeated(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm.submit({"seed": [1]})
    assert slurm.call("cancel", "some")[0] == 0
    rename = Path.rename

    def die_after(path: Path, target: Path) -> None:
        rename(path, target)
        raise DiedError

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", die_after)
        with pytest.raises(DiedError):
            remove_grid(slurm.results, "some", print)
    with grid_lock(slurm.results, "some"), pytest.raises(LockedError):
        remove_grid(slurm.results, "some", print)
    assert slurm.call("cancel", "some", "--remove")[0] == 0
    assert [(slurm.results.runs / "some").exists(), read_submissions(slurm.results)] == [False, []]


def test_damaged_request_keeps_no_job_from_being_cancelled_and_is_replaced(slurm: FakeSlurm) -> None:
    grid = slurm.submit({"seed": [1]})
    request = slurm.results.slurm / "some" / "request.json"
    request.write_text("{")
    assert "`submit` of the grid's file replaces it" in slurm.told(1, "rerun", "some")
    assert slurm.call("submit", grid) == (0, "nothing to submit\n")
    request.write_text("{")
    assert slurm.call("cancel", "some")[0] == 0
    assert slurm.tasks == {}
    assert slurm.states == ["CANCELLED"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["grid", "submission", "receipt", "cancelled", "owner"])
def test_damaged_record_of_a_grid_is_told_with_what_to_do_and_that_helps(slurm: FakeSlurm, name: str) -> None:
    grid = slurm.submit({"seed": [1]})
    _, training, _ = read_submissions(slurm.results)
    training.mark_cancelled([])
    folders = {"grid": slurm.results.runs / "some", "owner": slurm.results.slurm}
    file = folders.get(name, training.path) / f"{name}.json"
    file.write_bytes(file.read_bytes()[:-30])
    told = " ".join(slurm.told(1, "rerun").split())
    assert f"{file}: has changed" in told
    if name == "submission":
        assert f"`scancel --name={training.name}` " in told
        commands = re.findall("`((?:scancel|mv) [^`]*)`", told)
        slurm.change(training.name, "none")  # as `scancel --name`, which this Slurm does not know
        assert subprocess.run(commands[1], shell=True, check=True).returncode == 0
    elif name == "grid":
        assert f"`{slurm.results.command('submit', 'some')}` plans it again" in told
        assert slurm.call("submit", grid, "--dry-run")[0] == 0
        assert not file.with_name("grid.json.damaged").exists()
    else:
        assert "; delete it" in told
        file.unlink()
    assert slurm.call("submit", grid)[0] == 0
    assert file.with_name("grid.json.damaged").exists() == (name == "grid")
    assert slurm.states == ["PENDING"]
    assert [*slurm.tasks.values()] == [1]


def test_grid_whose_plan_is_gone_is_not_cancelled_without_a_word(slurm: FakeSlurm) -> None:
    slurm.submit({"seed": [1]})
    (run_dir,) = slurm.runs
    run_dir.path.mkdir()
    run_dir.config_file.touch()
    slurm.results.grid_file("some").unlink()
    assert "grid.json: is missing, but there are runs of this grid" in slurm.told(1, "cancel", "some")


def test_grid_that_was_expanded_before_another_command_planned_it_is_refused(slurm: FakeSlurm) -> None:
    first, second = (load_grid(slurm.write_grid({"seed": [seed]}), slurm.results) for seed in (1, 2))
    file = slurm.base.with_name("some.yaml")
    options = LaunchOptions()
    assert submit_study(slurm.results, study_of(first, file), options) == 0
    with pytest.raises(LockedError, match="repeat the command"):
        submit_study(slurm.results, study_of(second, file), options)
    assert read_plan(slurm.results, "some").runs == first.plan.runs
    assert submit_study(slurm.results, study_of(first, file), options) == 0


def test_plan_of_a_command_that_took_over_stays(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = [load_grid(slurm.write_grid({"seed": [seed]}), slurm.results).plan for seed in (1, 2)]

    def is_taken_over(_lock: Lock) -> None:
        slurm.results.write_grid(plans[0])
        raise LockedError("has taken this over")

    monkeypatch.setattr(Lock, "check", is_taken_over)
    assert slurm.call("submit", str(slurm.base.with_name("some.yaml")))[0] == 1
    assert slurm.results.read_grid("some") == plans[0]


def test_plan_whose_runs_were_copied_from_another_grid_stays_when_its_jobs_are_refused(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy_first(results: Results, grid: ExpandedGrid, _code: str) -> dict[str, RunDir]:
        slurm.results.run_dir(grid.configs[0].run_id, grid.plan.name).create(grid.configs[0])
        return {}

    monkeypatch.setattr("jobs.launch.advance.completed_elsewhere", copy_first)
    slurm.fail("sbatch", "exit 1")
    assert slurm.call("submit", slurm.write_grid({"seed": [1, 2]}))[0] == 1
    assert slurm.states == ["PLANNED"] * 2


def test_number_of_runs_at_a_time_is_refused_where_it_has_no_effect(base: Path, results: Results) -> None:
    grid = write_grid(base, {"seed": [1]})
    told = refused(2, "submit", str(grid), "--at-once", "2", "--results", results.root)
    assert "--at-once" in told
    assert not results.slurm.exists()


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
    done = invoke("rerun", first, "--local", "--results", results.root)
    again = results.command("rerun", f"some/{short_id(first)}", "--local")
    assert (done.exit_code, f"stopped; to go on: `{again}`" in " ".join(done.output.split())) == (3, True)
    assert "error:" not in done.output


def test_held_jobs_are_told_released_and_cancelled(slurm: FakeSlurm) -> None:
    cache = submitted(slurm.results, "cache", "6", [])
    first = submitted(slurm.results, "train", "7", ["run-0", "run-1"])
    second = submitted(slurm.results, "train", "8", ["run-2"], "afterok:6")
    report = submitted(slurm.results, "report", "10", [])
    jobs = [queued(cache, 0, LAUNCH_FAILED), queued(first, 0, LAUNCH_FAILED), queued(first, 1, "Priority")]
    jobs += [queued(second, 0, "Dependency"), queued(report, None, "JobHeldUser")]
    session = a_session(slurm.results, GridJobs([cache, first, second, report], jobs))
    rows = session.read_state().rows
    assert [(row.state, row.active) for row in rows] == [("HELD", False), ("PENDING", True), ("HELD", False)]
    assert session.jobs.other_job_states() == {"cache": "HELD", "report": "PENDING"}
    release_held(session)
    assert slurm.orders == ["scontrol release 6_0 7_0"]
    slurm.fail("scontrol", "echo '7_0: Access/permission denied' >&2; exit 1")
    assert release_held(session) == 1
    assert cancel_active(session, {"run-0", "run-1", "run-2"}) == ["run-0", "run-1", "run-2"]
    assert slurm.orders[-1] == "scancel 7_0 7_1 8_0"


@pytest.mark.parametrize("fault", ["", '[ -e died ] || { touch died; alter="cat; kill -9 $$"; }'])
def test_job_with_the_id_of_an_earlier_one_is_taken_for_that_by_nobody(slurm: FakeSlurm, fault: str) -> None:
    """Slurm's counter begins anew when its state is lost; the fault loses sbatch's answer too."""
    slurm.submit({"seed": [1]})
    (run,) = slurm.runs
    run.path.mkdir(parents=True)
    run.write_record(a_failure(slurm.training.task_address(0)))
    slurm.forget()
    (slurm.folder / "number").write_text("100")
    slurm.fail("sbatch", fault)
    if fault:
        slurm.told(1, "rerun", "some")
    assert "1 of 1 runs submitted" in slurm.told(0, "rerun", "some")
    ids = [folder.job_id for folder in read_submissions(slurm.results)]
    assert len({*ids}) == len(ids)
    assert slurm.states == ["PENDING"]
    assert slurm.tasks == {run.path.name: 1}


def test_job_that_only_an_administrator_releases_keeps_no_failed_run_from_being_resubmitted(slurm: FakeSlurm) -> None:
    slurm.submit({"seed": [1, 2]})
    training = slurm.training
    slurm.set_task(0, "PENDING", "JobHeldAdmin")
    slurm.set_task(1, "FAILED")
    write_attempts(slurm.results.run_dir(training.run_ids[1], "some"), attempt_of(training.task_address(1)))
    slurm.fail("scontrol", "case $1 in release) echo 'Access/permission denied' >&2; exit 1;; esac")
    output = slurm.told(1, "rerun")
    assert ("Access/permission denied" in output, "1 of 2 runs submitted" in output) == (True, True)
    assert slurm.tasks == {training.run_ids[0]: 1, training.run_ids[1]: 1}


@pytest.mark.parametrize(("state", "reason"), [("PREEMPTED", "None"), ("PENDING", "JobHeldAdmin")])
def test_final_job_that_only_a_person_brings_back_is_told_with_the_command_that_does(
    slurm: FakeSlurm, like: Result, state: str, reason: str
) -> None:
    slurm.submit({"seed": [1]})
    (run,) = slurm.runs
    run.path.mkdir(parents=True)
    run.write_record(result_like(like, run.path.name, 0.5, overfits=False))
    slurm.set_task(0, "COMPLETED")
    slurm.change("@N/A@PENDING@None@", f"@N/A@{state}@{reason}@")
    assert f"`{slurm.results.command('rerun', 'some')}` brings back its final job" in slurm.told(1, "status")
    output = slurm.told(0, "rerun", "some")
    assert "report job 104, 1 task" in output or "held jobs released: 103" in output


def _search(slurm: FakeSlurm) -> tuple[Path, RunDir, RunDir]:
    """A search of two trials, of which the first one has its score."""
    grid = slurm.submit({"model.layers": [1, 2], "training.epochs": 3}, **halving(min_iter=1, eta=3))
    good, other = slurm.runs
    write_attempts(good, attempt_of("7_0", reason="paused"))
    write_epochs(good, [0.5])
    return grid, good, other


def test_failed_trial_ranks_last_and_is_too_late_afterwards(slurm: FakeSlurm) -> None:
    grid, good, failed = _search(slurm)
    record_failure(failed, DataError("broken.csv"))
    ranked = rungs_of(slurm.results, read_plan(slurm.results, "some")).rank_current()
    assert [trial.value for trial in ranked.rankings[0].trials] == [0.5, None]
    slurm.forget()
    assert slurm.call("submit", grid)[1].startswith("1 of 2 runs")
    assert slurm.tasks == {good.path.name: 1}
    assert "1 of 2 runs submitted" in slurm.call("rerun")[1]


def test_rerun_of_a_grid_says_how_to_resume_its_cancelled_runs(slurm: FakeSlurm) -> None:
    slurm.submit({"seed": [1, 2]})
    assert slurm.call("cancel", "some")[0] == 0
    slurm.forget()
    _, output = slurm.call("rerun", "some")
    (command,) = re.findall("2 cancelled runs left out; `sentiment (.*)` resumes one by its name", output)
    assert "` goes on with 2 runs" in output
    assert slurm.tasks == {}
    words = shlex.split(command)
    assert slurm.call(*words[: words.index("--results")])[0] == 0
    assert slurm.tasks == {slurm.runs[0].path.name: 1}


def test_grid_that_is_submitted_while_it_saves_to_be_cancelled_does_not_pass_for_queued(slurm: FakeSlurm) -> None:
    grid = slurm.submit({"seed": [1]})
    slurm.set_task(0, "RUNNING")
    (run,) = slurm.runs
    run.path.mkdir(parents=True)
    with run.lock():
        slurm.told(0, "cancel", "some")
        assert "1 run CANCELLING: saves; it can be resumed when it has ended" in slurm.told(3, "submit", grid)
    assert "1 of 1 runs submitted" in slurm.told(0, "submit", grid)


def test_jobs_of_somebody_else_are_unknown_and_left_alone(slurm: FakeSlurm, tmp_path: Path) -> None:
    slurm.results.write_grid(PLAN)
    submitted(slurm.results, "train", "7", [run.run_id for run in PLAN.runs])
    write_atomically(slurm.results.slurm / "owner.json", sealed(QueueOwner(user="anna", cluster="big")))
    expected = "these are the jobs of anna on cluster big, not of root on cluster test: "
    with pytest.raises(UsageError, match=expected):
        rerun_grid(slurm.results, PLAN, set(), LaunchOptions())
    with pytest.raises(UsageError, match=expected):
        cancel_grid(slurm.results, PLAN, set(), print)
    assert not any(order.startswith(("sbatch", "scancel")) for order in slurm.orders)
    for reason in (expected, "knows of no cluster"):
        rows = read_status(slurm.results)[0].rows
        assert [(row.state, reason in row.reason) for row in rows] == [("UNKNOWN", True)] * 3
        (slurm.folder / "scontrol").write_text("#!/bin/sh\necho Could not establish a configuration source >&2; exit 1")


def test_submissions_come_oldest_first_by_their_numbers_and_without_copies(results: Results) -> None:
    written = [submitted(results, "train", str(number), ["run-0"]) for number in range(6)]
    newest = written[-1]
    shutil.copytree(newest.path, newest.path.with_name(f"copy-of-{newest.path.name}"))
    submitted(results, "train", "9", ["run-0"], grid="other")
    assert read_submissions(results, "g") == written
    assert len(read_submissions(results)) == 7
    assert GridJobs(written).tasks == {"run-0": (newest, 0)}
    assert submitted(results, "train", "8", ["run-0"]).number == newest.number + 1


# What a program does before it answers, or to its answer; `test_slurm.py` has more of them.
FAILURES = {
    "exit 1": "echo 'error: no' >&2; exit 1",
    "KILL after": "alter='cat; kill -9 $$'",
    "half a line": "alter='head -c -4'",
    "short": "alter='head -n 1'",
    "a warning first": "echo 'warning: maintenance from Monday'",
    "odd names": r"printf '@900@N/A@RUNNING@None@a|b\n101|0|FAILED@\n' >> jobs",
}
HARMLESS = {"a warning first", "odd names"}
OF_TABLES = {"short", "odd names"}
TRUTH = ["PENDING", "PENDING", "FAILED", "TIMEOUT"]


@pytest.fixture
def faulty(slurm: FakeSlurm) -> FakeSlurm:
    """With a grid of four runs: one runs, one waits, one failed, and one ran out of time."""
    slurm.submit({"seed": [1, 2, 3, 4]})
    for task, state in ((0, "RUNNING"), (2, "FAILED"), (3, "TIMEOUT")):
        slurm.set_task(task, state)
    for task in (2, 3):  # which have begun their runs; others would be left to the tasks that are there
        write_attempts(slurm.runs[task], attempt_of(slurm.training.task_address(task)))
    (slurm.folder / "orders").unlink()
    return slurm


def _play(slurm: FakeSlurm, words: list[str], program: str, failure: str) -> None:
    """A command under a failure, and once more when Slurm answers again."""
    slurm.fail(program, FAILURES[failure])
    code, output = slurm.call(*words)
    command, states = words[0], slurm.states
    case = (command, program, failure, code, output, states, slurm.tasks)
    assert "LOST" not in states, case
    assert max(slurm.tasks.values(), default=0) <= 1, case
    if command == "status":
        assert code == 3, case
        assert states == TRUTH if failure in HARMLESS else "UNKNOWN" in states, case
        assert all(state in ("UNKNOWN", true) for state, true in zip(states, TRUTH, strict=True)), case
    elif failure in HARMLESS or (command, failure) == ("cancel", "short"):
        assert code == 0, case
    elif code:
        assert len([line for line in output.splitlines() if f"{program}: " in line]) == 1, case
    else:  # sbatch had accepted the job, or only the job that it replaces could not be cancelled
        assert program in ("sbatch", "scancel"), case
    slurm.heal()
    assert "LOST" not in slurm.states, case
    assert command == "status" or slurm.call(*words)[0] == 0, case
    expected = {"status": [1, 1, 0, 0], "cancel": [0, 0, 0, 0]}.get(command, [1, 1, 1, 1])
    assert [slurm.tasks.get(run.path.name, 0) for run in slurm.runs] == expected, case


COMMANDS = ["status", "rerun", "submit some", "cancel some"]


@pytest.mark.slow
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.more)])
@pytest.mark.parametrize("command", COMMANDS)
def test_command_under_any_fault_of_slurm_loses_and_doubles_no_run(
    faulty: FakeSlurm, tmp_path: Path, command: str, every: int
) -> None:
    """The suite tries a third of all faults under each command, others under another one."""
    words = command.split()
    assert (faulty.states, [*faulty.tasks.values()]) == (TRUTH, [1, 1])
    folders = (faulty.results.root, faulty.folder)
    for folder in folders:
        shutil.copytree(folder, tmp_path / "snapshot" / folder.name)
    faulty.call(*words)
    programs = sorted({order.split()[0] for order in faulty.orders} - {"sinfo"})
    faults = [
        (program, failure)
        for program in programs
        for failure in FAILURES
        if program == "squeue" or failure not in OF_TABLES
    ]
    for program, failure in faults[COMMANDS.index(command) % every :: every]:
        for folder in folders:
            shutil.rmtree(folder)
            shutil.copytree(tmp_path / "snapshot" / folder.name, folder)
        _play(faulty, words, program, failure)
