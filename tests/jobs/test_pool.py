"""Tasks that work off runs together: each run is trained once, whoever takes it, and as if it had been alone."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path

import pytest

from jobs.grid_jobs import GridJobs
from jobs.slurm.commands import Job
from jobs.status import read_grid_status
from jobs.submissions import SubmissionDir
from jobs.tasks.attempt import KilledError, Outcome, attempt_run, record_failure
from jobs.tasks.worker import SideBySide, Worker
from sentiment.config import RunConfig
from sentiment.errors import SlurmError
from sentiment.runs.attempts import ProcessLock
from sentiment.runs.records import Attempt
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.stop import Stop, StopRequest
from tests.jobs.submitted import GRID, a_failure, a_plan, attempt_of, write_attempts, write_submission
from tests.small_runs import Experiment, digest_of, small_config

Shares = list[list[RunConfig]]


@pytest.fixture
def shares(tweets_file: Path) -> Shares:
    """Six runs of moments, dealt out to two tasks."""
    runs = [small_config(tweets_file, seed=200 + seed, training__epochs=1) for seed in range(6)]
    return [runs[0::2], runs[1::2]]


def _start(folder: SubmissionDir, task: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-u", "-m", "jobs.tasks.task", str(folder.path)]
    environ = os.environ | {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": str(task), "SLURM_JOB_ID": str(90 + task)}
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _attempts(run_dir: RunDir) -> list[Attempt]:
    record = run_dir.read_record()
    return record.attempts if record else []


@pytest.fixture
def run_dirs(results: Results, shares: Shares) -> list[RunDir]:
    """Of the runs, share by share."""
    return [results.run_dir(config.run_id, GRID) for share in shares for config in share]


@pytest.mark.slow
def test_every_run_is_trained_once_however_many_tasks_there_are(
    results: Results, shares: Shares, run_dirs: list[RunDir], shared_results: Results, tmp_path: Path
) -> None:
    folder = write_submission(results, shares)
    outputs = [(task.communicate()[0], task.returncode) for task in [_start(folder, 0), _start(folder, 1)]]
    assert [code for _, code in outputs] == [0, 0], outputs
    assert all(run_dir.completed for run_dir in run_dirs)
    assert [len(_attempts(run_dir)) for run_dir in run_dirs] == [1] * 6
    assert len({_attempts(run_dir)[0].pid for run_dir in run_dirs}) == 6
    alone = Experiment(shares[0][0], shared_results, RunDir(tmp_path / "alone")).complete()
    assert digest_of(run_dirs[0]) == alone
    before = [run_dir.record_file.read_bytes() for run_dir in run_dirs]
    again = _start(folder, 1)
    output, _ = again.communicate()
    assert again.returncode == 0, output
    assert [run_dir.record_file.read_bytes() for run_dir in run_dirs] == before


@pytest.mark.slow
def test_one_task_does_the_work_of_all_and_a_failure_does_not_hold_up_the_others(
    results: Results, shares: Shares, run_dirs: list[RunDir], tweets_file: Path
) -> None:
    diverges = small_config(tweets_file, seed=230, training__learning_rate=1e38)
    folder = write_submission(results, [[diverges, *shares[0]], shares[1]])
    folder.cancel([shares[1][0].run_id])
    task = _start(folder, 0)
    output, _ = task.communicate()
    assert task.returncode == 1, output
    assert [run_dir.completed for run_dir in run_dirs] == [True] * 3 + [False, True, True]
    failure = results.run_dir(diverges.run_id, GRID).read_failure()
    assert failure is not None
    assert (failure.error, failure.job) == ("DivergedError", "7_0")
    again = _start(folder, 1)  # what failed is left alone: it would fail again
    assert again.communicate()[0].count("DivergedError") == 0
    assert again.returncode == 0


@pytest.fixture
def tried() -> list[str]:
    """Runs that were attempted."""
    return []


@dataclass
class _Processes(SideBySide):
    """Processes that are none: the first to begin is the first to end, after some seconds of a clock of its own."""

    tried: list[str] = field(default_factory=list)
    codes: Iterator[int] = field(default_factory=lambda: repeat(0))
    seconds: float = 10.0
    now: float = 1000.0
    most: int = 0
    at_work: list[str] = field(default_factory=list)

    @property
    def number(self) -> int:
        return len(self.at_work)

    def begin(self, name: str, work: Callable[[], int], device: str = "auto") -> None:
        self.at_work.append(name)
        self.tried.append(name)
        self.most = max(self.most, self.number)

    def collect(self) -> dict[str, int]:
        self.now += self.seconds
        return {self.at_work.pop(0): next(self.codes)}


made: list[_Processes] = []


@pytest.fixture
def pool(results: Results, shares: Shares, tried: list[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Worker]:
    """Makes task 0 of array 7, whose attempts take some seconds each by its clock, and end as given."""
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    monkeypatch.setattr("jobs.tasks.worker._LIBRARIES", ())
    made.clear()

    def make(
        stop: StopRequest | None = None, seconds: float = 10.0, codes: Iterator[int] | None = None, at_once: int = 1
    ) -> Worker:
        stop = stop or StopRequest()
        fake = _Processes(at_once, stop, set, tried, codes or repeat(0), seconds)
        folder = write_submission(results, shares, at_once=at_once)
        made.append(fake)
        monkeypatch.setattr("jobs.tasks.worker.SideBySide", lambda *_: fake)
        return Worker(folder, 0, stop, clock=lambda: fake.now)

    return make


def test_task_begins_with_its_own_share(pool: Callable[..., Worker], shares: Shares, tried: list[str]) -> None:
    assert pool().work() is Outcome.COMPLETED
    assert tried == [config.run_id for share in shares for config in share]


def test_no_run_is_begun_that_would_not_end_in_time_but_the_first_always(
    pool: Callable[..., Worker], tried: list[str]
) -> None:
    assert pool(StopRequest(end=1025.0, clock=lambda: 0.0)).work() is Outcome.OUT_OF_TIME
    assert len(tried) == 2  # after 20 of 25 s a third would not end
    tried.clear()
    assert pool(StopRequest(end=1025.0, clock=lambda: 0.0), seconds=100.0).work() is Outcome.OUT_OF_TIME
    assert len(tried) == 1


@pytest.mark.parametrize("outcome", [Outcome.STOPPED, Outcome.OUT_OF_TIME])
def test_task_ends_with_a_run_that_was_stopped(pool: Callable[..., Worker], tried: list[str], outcome: Outcome) -> None:
    assert pool(codes=iter([Outcome.FAILED, outcome])).work() is outcome
    assert len(tried) == 2


def test_task_that_is_told_to_stop_between_two_runs_takes_no_other(
    pool: Callable[..., Worker], tried: list[str]
) -> None:
    stop = StopRequest()
    stop.reason = lambda: Stop("signal", "SIGTERM") if tried else None  # type: ignore[method-assign]
    assert pool(stop).work() is Outcome.STOPPED
    assert len(tried) == 1


def test_runs_that_share_a_gpu_are_trained_at_the_same_time_and_each_makes_room_for_the_next(
    pool: Callable[..., Worker], tried: list[str], shares: Shares
) -> None:
    task = pool(at_once=4, codes=iter([Outcome.COMPLETED, Outcome.FAILED, *[Outcome.COMPLETED] * 4]))
    assert task.work() is Outcome.FAILED
    assert made[-1].most == 4
    assert tried == [config.run_id for share in shares for config in share]


@pytest.mark.parametrize(
    ("codes", "outcome"),
    [
        ([Outcome.DISK_FULL, 0, Outcome.FAILED, 0, 0, 0], Outcome.DISK_FULL),
        ([-9, 0, 0, 0, 0, 0], Outcome.FAILED),
    ],
)
def test_task_ends_with_the_worst_that_happened_to_its_runs(
    pool: Callable[..., Worker], codes: list[int], outcome: Outcome
) -> None:
    assert pool(codes=iter(codes)).work() is outcome


def test_run_is_free_unless_it_is_done_or_another_task_has_begun_it(
    pool: Callable[..., Worker], run_dirs: list[RunDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = pool()
    died_elsewhere, own, saved_elsewhere, failed, other_job, locked = run_dirs
    write_attempts(died_elsewhere, attempt_of("7_1"))
    write_attempts(own, attempt_of("7_0"))
    write_attempts(saved_elsewhere, attempt_of("7_1", end="2026-03-04T12:00:00+00:00", reason="deadline"))
    write_attempts(other_job, attempt_of("6_1"))
    record_failure(failed, KilledError("no memory"))
    locked.path.mkdir(parents=True)
    with ProcessLock(locked.lock_file):
        assert [config.run_id for config in task.free_runs()] == [own.path.name, other_job.path.name]
        monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "8")  # as when it is submitted again: the lock's process is gone
        assert len(list(task.free_runs())) == 6


def test_failure_of_a_whole_task_is_that_of_the_runs_which_it_has_begun(
    pool: Callable[..., Worker], run_dirs: list[RunDir]
) -> None:
    begun, _, elsewhere, *_ = run_dirs
    write_attempts(begun, attempt_of("7_0"))
    write_attempts(elsewhere, attempt_of("7_1"))
    pool().fail(SlurmError("no slurmctld"))
    assert [one.failure_file.exists() for one in run_dirs] == [one is begun for one in run_dirs]


def test_run_that_another_process_has_taken_is_left_to_it(results: Results, tweets_file: Path) -> None:
    config = small_config(tweets_file, seed=231)
    run_dir = results.run_dir(config.run_id, GRID)
    run_dir.create(config)
    with ProcessLock(run_dir.lock_file):
        assert attempt_run(config, run_dir, StopRequest()) is Outcome.COMPLETED
    assert not run_dir.failure_file.exists()
    assert _attempts(run_dir) == []


def test_state_of_a_run_is_that_of_the_task_which_has_it(
    results: Results, shares: Shares, run_dirs: list[RunDir]
) -> None:
    """Task 0 trains one of its own, task 1 was killed with one of task 0's share."""
    folder = write_submission(results, shares)
    folder.accept("7")
    plan = a_plan(one.path.name for one in run_dirs)
    running, died, _, failed, cancelled, _ = run_dirs
    write_attempts(running, attempt_of("7_0"))
    write_attempts(died, attempt_of("7_1"))
    write_attempts(failed, attempt_of("7_0", end="2026-03-04T12:00:00+00:00", reason="failed"))
    failed.write_record(a_failure("7_0"))
    folder.cancel([cancelled.path.name])
    name = folder.submission.name
    queue = [Job(name, "7", 0, "RUNNING"), Job(name, "7", 1, "FAILED", reason="NonZeroExitCode")]
    with ProcessLock(running.lock_file):
        rows = read_grid_status(results, plan, GridJobs([folder], queue)).rows
    assert [row.state for row in rows] == ["RUNNING", "FAILED", "PENDING", "FAILED", "CANCELLED", "PENDING"]
    assert [row.active for row in rows] == [True, False, True, False, False, True]
    assert rows[2].reason == "waits for its turn"


def test_task_that_may_take_a_run_is_its_own_if_that_is_in_the_queue(results: Results, shares: Shares) -> None:
    folder = write_submission(results, shares)
    folder.accept("7")
    name = folder.submission.name
    held = Job(name, "7", 0, "PENDING", reason="launch failed requeued held")
    both = GridJobs([folder], [held, Job(name, "7", 1, "RUNNING")])
    assert both.place(shares[0][0].run_id) == (folder, 0)
    ended = GridJobs([folder], [replace(held, state="FAILED"), Job(name, "7", 1, "RUNNING")])
    assert ended.place(shares[0][0].run_id) == (folder, 1)
    assert GridJobs([folder], [held]).place(shares[1][0].run_id) == (folder, 0)
