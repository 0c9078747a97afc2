"""What a run's state is, by everything that is known about it; and how the states are shown."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.grid_jobs import GridJobs
from jobs.policy import judge
from jobs.slurm.commands import Job
from jobs.slurm.endings import read_termination
from jobs.status import read_grid_status
from sentiment.files import write_json
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.state import RunProgress, read_progress
from tests.jobs.submitted import LAUNCH_FAILED, PLAN, a_failure, attempt_of, queued, submitted

NEVER_BEGAN = "task 7_3 never began to train"
REQUEUED = "job requeued in held state"
RERUN = "`sentiment rerun` lets it go on (scontrol release"


def _job(state: str, reason: str = "None") -> Job:
    return Job(name="g-x", job_id="7", task=3, state=state, reason=reason)


SAVED = attempt_of("7_3", end="2026-03-04T11:30:00", reason="signal", detail="SIGTERM", last_step=40)


def _verdict(
    results: Results,
    job: Job | None,
    progress: RunProgress,
    log: str = "",
    cancelled: bool = False,
) -> tuple[str, str]:
    """The state of a run whose task is 7_3, and the reason."""
    folder = submitted(results, "train", "7", [f"run-{number}" for number in range(4)])
    (folder.logs / "7_3_0_log.out").write_text(log)
    if cancelled:
        folder.cancel(["run-3"])
    jobs = GridJobs([folder], [replace(job, name=folder.submission.name)] if job else [])
    verdict = judge(progress, jobs.queued("run-3", jobs.place("run-3", progress.last_attempt), progress.last_attempt))
    return verdict.state, verdict.reason


@pytest.mark.parametrize(
    ("job", "progress", "state", "reason"),
    [
        (_job("PENDING", "Priority"), RunProgress(), "PENDING", "Priority"),
        (_job("RUNNING"), RunProgress(), "PENDING", "waits for its turn"),
        (_job("RUNNING"), RunProgress(last_attempt=attempt_of("7_3")), "RUNNING", ""),
        (_job("COMPLETING", REQUEUED), RunProgress(), "COMPLETING", REQUEUED),
        (_job("PENDING", "Dependency"), RunProgress(), "PENDING", "Dependency"),
        (_job("PENDING", LAUNCH_FAILED), RunProgress(), "HELD", f"{LAUNCH_FAILED}; {RERUN} 7_3)"),
        (_job("SPECIAL_EXIT", REQUEUED), RunProgress(), "HELD", f"{REQUEUED}; {RERUN} 7_3)"),
        (
            _job("PENDING", "JobHeldAdmin"),
            RunProgress(),
            "HELD",
            "JobHeldAdmin; an administrator has to let it go on (scontrol release 7_3)",
        ),
        (
            _job("PENDING", "JobHeldUser"),
            RunProgress(),
            "PENDING",
            "held by its user; `scontrol release 7_3` lets it begin",
        ),
        (_job("CANCELLED", "JobHeldUser"), RunProgress(), "CANCELLED", NEVER_BEGAN),
        (_job("TIMEOUT"), RunProgress(last_attempt=SAVED), "TIMEOUT", "saved at step 40 (SIGTERM)"),
        (_job("NODE_FAIL"), RunProgress(), "NODE_FAIL", NEVER_BEGAN),
        (
            _job("NODE_FAIL"),
            RunProgress(last_attempt=attempt_of("7_3"), locked=True, owner_job="7_3"),
            "NODE_FAIL",
            "task 7_3 ended without a word",
        ),
        (
            _job("PENDING", "DependencyNeverSatisfied"),
            RunProgress(),
            "FAILED",
            "the job that it waited for (None) did not succeed",
        ),
        (
            None,
            RunProgress(last_attempt=attempt_of("7_3")),
            "LOST",
            "is not in the queue; task 7_3 ended without a word",
        ),
    ],
)
def test_state_in_the_queue_has_the_queues_reason(
    results: Results, job: Job | None, progress: RunProgress, state: str, reason: str
) -> None:
    assert _verdict(results, job, progress) == (state, reason)


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.0. Some have been OOM Killed.", "OUT_OF_MEMORY"),
        ("slurmstepd-n1: error: StepId=3.0 exceeded memory limit (9 > 8)\nsrun: error: 0: Killed", "OUT_OF_MEMORY"),
        ("slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-03-04T11:00:00 DUE TO TIME LIMIT ***", "TIMEOUT"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-03-04T11:00:00 DUE TO NODE FAILURE ***", "NODE_FAIL"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-03-04T11:00:00 DUE TO PREEMPTION ***", "PREEMPTED"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-03-04T11:00:00 ***", "CANCELLED"),
        ("srun: error: n1: task 0: Killed", "FAILED"),
        ("slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026 ***\nsrun: error: n1: task 0: Killed", "FAILED"),
        ("slurmstepd: error: no such words", None),
        ("a tweet says: srun: error: n1: task 0: Killed, out of memory", None),
    ],
)  # fmt: skip
def test_slurms_own_words_in_the_log_are_understood(lines: str, state: str | None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"task 3 of g-x, start 1 on n1\n{lines}\n")
    found = read_termination(log)
    assert (found.state if found else None) == state


@pytest.mark.parametrize(
    ("job", "changes", "state"),
    [
        (None, {}, "FAILED"),
        (_job("CANCELLED"), {}, "CANCELLED"),
        (None, {"cancelled": True}, "CANCELLED"),
        (_job("FAILED"), {}, "FAILED"),
    ],
    ids=["nobody knows", "queue", "by command", "queue says otherwise"],
)
def test_killed_run_is_cancelled_only_if_somebody_says_so(
    results: Results, job: Job | None, changes: dict[str, Any], state: str
) -> None:
    log = (
        "task 3 of g-x, start 1 on n1\n"
        "slurmstepd-n5: error: *** STEP 25.0 ON n5 CANCELLED AT 2026-03-04T11:00:00 ***\n"
        "srun: error: n5: task 0: Killed\n"
    )
    assert _verdict(results, job, RunProgress(last_attempt=attempt_of("7_3")), log=log, **changes)[0] == state


def test_words_about_earlier_attempts_do_not_count(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "task 3 of g-x, start 1 on n1\nsrun: error: n1: task 0: Killed\ntask 3 of g-x, start 2 on n2\nfine\n"
    )
    assert read_termination(log) is None


def _write_metrics(run_dir: RunDir, scores: list[float]) -> None:
    run_dir.path.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for epoch, score in enumerate(scores, start=1):
        rows += [{"kind": "step", "step": 10 * epoch - number, "loss": 0.5} for number in range(9, -1, -1)]
        rows.append({"kind": "epoch", "step": 10 * epoch, "epoch": epoch, "validation": {"f1": score}})
    run_dir.metrics_file.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"kind": "st')


def test_progress_is_read_from_all_of_the_metric_log(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "run")
    _write_metrics(run_dir, [0.7, 0.8, 0.75])
    found = read_progress(run_dir, PLAN)
    assert (found.epoch, found.step, found.score) == (3, 30, 0.8)
    assert read_progress(run_dir, PLAN.model_copy(update={"goal": "minimize"})).score == 0.7
    _write_metrics(run_dir, [0.9] + [0.5] * 900)
    found = read_progress(run_dir, PLAN)
    assert (found.epoch, found.score) == (901, 0.9)


def test_directory_that_is_not_there_or_damaged_is_no_error(tmp_path: Path) -> None:
    assert read_progress(RunDir(tmp_path / "none"), PLAN) == RunProgress()
    run_dir = RunDir(tmp_path / "run")
    run_dir.path.mkdir()
    run_dir.record_file.write_text("{")
    assert "run.json: is not a valid record" in (read_progress(run_dir, PLAN).damage or "")
    run_dir.record_file.unlink()
    for row in ("{", "[]", '{"kind": "epoch"}', '{"kind": "epoch", "epoch": 1, "step": 1, "validation": 3}'):
        run_dir.metrics_file.write_text(row + "\n")
        assert "metrics.jsonl: is not a metric log" in (read_progress(run_dir, PLAN).damage or ""), row


def test_grid_that_nothing_has_happened_to_is_planned(tmp_path: Path) -> None:
    status = read_grid_status(Results(tmp_path), PLAN, GridJobs([], []))
    assert [(row.run_id, row.state) for row in status.rows] == [(run.run_id, "PLANNED") for run in PLAN.runs]


def test_held_runs_do_not_go_on_by_themselves_nor_do_those_that_wait_for_a_held_job(results: Results) -> None:
    cache = submitted(results, "cache", "6", [])
    first, second = (
        submitted(results, "train", "7", ["run-0", "run-1"]),
        submitted(results, "train", "8", ["run-2"], "afterok:6"),
    )
    jobs = [
        queued(cache, 0, LAUNCH_FAILED),
        queued(first, 0, REQUEUED),
        queued(first, 1, "Priority"),
        queued(second, 0, "Dependency"),
    ]
    status = read_grid_status(results, PLAN, GridJobs([cache, first, second], jobs))
    assert [(row.state, row.job, row.active) for row in status.rows] == [
        ("HELD", "7_0", False),
        ("PENDING", "7_1", True),
        ("HELD", "8_0", False),
    ]
    assert status.others == {"cache": "HELD"}


def test_training_whose_tweets_could_not_be_prepared_says_why(results: Results) -> None:
    data = submitted(results, "data", "6", [])
    waiting = submitted(results, "train", "8", ["run-2"], "afterok:6")
    jobs = [queued(waiting, 0, "DependencyNeverSatisfied")]

    def reason() -> str:
        return read_grid_status(results, PLAN, GridJobs([data, waiting], jobs)).rows[-1].reason

    assert reason() == "the job that it waited for (afterok:6) did not succeed"
    (data.logs / "6_0_0_log.out").write_text("slurmstepd: error: Detected 1 oom_kill event in StepId=6.batch.\n")
    assert reason().startswith("its data job ended with OUT_OF_MEMORY: Detected 1 oom_kill event")
    write_json(data.failure_file(0), a_failure().model_dump(mode="json"))
    assert reason() == "its data job failed: DivergedError: the loss is nan"


def test_job_that_its_user_holds_waits_as_any_other(results: Results) -> None:
    cache = submitted(results, "cache", "6", [])
    training = submitted(results, "train", "7", ["run-0", "run-1"], "afterok:6")
    jobs = [
        queued(cache, 0, "JobHeldUser"),
        queued(training, 0, "Dependency"),
        queued(training, 1, "JobHeldUser"),
    ]
    status = read_grid_status(results, PLAN, GridJobs([cache, training], jobs))
    assert [(row.state, row.active) for row in status.rows[:2]] == [("PENDING", True)] * 2
    assert status.others == {"cache": "PENDING"}
