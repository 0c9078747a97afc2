"""What a run's state is by everything that is known about it, and how states and logs are shown."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.grid_jobs import GridJobs
from jobs.requested import write_request
from jobs.slurm.commands import Job
from jobs.slurm.endings import DISK_FULL_EXIT_CODE, read_termination
from jobs.status.grid_state import GridView, exit_code, read_grid_status
from jobs.status.table import render
from jobs.submissions import SubmissionDir
from jobs.tasks.attempt import Outcome
from sentiment.files import write_atomically
from sentiment.runs.code_version import START
from sentiment.runs.records import Attempt, GridPlan, Result, RunRecord, StartCount
from sentiment.runs.run_dir import Results, RunDir, sealed, short_id
from sentiment.runs.state import RunProgress, RunState, judge, read_progress
from tests.commands import invoke, refused
from tests.jobs.fake_slurm import FakeSlurm
from tests.jobs.grid_files import a_request, load_grid, write_grid
from tests.jobs.submitted import PLAN, a_failure, a_row, attempt_of, queued, submitted, write_epochs
from tests.small_runs import stored

NOT_BEGUN = RunProgress()
BEGUN = attempt_of("7_3")
SAVED = attempt_of("7_3", end="2026-03-04T11:30:00", reason="signal", detail="SIGTERM", last_step=40)


def _state(jobs: GridJobs, run_id: str, progress: RunProgress = NOT_BEGUN) -> RunState:
    seen, task = jobs.look(run_id, progress)
    return judge(seen, None, task)


@pytest.mark.parametrize(
    ("in_queue", "attempt", "state", "reason"),
    [
        (("RUNNING", "None"), SAVED, "PENDING", "its task runs, and does not train it yet"),
        (("SPECIAL_EXIT", "job requeued in held state"), None, "HELD", "job requeued in held state; `scontrol release"),
        (("RESV_DEL_HOLD", "Reservation r was deleted"), None, "HELD", "Reservation r was deleted; `scontrol release"),
        (("RESV_DEL_HOLD", "Priority"), None, "RESV_DEL_HOLD", "Priority"),  # it was released
        (("PENDING", "JobHeldAdmin"), None, "HELD", "JobHeldAdmin; an administrator has to release it"),
        (("PENDING", "JobHeldUser"), None, "PENDING", "held by its user; `scontrol release 7_3`"),
        (("CANCELLED", "JobHeldUser"), None, "CANCELLED", "task 7_3 did not start to train it"),
        (("CANCELLED", "Dependency"), None, "CANCELLED", "task 7_3 did not start to train it"),
        (("CANCELLED", "DependencyNeverSatisfied"), None, "FAILED", "its dependency (None) did not succeed"),
        (("FAILED", "BadConstraints"), None, "FAILED", "BadConstraints: Slurm never starts job 7_3, which requests"),
        (("PREEMPTED", "None"), SAVED, "PREEMPTED", "saved at step 40 (SIGTERM)"),
        (("TIMEOUT", "None"), SAVED, "TIMEOUT", "saved at step 40 (SIGTERM)"),
        (None, BEGUN, "LOST", "no longer known to Slurm; task 7_3"),
    ],
)
def test_queue_says_why(
    results: Results, in_queue: tuple[str, str] | None, attempt: Attempt | None, state: str, reason: str
) -> None:
    folder = submitted(results, "train", "7", [f"run-{number}" for number in range(4)])
    jobs = GridJobs([folder], [Job(folder.name, "7", 3, *in_queue)] if in_queue else [])
    verdict = _state(jobs, "run-3", RunProgress(last_attempt=attempt))
    assert (verdict.state, verdict.reason.startswith(reason)) == (state, True), verdict.reason


@pytest.mark.parametrize("first", ["", "slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-03-04T11:00:00 ***\n"])
def test_task_that_a_signal_stopped_says_where_it_saved(results: Results, first: str) -> None:
    """As of `scancel --signal=INT` or TERM, or of a node that is shut down."""
    folder = submitted(results, "train", "7", [f"run-{number}" for number in range(4)])
    log = f"task 3 of g-x, start 1 on n1\n{first}srun: error: n1: task 0: Exited with exit code {Outcome.STOPPED}\n"
    (folder.logs / "7_3_0_log.out").write_text(log)
    jobs = GridJobs([folder], [queued(folder, 3, "NonZeroExitCode", "FAILED")])
    verdict = _state(jobs, "run-3", RunProgress(last_attempt=SAVED))
    assert (verdict.state, verdict.reason) == ("FAILED", "saved at step 40 (SIGTERM)")


@pytest.mark.parametrize(("in_queue", "state"), [(True, "RUNNING"), (False, "LOST")])
def test_queue_knows_better_than_a_lock_whether_a_process_lives(results: Results, in_queue: bool, state: str) -> None:
    folder = submitted(results, "train", "7", ["run-0"])
    jobs = GridJobs([folder], [Job(folder.name, "7", 0, "RUNNING")] if in_queue else [])
    progress = RunProgress(locked=True, owner_job="7_0", last_attempt=attempt_of("7_0"))
    assert _state(jobs, "run-0", progress).state == state


def test_run_that_its_tasks_never_started_is_retried_only_a_few_times(results: Results) -> None:
    """By the final job, which counts its own submissions since the run was last started, or since a person's."""
    folders = [submitted(results, "train", "7", ["run-0"])]
    may_retry = []
    for array in ("8", "9", "10", "11"):
        ended = [Job(folder.name, folder.job_id, 0, "NODE_FAIL") for folder in folders]
        may_retry.append(_state(GridJobs(folders, ended), "run-0").interrupted)
        folders.append(submitted(results, "train", array, ["run-0"], retry=True))
    assert may_retry == [True, True, True, False]
    begun = RunProgress(newest_start=StartCount(step=0, number=1, job="10_0"))
    assert _state(GridJobs(folders, []), "run-0", begun).interrupted
    too_large = [queued(folders[-1], 0, "PartitionTimeLimit")]
    assert not _state(GridJobs(folders, too_large), "run-0").interrupted


def test_request_that_no_node_can_meet_is_not_repeated_and_holds_up_no_final_job(results: Results) -> None:
    folders = [submitted(results, "train", "7", ["run-0"])]
    refused = Job(folders[0].name, "7", 0, "FAILED", "BadConstraints")
    assert not _state(GridJobs(folders, [refused]), "run-0").interrupted
    data = submitted(results, "data", "5", [])
    follows = submitted(results, "train", "6", ["run-0"], "afterok:5")
    ended = [Job(data.name, "5", 0, "FAILED", "BadConstraints"), Job(follows.name, "6", 0, "CANCELLED", "Dependency")]
    verdict = _state(GridJobs([data, follows], ended), "run-0")
    assert (verdict.state, verdict.interrupted, "BadConstraints" in verdict.reason) == ("FAILED", False, True)
    folders += [submitted(results, "train", "8", ["run-0"]), submitted(results, "report", "9", [])]
    jobs = GridJobs(folders, [refused, queued(folders[1], 0, "Priority"), queued(folders[2], None, "Dependency")])
    assert jobs.has_final_job


DISK_FULL = f"Exited with exit code {DISK_FULL_EXIT_CODE}"


@pytest.mark.parametrize(
    ("lines", "state", "reason"),
    [
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.0. Some have been OOM Killed.", "OUT_OF_MEMORY", ""),
        ("slurmstepd-n1: error: StepId=3.0 exceeded memory limit (9 > 8)", "OUT_OF_MEMORY", ""),
        ("slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-03-04T11:00:00 DUE TO TIME LIMIT ***", "TIMEOUT", ""),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-03 DUE TO NODE FAILURE ***", "NODE_FAIL", ""),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-03 DUE TO PREEMPTION ***", "PREEMPTED", ""),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-03-04T11:00:00 ***", "CANCELLED", ""),
        ("slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026 ***\nsrun: error: n1: task 0: Killed", "FAILED", ""),
        (f"srun: error: n1: task 0: {DISK_FULL}", "FAILED", "the disk is full"),
        ("srun: error: n1: task 0: Exited with exit code 2", "FAILED", "exit code 2"),
        ("is not requeued: Access denied\nsrun: error: n1: Exited with exit code 1", "FAILED", "Access denied"),
        ("slurmstepd: error: no such words", None, ""),
        ("a tweet says: srun: error: n1: task 0: Killed, out of memory", None, ""),
        ("srun: error: n1: task 0: Killed\ntask 3 of g-x, start 2 on n2\nfine", None, ""),
    ],
)  # fmt: skip
def test_slurms_own_words_are_understood(lines: str, state: str | None, reason: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"task 3 of g-x, start 1 on n1\n{lines}\n")
    found = read_termination(log)
    assert (found.state if found else None) == state
    assert found is None or reason in found.reason


def test_code_that_is_not_intact_is_told_as_the_reason(tmp_path: Path) -> None:
    (tmp_path / "code.json").write_text("{}")
    done = subprocess.run([sys.executable, START, tmp_path, "jobs"], capture_output=True, text=True)
    log = tmp_path / "log"
    log.write_text(f"{done.stderr}srun: error: n1: task 0: Exited with exit code {done.returncode}\n")
    found = read_termination(log)
    assert (found.state, found.reason) == ("FAILED", done.stderr.rstrip())
    assert "--new-code" in found.reason


@pytest.mark.parametrize(("scores", "best"), [([0.7, 0.8, 0.75], 0.8), ([0.9] + [0.5] * 900, 0.9)], ids=["few", "many"])
def test_progress_is_read_from_all_of_the_metric_log(tmp_path: Path, scores: list[float], best: float) -> None:
    run_dir = RunDir(tmp_path / "run")
    write_epochs(run_dir, scores, "macro_f1")
    found = read_progress(run_dir, PLAN)
    assert (found.epoch, found.step) == (len(scores), 9 * len(scores))
    assert found.score == pytest.approx(best)
    assert read_progress(run_dir, PLAN.model_copy(update={"goal": "minimize"})).score == pytest.approx(min(scores))


def test_failure_before_the_last_submission_does_not_hide_how_that_ended(results: Results) -> None:
    results.run_dir("run-2", "g").path.mkdir(parents=True)
    results.run_dir("run-2", "g").write_record(a_failure("6_0"))
    first = submitted(results, "train", "6", ["run-2"])
    assert read_grid_status(results, PLAN, GridJobs([first], [])).rows[-1].state == "FAILED"
    again = submitted(results, "train", "8", ["run-2"])
    jobs = GridJobs([first, again], [queued(again, 0, "None", "TIMEOUT")])
    assert read_grid_status(results, PLAN, jobs).rows[-1].state == "TIMEOUT"


def test_training_whose_tweets_could_not_be_prepared_says_why(results: Results) -> None:
    data = submitted(results, "data", "6", [])
    waiting = submitted(results, "train", "8", ["run-2"], "afterok:6")
    jobs = [queued(waiting, 0, "DependencyNeverSatisfied")]

    def reason() -> str:
        return read_grid_status(results, PLAN, GridJobs([SubmissionDir(data.path), waiting], jobs)).rows[-1].reason

    assert reason() == "its dependency (afterok:6) did not succeed"
    jobs.append(queued(data, 0, "None", "PREEMPTED"))
    assert reason() == "its data job PREEMPTED: task 6_0 ended without recording how"
    jobs.pop()
    (data.logs / "6_0_0_log.out").write_text("slurmstepd: error: Detected 1 oom_kill event in StepId=6.batch.\n")
    assert reason().startswith("its data job OUT_OF_MEMORY: Detected 1 oom_kill event")
    write_atomically(data.failure_file(0), sealed(a_failure()))
    assert reason() == "its data job FAILED: DivergedError: the loss is nan"


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_training_whose_preparation_a_user_cancelled_stays_cancelled(results: Results, is_forgotten: bool) -> None:
    data = submitted(results, "data", "6", [])
    waiting = submitted(results, "train", "8", ["run-2"], "afterok:6")
    (data.logs / "6_0_0_log.out").write_text(
        "slurmstepd: error: *** JOB 6 ON n1 CANCELLED AT 2026-03-04T11:00:00 ***\n"
    )
    jobs = [queued(data, 0, "None", "CANCELLED"), queued(waiting, 0, "DependencyNeverSatisfied", "CANCELLED")]
    row = read_grid_status(results, PLAN, GridJobs([data, waiting], [] if is_forgotten else jobs)).rows[-1]
    assert (row.state, row.interrupted, row.reason) == ("CANCELLED", False, "its data job was cancelled")


def test_final_job_says_how_it_ended_itself_and_not_how_a_job_before_it_did(results: Results) -> None:
    training = submitted(results, "train", "7", ["run-0"])
    report = submitted(results, "report", "8", [], "afterany:7")
    (training.logs / "7_0_0_log.out").write_text("slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.\n")
    (report.logs / "8_0_log.out").write_text("srun: error: n1: task 0: Exited with exit code 1\n")
    failed = GridJobs([training, report]).failed_other_jobs["report"]
    assert (failed.state, failed.reason) == ("FAILED", "n1: task 0: Exited with exit code 1")


@pytest.mark.parametrize(
    ("error", "retry", "interrupted"),
    [("DataError", False, False), ("OSError", True, True), ("MemoryError", False, True)],
)
def test_run_whose_preparation_failed_by_itself_is_not_retried_by_itself(
    results: Results, error: str, retry: bool, interrupted: bool
) -> None:
    data = submitted(results, "data", "6", [])
    waiting = submitted(results, "train", "8", ["run-2"], "afterok:6")
    write_atomically(data.failure_file(0), sealed(a_failure("6_0", error, retry)))
    jobs = GridJobs([data, waiting], [Job(waiting.name, "8", 0, "CANCELLED", "DependencyNeverSatisfied")])
    row = read_grid_status(results, PLAN, jobs).rows[-1]
    assert (row.state, row.interrupted) == ("FAILED", interrupted)


def test_other_job_that_never_reached_slurm_is_planned_and_an_unknown_one_says_why(results: Results) -> None:
    report = submitted(results, "report", "9", [])
    silent = GridJobs([report], queue_error="squeue: no answer")
    view = read_grid_status(results, PLAN, silent)
    assert (view.others, view.note) == ({"report": "UNKNOWN"}, "squeue: no answer")
    report.receipt_file.unlink()
    assert GridJobs([SubmissionDir(report.path)]).other_job_states() == {"report": "PLANNED"}


NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
REASON = "DivergedError: the loss is nan at step 310; a smaller training.learning_rate or training.clip may help"


def test_table_shows_what_is_known_what_varies_and_the_reasons() -> None:
    rows = [
        a_row(run_id="run-a", epoch=3, score=0.8123, parameters={"model.layers": 1, "seed": 1}),
        a_row("FAILED", run_id="run-b", reason="DivergedError: the loss is nan", seen="2026-03-04T09:00:00+00:00"),
        a_row("FAILED", run_id="run-c", reason="DivergedError: the loss is nan", parameters={"model.layers": 2}),
    ]
    table = render(Results(), [GridView("g", "validation/macro_f1", rows, {"report": "PENDING"})], False, NOW)
    assert [" ".join(line.split()) for line in table.splitlines()] == [
        "grid g: 2 FAILED, 1 COMPLETED; report: PENDING",
        "run state attempt epoch macro_f1 updated layers seed",
        "run-a COMPLETED 1 3 0.812 - 1 1",
        "run-b FAILED 1 - - 3 h ago - -",
        "run-c FAILED 1 - - - 2 -",
        "run-b and 1 more FAILED: DivergedError: the loss is nan",
        "`sentiment rerun g` resumes 2 runs",
    ]


def test_table_fits_a_terminal_and_nothing_is_cut() -> None:
    varied = {"model.dropout": 0.05, "training.learning_rate": 0.0005, "seed": 17}
    long = "elmo_small-bilstm512-attention-d0.05-s17-2686fd7f"
    rows = [a_row(run_id=long, parameters=varied), a_row("OUT_OF_MEMORY", run_id="bilstm64-0a1b2c3d", reason=REASON)]
    results = Results(Path("results of a long name", "which do not fit on the line", "of a command"))
    for columns in (72, 80):
        text = render(results, [GridView("g", "validation/accuracy", rows)], False, NOW, columns)
        *lines, hint = text.splitlines()
        assert max(map(len, lines)) <= columns
        assert results.command("rerun", "g") in hint  # whole, so that it can be copied
        assert "".join(REASON.split()) in "".join(text.split())
        assert all(part in text for part in ("OUT_OF_MEMORY", "0a1b2c3d", "2686fd7f", "0.05", "epoch", "accuracy"))


def test_table_of_many_runs_shows_those_that_matter() -> None:
    rows = [a_row(run_id=f"run-{number}") for number in range(100)] + [a_row("FAILED", run_id="bad")]
    grids = [GridView("g", "validation/macro_f1", rows)]
    assert [len(render(Results(), grids, every, NOW).splitlines()) for every in (False, True)] == [5, 104]
    lost = [a_row("LOST", run_id=f"run-{number}", reason=f"task {number} is unknown") for number in range(1000)]
    assert len(render(Results(), [GridView("g", "validation/macro_f1", lost)], False, NOW).splitlines()) < 130


def test_final_job_that_is_queued_retries_what_was_interrupted() -> None:
    rows = [a_row("LOST", run_id="run-a", interrupted=True), a_row("FAILED", run_id="run-b")]
    grid = GridView("g", "validation/macro_f1", rows, has_final_job=True)
    lines = render(Results(), [grid], False, NOW).splitlines()
    assert lines[-2:] == ["the final job will retry 1 run", "`sentiment rerun g` resumes 1 run"]
    assert exit_code([grid]) == 3
    assert exit_code([GridView("g", "validation/macro_f1", rows)]) == 1


@pytest.fixture
def plan(base: Path, results: Results) -> GridPlan:
    grid = load_grid(write_grid(base, {"seed": [1, 2]}), results)
    results.write_grid(grid.plan)
    return grid.plan


def _append(log: Path, text: str) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "a") as file:
        file.write(text)


def test_log_is_shown_by_the_name_of_its_run_or_job(results: Results, plan: GridPlan) -> None:
    run_id = plan.runs[0].run_id
    results.write_grid(plan.model_copy(update={"name": "other"}))
    logs = {name: results.slurm / "some" / f"{name}.log" for name in (run_id, "report")}
    for name, log in logs.items():
        asked = ("status", "--log", f"some/{name}", "--results", results.root)
        assert "has no log" in refused(2, *asked)
        _append(log, "loss 2\nloss 1\n")
        done = invoke(*asked)
        assert (done.stdout, done.stderr) == ("loss 2\nloss 1\n", f"==> {log} <==\n")
    of_two_grids = invoke("status", "--log", run_id, "--results", results.root)  # one of which has its log
    assert of_two_grids.stderr == f"==> {logs[run_id]} <==\n"


def test_status_of_a_failed_grid_names_a_log_and_a_command_that_work_on_this_machine(
    base: Path, results: Results, plan: GridPlan
) -> None:
    first, second = (run.run_id for run in plan.runs)
    write_request(results, a_request(base.with_name("some.yaml"), local=True))
    folder = submitted(results, "train", "local1", [first, second], grid="some", local=True)
    results.run_dir(second, "some").path.mkdir(parents=True)
    results.run_dir(second, "some").write_record(a_failure("local1_0"))
    show_log = f"`{results.command('status', '--log', short_id(second))}` shows why"
    without_log = invoke("status", "--results", results.root).output
    assert show_log not in without_log
    assert f"`{results.command('rerun', 'some', '--local')}` resumes 1 run" in without_log
    _append(folder.run_log(second), "Traceback\n")
    assert show_log in invoke("status", "--results", results.root).output


def test_status_in_a_file_or_pipe_has_each_run_on_one_line(results: Results, plan: GridPlan) -> None:
    long = {run.run_id: f"{'v' * 60}{run.index}" for run in plan.runs}
    runs = [run.model_copy(update={"parameters": {"model.name": long[run.run_id]}}) for run in plan.runs]
    results.write_grid(plan.model_copy(update={"runs": runs}))
    lines = invoke("status", "--results", results.root).output.splitlines()
    for run in runs:
        (line,) = [line for line in lines if line.startswith(short_id(run.run_id))]
        assert line.endswith(long[run.run_id])


def test_status_of_a_grid_whose_data_job_failed_names_its_log(
    results: Results, plan: GridPlan, slurm: FakeSlurm
) -> None:
    data = submitted(results, "data", "6", grid="some")
    submitted(results, "train", "8", [run.run_id for run in plan.runs], "afterok:6", grid="some")
    slurm.add(data.name, "6", 0, "FAILED")
    _append(data.logs / "6_0_0_log.out", "no such file\n")
    output = invoke("status", "--results", results.root).output
    assert f"`{results.command('status', '--log', 'some/data')}` shows why" in output
    assert "--local" not in output


@pytest.fixture
def single(trained: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    run_dir = Results(tmp_path).run_dir(trained.read_config().run_id)
    shutil.copytree(trained.path, run_dir.path)
    return run_dir


def test_status_shows_single_runs_with_state_and_score(single: RunDir, tmp_path: Path) -> None:
    score = stored(single, Result).metrics["validation"].macro_f1
    for arguments in (["status"], ["status", "single"]):
        done = invoke(*arguments, "--results", tmp_path)
        assert done.exit_code == 0, done.output
        assert ("grid single: 1 COMPLETED" in done.output, f"{score:.3f}" in done.output) == (True, True)
    (one,) = json.loads(invoke("status", "--json", "--results", tmp_path).output)
    assert (one["name"], one["rows"][0]["state"]) == ("single", "COMPLETED")
    assert one["rows"][0]["seen"] == stored(single, RunRecord).attempts[-1].end
    single.result_file.unlink()
    assert invoke("status", "--results", tmp_path).exit_code == 1  # was completed, but its result is missing
