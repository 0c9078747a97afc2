"""What tasks do: each run is trained once, whoever takes it, and as if it had been alone; and begun only so often."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import numpy as np
import pytest

from jobs.grid_jobs import GridJobs
from jobs.job_kinds import JOB_KINDS, unprepared
from jobs.launch.local_runner import LocalRunner
from jobs.slurm.commands import Job
from jobs.slurm.resources import Resources
from jobs.status.grid_state import read_grid_status
from jobs.submissions import Submission
from jobs.tasks.attempt import Outcome, attempt_run, outcome_of, record_failure
from jobs.tasks.memory import MeasuredMemory, available_bytes
from jobs.tasks.task import check_progress, main, perform, requeue
from jobs.tasks.worker import ProcessPool, Worker
from sentiment.config import RunConfig
from sentiment.errors import ConfigError, DataError, KilledError, MemoryExhaustedError, NoProgressError, RunDirError
from sentiment.processes import available_cores, training_threads
from sentiment.runs.locks import Lock
from sentiment.runs.records import Failure, Result, StartCount
from sentiment.runs.run_dir import Results, RunDir, read_record
from sentiment.runs.state import read_progress
from sentiment.training.stop import RunContext, Stop, StopRequest, stoppable
from tests.jobs.fake_slurm import FakeSlurm
from tests.jobs.submitted import (
    GRID,
    LAUNCH_FAILED,
    DiedError,
    a_failure,
    a_plan,
    attempt_of,
    in_task,
    queued,
    write_attempts,
    write_epochs,
    write_job,
    write_submission,
)
from tests.small_runs import small_config

Shares = list[list[RunConfig]]
Pool = Callable[..., Worker]


@pytest.fixture
def shares(tweets_file: Path) -> Shares:
    runs = [small_config(tweets_file, seed=200 + seed, training__epochs=1) for seed in range(6)]
    return [runs[0::2], runs[1::2]]


@pytest.fixture
def run_dirs(results: Results, shares: Shares) -> list[RunDir]:
    return [results.run_dir(config.run_id, GRID) for share in shares for config in share]


def _complete(run_dirs: Iterable[RunDir], like: Result) -> None:
    for run_dir in run_dirs:
        run_dir.path.mkdir(parents=True, exist_ok=True)
        run_dir.write_record(like)


@pytest.fixture
def tried() -> list[str]:
    """The runs that tasks have begun."""
    return []


@dataclass
class _Processes(ProcessPool):
    """Processes that are none: the first to begin is the first to end."""

    tried: list[str] = field(default_factory=list)
    codes: Iterator[int] = field(default_factory=lambda: repeat(0))
    at_work: list[str] = field(default_factory=list)

    @property
    def running(self) -> int:
        return len(self.at_work)

    @property
    def process_ids(self) -> list[int]:
        return [*range(len(self.at_work))]

    def start(self, name: str, work: Callable[[], int], device: str = "auto") -> None:
        self.at_work.append(name)
        self.tried.append(name)

    def collect(self) -> dict[str, int]:
        return {self.at_work.pop(0): next(self.codes)}


@pytest.fixture
def as_task(monkeypatch: pytest.MonkeyPatch) -> None:
    in_task(monkeypatch)


@pytest.fixture
def pool(results: Results, shares: Shares, tried: list[str], as_task: None, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """Makes task 0 of array 7, whose attempts end as given."""
    monkeypatch.setattr("jobs.tasks.worker._LIBRARIES", ())

    def make(stop: StopRequest | None = None, at_once: int = 1, **how: Any) -> Worker:
        stop = stop or StopRequest()
        fake = _Processes(at_once, stop, set, tried, **how)
        monkeypatch.setattr("jobs.tasks.worker.ProcessPool", lambda *_: fake)
        return Worker(write_submission(results, shares, at_once=at_once), 0, stop)

    return make


def test_process_without_room_for_its_log_ends_with_the_code_of_a_full_disk() -> None:
    processes = ProcessPool(1, StopRequest(), set)
    processes.start("run", Mock(side_effect=OSError(errno.ENOSPC, "")))
    ended: dict[str, int] = {}
    while processes.running:
        ended |= processes.collect()
    assert ended == {"run": Outcome.DISK_FULL}


@pytest.mark.parametrize(
    ("codes", "outcome"),
    [
        ([Outcome.FAILED, Outcome.STOPPED], Outcome.STOPPED),
        ([Outcome.FAILED, Outcome.OUT_OF_TIME], Outcome.OUT_OF_TIME),
        ([Outcome.DISK_FULL, 0, Outcome.FAILED, 0, 0, 0], Outcome.DISK_FULL),
        ([-9, 0, 0, 0, 0, 0], Outcome.FAILED),
    ],
)
def test_task_ends_with_the_worst_outcome(pool: Pool, tried: list[str], codes: list[int], outcome: Outcome) -> None:
    assert pool(codes=iter(codes)).run() is outcome
    assert len(tried) == len(codes)


def test_damaged_plan_ends_no_task(pool: Pool, tried: list[str], results: Results) -> None:
    results.grid_file(GRID).parent.mkdir(parents=True)
    results.grid_file(GRID).write_text("{")
    assert pool().run() is Outcome.COMPLETED
    assert len(tried) == 6


def test_task_that_is_told_to_stop_between_two_runs_takes_no_other(pool: Pool, tried: list[str]) -> None:
    stop = StopRequest()
    stop.reason = lambda: Stop("signal", "SIGTERM") if tried else None
    assert pool(stop).run() is Outcome.STOPPED
    assert len(tried) == 1


@pytest.mark.parametrize(("system", "loaded"), [("linux", True), ("darwin", False)])
def test_libraries_are_loaded_before_a_fork_only_where_they_survive_it(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, system: str, loaded: bool
) -> None:
    task = pool()
    monkeypatch.setattr("jobs.tasks.worker._LIBRARIES", ("colorsys",))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    monkeypatch.setattr(sys, "platform", system)
    assert task.run() is Outcome.COMPLETED
    assert ("colorsys" in sys.modules) is loaded


def test_runs_share_a_gpu_and_each_makes_room_for_the_next(pool: Pool, tried: list[str], shares: Shares) -> None:
    at_work: list[int] = []
    ends = (at_work.append(len(tried)) or code for code in (0, Outcome.FAILED, 0, 0, 0, 0))
    assert pool(at_once=4, codes=ends).run() is Outcome.FAILED
    assert at_work == [4, 5, 6, 6, 6, 6]
    assert tried == [config.run_id for share in shares for config in share]


def test_run_is_free_unless_done_or_taken(pool: Pool, run_dirs: list[RunDir], monkeypatch: pytest.MonkeyPatch) -> None:
    task = pool()
    died_elsewhere, own, saved_elsewhere, failed, other_job, locked = run_dirs
    write_attempts(died_elsewhere, attempt_of("7_1"))
    write_attempts(own, attempt_of("7_0"))
    write_attempts(saved_elsewhere, attempt_of("7_1", end="2026-03-04T12:00:00+00:00", reason="deadline"))
    write_attempts(other_job, attempt_of("6_1"))
    record_failure(failed, KilledError("no memory"), retry=True)
    locked.path.mkdir(parents=True)
    with Lock(locked.lock_file, "trains this run"):
        assert [config.run_id for config in task.free_runs()] == [own.path.name, other_job.path.name]
        monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "8")  # as when it is submitted again: the lock's process is gone
        assert len(list(task.free_runs())) == 6


def test_looking_for_a_free_run_reads_nothing_of_completed_ones(pool: Pool, run_dirs: list[RunDir]) -> None:
    task = pool()
    for run_dir in run_dirs[:-1]:
        run_dir.path.mkdir(parents=True)
        run_dir.result_file.touch()
    with (
        patch("jobs.tasks.worker.read_progress", wraps=read_progress) as progress,
        patch.object(RunConfig, "model_validate_json", wraps=RunConfig.model_validate_json) as config,
    ):
        assert [config.run_id for config in task.free_runs()] == [run_dirs[-1].path.name]
    assert (progress.call_count, config.call_count) == (1, 1)


def test_grid_on_this_machine_is_trained_though_its_former_submissions_were_deleted(
    results: Results, shares: Shares, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config, *_), _ = shares
    job = Submission(kind="train", tasks=[[config.run_id]], configs=[config], resources=Resources(), local=True)
    free = []
    for _ in range(2):
        with LocalRunner(results, print) as runner:
            (folder,) = runner.accept(GRID, [job])
        monkeypatch.setenv("SENTIMENT_JOB", folder.task_address(0))
        free.append([run.run_id for run in Worker(folder, 0, StopRequest()).free_runs()])
        record_failure(results.run_dir(config.run_id, GRID), DataError("broken.csv"))
        shutil.rmtree(results.slurm)
    assert free == [[config.run_id]] * 2


def test_task_waiting_in_vain_is_cancelled(pool: Pool, run_dirs: list[RunDir], slurm: FakeSlurm, like: Result) -> None:
    task = pool()
    name = task.folder.name
    slurm.add(name, "7", 0, "RUNNING")
    slurm.add(name, "7", 1, "PENDING", LAUNCH_FAILED)
    slurm.add("another", "8", None, "PENDING")
    requeued, failed, *others = run_dirs
    write_attempts(requeued, attempt_of("7_1", end="2026-03-04T12:00:00+00:00", reason="deadline"))
    record_failure(failed, ConfigError("is wrong"))
    _complete(others, like)
    assert task.run() is Outcome.COMPLETED
    assert slurm.orders == []
    _complete([requeued], like)
    with Lock(failed.lock_file, "trains this run"):  # somebody tries it once more
        assert task.run() is Outcome.COMPLETED
        assert slurm.orders == []
    assert task.run() is Outcome.COMPLETED
    assert slurm.orders[-1] == "scancel 7_1"


def test_task_that_an_administrator_requeues_begins_nothing_that_was_cancelled_or_is_completed(
    pool: Pool, run_dirs: list[RunDir], tried: list[str], like: Result, slurm: FakeSlurm
) -> None:
    task = pool()
    _complete(run_dirs[1:], like)
    for cancelled, outcome in ((run_dirs[0].path.name, Outcome.COMPLETED), (task.folder.path.name, Outcome.STOPPED)):
        task.folder.mark_cancelled([cancelled])
        assert perform(task.folder, 0, task.stop) is outcome
    assert tried == []


def test_state_of_a_run_is_that_of_its_task(results: Results, shares: Shares, run_dirs: list[RunDir]) -> None:
    folder = write_submission(results, shares, job_id="7")
    running, died, waits, *_ = run_dirs
    write_attempts(running, attempt_of("7_0"))
    write_attempts(died, attempt_of("7_1"))  # which is of the share of task 0
    name, plan = folder.name, a_plan(one.path.name for one in (running, died, waits))
    queue = [Job(name, "7", 0, "RUNNING"), Job(name, "7", 1, "FAILED", reason="NonZeroExitCode")]
    with Lock(running.lock_file, "trains this run"):
        rows = read_grid_status(results, plan, GridJobs([folder], queue)).rows[:3]
    assert [(row.state, row.active) for row in rows] == [("RUNNING", True), ("FAILED", False), ("PENDING", True)]
    # What nobody has begun is its own task's if that is in the queue, else one's that may take it.
    held, runs = queued(folder, 0, LAUNCH_FAILED), queued(folder, 1, "None", "RUNNING")
    assert GridJobs([folder], [held, runs]).task_of(waits.path.name) == (folder, 0)
    assert GridJobs([folder], [replace(held, state="FAILED"), runs]).task_of(waits.path.name) == (folder, 1)
    assert GridJobs([folder], [held]).task_of(shares[1][0].run_id) == (folder, 0)


def test_only_what_is_about_time_leads_to_a_requeue() -> None:
    outcomes = {detail: outcome_of(Stop("signal", detail)) for detail in ("SIGUSR1", "SIGUSR2", "SIGTERM", "SIGINT")}
    assert [*outcomes.values()] == [Outcome.OUT_OF_TIME] * 2 + [Outcome.STOPPED] * 2
    assert (outcome_of(None), outcome_of(Stop("deadline", ""))) == (Outcome.COMPLETED, Outcome.OUT_OF_TIME)


@pytest.mark.parametrize(
    ("signals", "end", "outcome"),
    [
        ([signal.SIGUSR2], 0, Outcome.OUT_OF_TIME),
        ([signal.SIGUSR2, signal.SIGTERM], 2**33, Outcome.STOPPED),
        ([signal.SIGUSR2, signal.SIGTERM], 1, Outcome.OUT_OF_TIME),  # its time limit has passed: Slurm ends it
        ([signal.SIGUSR2, signal.SIGINT], 2**33, Outcome.OUT_OF_TIME),
    ],
)
@pytest.mark.usefixtures("as_task")
def test_task_that_is_cancelled_while_it_saves_is_not_requeued(
    signals: list[signal.Signals], end: int, outcome: Outcome, slurm: FakeSlurm, shares: Shares
) -> None:
    folder = write_submission(slurm.results, shares, job_id="7")

    def saves(worker: Worker) -> Outcome:
        first, *others = signals
        signal.raise_signal(first)
        reason = worker.stop.reason()
        for number in others:  # while it saves
            signal.raise_signal(number)
        return outcome_of(reason)

    with patch.object(Worker, "run", saves), patch.dict(os.environ, {"SLURM_JOB_END_TIME": str(end)}):
        assert main([str(folder.path)]) == outcome
    assert ("scontrol requeue 7_0" in slurm.orders) == (outcome is Outcome.OUT_OF_TIME)


def test_task_for_tweets_prepares_them_or_tells_who_waits(results: Results, tweets_file: Path, tmp_path: Path) -> None:
    table = tmp_path / "tweets.csv"
    table.write_text("label,text\nperhaps,so so\n")
    config = small_config(table)
    folder = write_job(results, "data", [[]], [config])
    assert perform(folder, 0, StopRequest()) is Outcome.FAILED
    assert "'perhaps'" in read_record(folder.failure_file(0), Failure).reason
    shutil.copy(tweets_file, table)
    assert perform(folder, 0, StopRequest()) is Outcome.COMPLETED
    assert read_record(folder.failure_file(0), Failure) is None
    assert unprepared([config], results) == []


def test_threads_are_dealt_out_as_far_as_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {*range(12)}, raising=False)
    assert [training_threads(count) for count in (1, 2, 5, 12, 1000)] == [8, 6, 2, 1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert [training_threads(count) for count in (1, 2, 5, 12)] == [3, 3, 2, 1]
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "3")  # where Slurm does not bind jobs to their cores
    assert [training_threads(count) for count in (1, 2)] == [3, 1]
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "64")  # a part of which a step of the job is bound to
    assert training_threads() == 8
    monkeypatch.delenv("SLURM_CPUS_ON_NODE")
    monkeypatch.delattr("os.sched_getaffinity")  # as on macOS
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert training_threads(2) == 2


def _in_control_group(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "own").write_text(f"9:name=systemd:/\n{line}\n")
    monkeypatch.setattr("sentiment.processes._OWN_CGROUPS", folder / "own")
    monkeypatch.setattr("sentiment.processes._CGROUPS", folder)


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        ("0::/", {"cpu.max": "max 100000"}, 12),
        ("0::/", {"cpu.max": "150000 100000"}, 2),
        ("0::/", {"cpu.max": "1000 100000"}, 1),
        ("0::/user/7", {"user/7/cpu.max": "max 100000", "user/cpu.max": "400000 100000", "cpu.max": "max 1"}, 4),
        ("0::/user/7", {"user/7/cpu.max": "200000 100000", "user/cpu.max": "400000 100000"}, 2),
        ("4:cpu,cpuacct:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 12),
        ("4:cpu,cpuacct:/docker/7", {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ("4:cpu:/job", {"cpu/job/cpu.cfs_quota_us": "300000", "cpu/job/cpu.cfs_period_us": "100000"}, 3),
        ("4:cpuset:/job", {f"{name}/job/cpu.max": "100000 100000" for name in ("cpu", "cpuset")}, 12),
        ("0::/", {}, 12),
    ],
)
def test_threads_are_at_most_the_smallest_quota_of_the_control_groups_around_this_process(
    own: str, files: dict[str, str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    _in_control_group(own, tmp_path, monkeypatch)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {*range(12)}, raising=False)
    assert available_cores() == cores
    assert training_threads(2) == max(cores // 2, 1)


@pytest.mark.usefixtures("as_task")
def test_on_this_machine_a_second_run_begins_when_the_first_trains_and_others_while_memory_lasts(
    results: Results, shares: Shares, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = _Processes(6, StopRequest(), set)
    monkeypatch.setattr("jobs.tasks.worker._LIBRARIES", ())
    monkeypatch.setattr("jobs.tasks.worker.ProcessPool", lambda *_: fake)
    folder = write_submission(results, [[*shares[0], *shares[1]]], at_once=6, local=True)
    monkeypatch.setattr(MeasuredMemory, "fits_one_more", lambda _, processes: len(processes) < 3)
    at_work: list[list[str]] = []

    def collect() -> dict[str, int]:
        at_work.append([*fake.at_work])
        run_dir = results.run_dir(fake.at_work[0], GRID)
        if run_dir.path.exists():
            return _Processes.collect(fake)
        write_epochs(run_dir, [0.5])
        return {}

    monkeypatch.setattr(fake, "collect", collect)
    assert Worker(folder, 0, fake.stop).run() is Outcome.COMPLETED
    assert [len(running) for running in at_work[:2]] == [1, 3]
    assert (max(map(len, at_work)), len(fake.tried)) == (3, 6)


def test_memory_that_processes_took_decides_whether_another_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    took = 2**28
    command = f"held = b'x' * {took}; del held; print(1, flush=True); input()"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", command], **pipes) as process:
        process.stdout.readline()
        memory = MeasuredMemory()
        fits = []
        for room in (2.9, 3.4):  # half more than it took for another one, and as much for itself, to grow again
            monkeypatch.setattr("jobs.tasks.memory.available_bytes", lambda room=room: room * took)
            fits.append(memory.fits_one_more([process.pid]))
        process.communicate(b"\n")
    assert fits == [False, True]
    monkeypatch.setattr("jobs.tasks.memory.available_bytes", lambda: 1.4 * took)
    assert not memory.fits_one_more([process.pid])  # what an ended one took is remembered


@pytest.mark.parametrize(
    ("own", "folder", "names"),
    [
        ("0::/job/step", "job", ("memory.max", "memory.current", "inactive_file")),
        ("4:memory:/job", "memory/job", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")),
    ],
)
def test_memory_is_what_the_machine_and_each_control_group_leave(
    own: str, folder: str, names: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"/proc/meminfo": "MemAvailable: 8000 kB\n"}
    _in_control_group(own, tmp_path, monkeypatch)
    monkeypatch.setattr("jobs.tasks.memory._read", lambda file: files.get(str(file), ""))
    assert available_bytes() == 8000 * 1024
    group = {names[0]: "5000000\n", names[1]: "3000000\n", "memory.stat": f"{names[2]} 500000\n"}
    files |= {f"{tmp_path}/{folder}/{name}": content for name, content in group.items()}
    assert available_bytes() == 5_000_000 - (3_000_000 - 500_000)


def test_of_what_a_preparation_leaves_only_finished_work_is_progress(results: Results) -> None:
    """Each attempt leaves a lock, whose size is that of its job's and host's names, and may leave half a folder."""
    folder = results.corpora / "a corpus"
    folder.mkdir(parents=True)
    with Lock(folder / "baselines.lock", "fits"):
        pass
    half = results.corpora / ".another.1234.tmp"
    half.mkdir()
    for file in (half / "labels.npy", folder / ".keys.npy.1234.tmp"):
        file.write_bytes(bytes(9))
    saved = partial(JOB_KINDS["data"].progress, results)
    assert saved() == 0
    for number, file in enumerate((folder / "baselines.npz", results.word_vectors / "a" / "vectors.txt"), start=1):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(5))
        assert saved() == 5 * number


def test_cuts_count_while_nothing_is_gained(tmp_path: Path, tweets_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config(tweets_file)
    folder = write_job(Results(tmp_path), "cache", [[]], [config], attempts_without_progress=2)
    written = iter([0, 0, 5, 5, 5, 6])
    monkeypatch.setattr("jobs.job_kinds._bytes_in", lambda *_: next(written))
    for _ in range(4):  # at first, without gain, with gain, without gain
        check_progress(folder, 0)
    with pytest.raises(NoProgressError):
        check_progress(folder, 0)
    folder.progress_file(0).write_text('{"step": "much"}')
    with pytest.raises(RunDirError, match=r"progress-0\.json"):
        check_progress(folder, 0)


def test_job_that_ends_a_grid_asks_again_and_again(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    folder = write_job(slurm.results, "report", [[]], job_id="7", attempts_without_progress=1)
    for _ in range(3):
        assert requeue(folder, 0, Outcome.RETRY_LATER) is Outcome.RETRY_LATER
    assert slurm.orders == ["scontrol requeue 7"] * 3


Ending = BaseException | None
Attempting = Callable[..., Outcome | None]


@pytest.fixture
def config(tweets_file: Path) -> RunConfig:
    return small_config(tweets_file)


@pytest.fixture
def run_dir(results: Results, config: RunConfig) -> RunDir:
    return results.run_dir(config.run_id, GRID)


def _submission(retry: bool = False, **resources: Any) -> Submission:
    return Submission(kind="train", tasks=[[]], resources=Resources(**resources), retry=retry)


@pytest.fixture
def attempt(run_dir: RunDir, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> Attempting:
    """Attempts at a run that end as given; None for one that dies."""

    def attempt(ending: Ending, meanwhile: Callable[[], None] = lambda: None, **resources: Any) -> Outcome | None:
        @stoppable
        def train(run: RunContext) -> None:
            meanwhile()
            run.on_begin(run.run_dir)
            if ending is not None:
                raise ending

        monkeypatch.setattr("sentiment.training.experiment.run_experiment", train)
        try:
            return attempt_run(config, run_dir, StopRequest(), _submission(**resources))
        except DiedError:
            return None

    return attempt


GPU_FULL = MemoryExhaustedError("the GPU's memory is full")


@pytest.mark.parametrize(
    ("ending", "resources", "retry"),
    [
        (OSError("Stale file handle"), {}, True),
        (ConfigError("is wrong"), {}, False),
        (ValueError("a defect"), {}, False),
        (GPU_FULL, {"memory_gb": 8}, False),
        (GPU_FULL, {"at_once": 2}, True),
        (MemoryError(), {}, False),
        (MemoryError(), {"memory_gb": 8}, True),
        (MemoryError(), {"at_once": 2}, True),
    ],
    ids=repr,
)
def test_failure_says_whether_a_retry_may_succeed(
    attempt: Attempting, run_dir: RunDir, ending: Ending, resources: dict[str, Any], retry: bool
) -> None:
    assert attempt(ending, **resources) is Outcome.FAILED
    failure = run_dir.read(Failure)
    assert failure.retry is retry
    assert bool(run_dir.own_failure()) is not retry


def test_lack_of_main_memory_is_recorded_with_what_to_change(attempt: Attempting, run_dir: RunDir) -> None:
    with pytest.raises(MemoryError) as raised:
        np.empty(1 << 60, np.uint8)
    assert type(raised.value) is not MemoryError  # numpy has a subclass of its own
    attempt(raised.value)
    failure = run_dir.own_failure()
    assert failure.startswith("MemoryError: Unable to allocate 1.00 EiB")
    assert failure.endswith("`memory_gb` in configs/cluster.yaml)")


@pytest.mark.parametrize("ending", [DiedError(), GPU_FULL], ids=repr)
def test_run_that_dies_three_times_has_failed(
    attempt: Attempting, run_dir: RunDir, as_task: None, monkeypatch: pytest.MonkeyPatch, ending: BaseException
) -> None:
    for number in (1, 2, 3):
        attempt(ending, retry=True, at_once=2)
        assert run_dir.read(StartCount) == StartCount(step=0, number=number, job="7_0")
    assert attempt(ending, retry=True) is Outcome.FAILED
    told = run_dir.own_failure()
    assert told.startswith("NoProgressError: 3 attempts in a row ended without a saved step")
    assert told.endswith("MemoryExhaustedError: the GPU's memory is full") is not isinstance(ending, DiedError)
    in_task(monkeypatch, "8")  # somebody has submitted it again
    assert attempt(None) is Outcome.COMPLETED


def test_attempt_that_finds_no_room_ends_with_a_code_of_its_own(attempt: Attempting, run_dir: RunDir) -> None:
    error = RunDirError("the state could not be saved")
    ends = {errno.ENOSPC: Outcome.DISK_FULL, errno.EDQUOT: Outcome.DISK_FULL, errno.EACCES: Outcome.FAILED}
    for number, outcome in ends.items():
        error.__context__ = OSError(number, "")
        assert attempt(error) is outcome
        assert ("; the disk is full" in run_dir.failure_file.read_text()) is (outcome is Outcome.DISK_FULL)


@pytest.mark.parametrize(
    ("state", "failed_in", "outcome"),
    [
        ("RUNNING", "", Outcome.COMPLETED),
        ("RUNNING", "7_1", Outcome.FAILED),  # the run's process died, and its task lives
        ("PENDING", "", Outcome.FAILED),  # requeued: its process is gone
        ("NODE_FAIL", "", Outcome.FAILED),
    ],
)
def test_takeover_of_a_run_that_another_task_trains_is_no_try(
    attempt: Attempting, run_dir: RunDir, monkeypatch: pytest.MonkeyPatch, state: str, failed_in: str, outcome: Outcome
) -> None:
    in_task(monkeypatch)
    monkeypatch.setattr("jobs.slurm.read_queue", lambda: [Job("g-x", "7", 1, state)])
    write_attempts(run_dir, attempt_of("7_1"))
    run_dir.write_record(StartCount(step=0, number=3, job="7_1"))
    if failed_in:
        run_dir.write_record(a_failure(failed_in, "KilledError"))
    assert attempt(None) is outcome


@pytest.mark.usefixtures("as_task")
def test_run_that_two_tasks_begin_at_once_names_the_one_that_has_it(attempt: Attempting, run_dir: RunDir) -> None:
    by_a_task_without_the_lock = StartCount(step=0, number=1, job="7_1")
    assert attempt(DiedError(), lambda: run_dir.write_record(by_a_task_without_the_lock)) is None
    assert run_dir.read(StartCount) == StartCount(step=0, number=1, job="7_0")


def test_tries_are_counted_anew_after_progress(attempt: Attempting, run_dir: RunDir) -> None:
    for step in (0, 40, 80):
        for _ in range(3):
            assert attempt(DiedError()) is None
        write_attempts(run_dir, attempt_of(None, first_step=step + 40))
    assert attempt(None) is Outcome.COMPLETED


def test_attempts_are_counted_anew_when_a_person_submits_the_run(
    attempt: Attempting, run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    for array, retry, number in (("7", False, 1), ("7", False, 2), ("8", True, 3), ("9", False, 1), ("10", True, 2)):
        in_task(monkeypatch, array)
        attempt(DiedError(), retry=retry)
        assert run_dir.read(StartCount) == StartCount(step=0, number=number, job=f"{array}_0")


def test_run_of_another_process_keeps_count_and_failure(run_dir: RunDir, config: RunConfig) -> None:
    run_dir.create(config)
    failure = a_failure(None)
    run_dir.write_record(failure)
    with Lock(run_dir.lock_file, "trains this run"):
        assert attempt_run(config, run_dir, StopRequest(), _submission()) is Outcome.COMPLETED
    assert not run_dir.start_file.exists()
    assert run_dir.read(Failure) == failure
