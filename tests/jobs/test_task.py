"""What a task does without Slurm around it: real processes, real trainings. (With Slurm: tests/slurm.)"""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from jobs.services import steps_saved, unprepared
from jobs.slurm.resources import Resources
from jobs.submissions import SubmissionDir
from jobs.tasks.attempt import NoProgressError, Outcome, outcome_of
from jobs.tasks.task import insist_on_progress
from jobs.tasks.worker import SideBySide, core_shares
from sentiment.config import RunConfig
from sentiment.runs.run_dir import Results
from sentiment.training.stop import Stop, StopRequest
from tests.jobs.submitted import GRID, write_job, write_submission
from tests.small_runs import digest_of, small_config
from tests.training.processes import wait_until

pytestmark = pytest.mark.slow


def _command(folder: SubmissionDir) -> list[str]:
    return [sys.executable, "-u", "-m", "jobs.tasks.task", str(folder.path)]


def _environ(task: int) -> dict[str, str]:
    return os.environ | {"SLURM_ARRAY_TASK_ID": str(task)}


def _perform(folder: SubmissionDir, task: int = 0) -> tuple[int, str]:
    """The exit code, and what was printed."""
    done = subprocess.run(_command(folder), env=_environ(task), capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("stop", "outcome"),
    [
        (None, Outcome.COMPLETED),
        (Stop("deadline", "5 s left"), Outcome.OUT_OF_TIME),
        (Stop("signal", "SIGUSR1"), Outcome.OUT_OF_TIME),
        (Stop("signal", "SIGUSR2"), Outcome.OUT_OF_TIME),
        (Stop("signal", "SIGTERM"), Outcome.STOPPED),
        (Stop("signal", "SIGINT"), Outcome.STOPPED),
    ],
    ids=str,
)
def test_only_what_is_about_time_leads_to_a_requeue(stop: Stop | None, outcome: Outcome) -> None:
    assert outcome_of(stop) is outcome


def _data(results: Results, config: RunConfig) -> SubmissionDir:
    return write_job(results, "data", [[]], [config], Resources())


def test_task_for_tweets_prepares_them_and_fits_their_baseline(results: Results, tweets_file: Path) -> None:
    config = small_config(tweets_file)
    code, output = _perform(_data(results, config))
    assert code == 0, output
    assert "900 tweets of" in output
    assert unprepared([config], results) == []


def test_task_for_tweets_that_cannot_be_used_says_why_to_all_that_wait(results: Results, tmp_path: Path) -> None:
    table = tmp_path / "tweets.csv"
    table.write_text("label,text\nperhaps,so so\n")
    folder = _data(results, small_config(table))
    assert _perform(folder)[0] == 1
    failure = folder.read_failure(0)
    assert failure is not None
    assert "'perhaps'" in failure.reason


def test_completed_run_ends_with_0_before_anything_heavy_is_loaded(shared_results: Results, tweets_file: Path) -> None:
    config = small_config(tweets_file, seed=103, training__epochs=1)
    folder = write_submission(shared_results, [[config]])
    assert _perform(folder)[0] == 0
    script = (
        f"import sys\nfrom jobs.tasks.task import main\ncode = main([{str(folder.path)!r}])\n"
        "assert not {'torch', 'numpy', 'submitit'} & set(sys.modules)\nraise SystemExit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], env=_environ(0), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_failure_is_written_down_and_forgotten_when_the_next_attempt_begins(
    shared_results: Results, tweets_file: Path
) -> None:
    config = small_config(tweets_file, seed=104, training__learning_rate=1e38)
    folder, run_dir = write_submission(shared_results, [[config]]), shared_results.run_dir(config.run_id, GRID)
    code, output = _perform(folder)
    assert code == 1
    assert f"{config.run_id} FAILED: DivergedError: " in output
    assert "Traceback" in folder.run_log(config.run_id).read_text()
    failure, record = run_dir.read_failure(), run_dir.read_record()
    assert failure is not None
    assert failure.error == "DivergedError"
    assert "training.learning_rate = 1e+38 is too high" in failure.reason
    assert "run_experiment" in failure.traceback
    assert record is not None
    assert record.attempts[-1].reason == "failed"
    process = subprocess.Popen(_command(folder), env=_environ(0), stdout=subprocess.PIPE, text=True)
    assert wait_until(lambda: not run_dir.failure_file.exists(), process)
    process.communicate()
    assert run_dir.failure_file.exists()  # it failed again


def test_cancelled_task_does_not_begin(shared_results: Results, tweets_file: Path) -> None:
    config = small_config(tweets_file, seed=105)
    folder = write_submission(shared_results, [[config]])
    folder.cancel([config.run_id])
    code, output = _perform(folder)
    assert code == Outcome.STOPPED
    assert "was cancelled" in output
    assert not shared_results.run_dir(config.run_id, GRID).path.exists()


def test_term_saves_and_ends_with_3(shared_results: Results, tweets_file: Path) -> None:
    config = small_config(tweets_file, seed=106, training__epochs=200, training__early_stopping__patience=200)
    folder, run_dir = write_submission(shared_results, [[config]]), shared_results.run_dir(config.run_id, GRID)
    process = subprocess.Popen(_command(folder), env=_environ(0), stdout=subprocess.PIPE, text=True)
    assert wait_until(lambda: len(run_dir.read_metrics()) > 3, process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    assert process.returncode == Outcome.STOPPED, output
    assert steps_saved(run_dir) > 0
    assert not run_dir.failure_file.exists()


def test_runs_of_one_task_are_trained_at_once_and_as_well_as_alone(shared_results: Results, tweets_file: Path) -> None:
    """One of them fails, which the others do not mind."""
    changes = {"training__epochs": 2}
    good = [small_config(tweets_file, seed=seed, **changes) for seed in (107, 108)]
    bad = small_config(tweets_file, seed=107, training__learning_rate=1e38, **changes)
    code, output = _perform(write_submission(shared_results, [[good[0], bad, good[1]]], at_once=3))
    assert code == 1, output
    alone = write_submission(shared_results, [[config] for config in good])
    together = [digest_of(shared_results.run_dir(config.run_id, GRID)) for config in good]
    for task, config in enumerate(good):
        path = shared_results.run_dir(config.run_id, GRID).path
        path.rename(path.with_name(f"{path.name} together"))
        assert _perform(alone, task)[0] == 0
        assert digest_of(shared_results.run_dir(config.run_id, GRID)) == together[task]
    failure = shared_results.run_dir(bad.run_id, GRID).read_failure()
    assert failure is not None
    assert failure.error == "DivergedError"


def test_run_of_a_task_that_is_cancelled_saves_and_ends_while_its_sibling_completes(
    shared_results: Results, tweets_file: Path
) -> None:
    long = {"training__epochs": 400, "training__early_stopping__patience": 400}
    cancelled = small_config(tweets_file, seed=110, **long)
    skipped = small_config(tweets_file, seed=111, **long)
    goes_on = small_config(tweets_file, seed=112, training__epochs=12, training__early_stopping__patience=12)
    folder = write_submission(shared_results, [[cancelled, skipped, goes_on]], at_once=3)
    folder.cancel([skipped.run_id])
    run_dirs = {config.run_id: shared_results.run_dir(config.run_id, GRID) for config in (cancelled, skipped, goes_on)}
    process = subprocess.Popen(_command(folder), env=_environ(0), stdout=subprocess.PIPE, text=True)
    assert wait_until(lambda: len(run_dirs[cancelled.run_id].read_metrics()) > 3, process)
    folder.cancel([cancelled.run_id])
    output, _ = process.communicate()
    assert process.returncode == Outcome.COMPLETED, output
    assert run_dirs[goes_on.run_id].completed
    record = run_dirs[cancelled.run_id].read_record()
    assert record is not None
    assert (record.attempts[-1].reason, record.attempts[-1].detail) == ("signal", "SIGTERM")
    assert steps_saved(run_dirs[cancelled.run_id]) > 0
    assert not run_dirs[cancelled.run_id].failure_file.exists()
    assert not run_dirs[skipped.run_id].path.exists()


def test_signal_reaches_all_processes_of_a_task_and_exit_codes_come_back(tmp_path: Path) -> None:
    """Also if the task's own process is the only one that it was sent to."""

    def work(number: int) -> int:
        (tmp_path / str(number)).touch()
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        while (reason := stop.reason()) is None:
            signal.pause()
        return 10 + number if reason.detail == "SIGUSR1" else 1

    def signal_when_all_run() -> int:
        while len(list(tmp_path.iterdir())) < 3:
            os.sched_yield()
        os.kill(os.getppid(), signal.SIGUSR1)
        return 0

    with StopRequest() as stop:
        processes, codes = SideBySide(4, stop, set), {}
        for number in range(3):
            processes.begin(str(number), partial(work, number))
        processes.begin("signals", signal_when_all_run)
        while processes.number:
            codes |= processes.collect()
        assert codes == {"0": 10, "1": 11, "2": -signal.SIGKILL, "signals": 0}


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_cores_are_dealt_out_as_far_as_there_are_enough(count: int) -> None:
    cores = os.sched_getaffinity(0)
    shares = core_shares(count)
    assert len(shares) == count
    assert set().union(*shares) == cores
    assert sum(map(len, shares)) == len(cores) if count <= len(cores) else all(share == cores for share in shares)


def test_cuts_of_shared_work_count_only_while_nothing_is_gained(
    tmp_path: Path, tweets_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm's own part in it is played in tests/slurm."""
    resources = Resources(attempts_without_progress=2)
    folder = write_job(Results(tmp_path), "pretrain", [[]], [small_config(tweets_file)], resources)
    steps = iter([0, 0, 5, 5, 5])
    monkeypatch.setattr("jobs.services.pretrained_dirs", lambda _results: [None])
    monkeypatch.setattr("jobs.services.steps_saved", lambda _run_dir: next(steps))
    for _ in range(4):  # at first, without gain, with gain, without gain
        insist_on_progress(folder, 0)
    with pytest.raises(NoProgressError, match="its time ended 2 times in a row without progress"):
        insist_on_progress(folder, 0)
    assert json.loads(folder.progress_file(0).read_bytes()) == {"done": 5, "cuts": 2}
