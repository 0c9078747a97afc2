"""What tasks do that train no runs: work that runs wait for, and what ends a grid; and when they are given up."""

import contextlib
import json
import time
import traceback
from dataclasses import replace
from pathlib import Path

from jobs.session import GridSession, LaunchOptions, open_session
from jobs.slurm.resources import ClusterFile
from jobs.slurm.submissions import SubmissionDir
from jobs.tasks.attempt import PLAIN, NoProgressError, Outcome, describe, is_disk_full, outcome_of
from jobs.tasks.grid_end import GridEnd
from jobs.tasks.worker import Worker
from sentiment.console import Say
from sentiment.errors import LockedError, QueueFullError, RunDirError, SentimentError, UnansweredError
from sentiment.files import write_json
from sentiment.processes import slurm_restarts
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results
from sentiment.training.stop import StopRequest

_PATIENCE_SECONDS = 300.0
# After so many starts of the job, hours later, the grid is over although Slurm has not answered or has no room.
_MOST_LOOKS = 24
_POLL_SECONDS = 2.0


def serve(folder: SubmissionDir, number: int, stop: StopRequest) -> Outcome:
    """Do work that runs wait for."""
    folder.failure_file(number).unlink(missing_ok=True)
    kind, results = folder.submission.job_kind, Results(Path(folder.submission.results))
    try:
        return outcome_of(kind.work(folder.read_all_configs(), results, stop, PLAIN))
    except Exception as error:  # of any kind: all runs that wait show it
        with contextlib.suppress(OSError):
            record_failure_of(folder, number, error)
        traceback.print_exc()
        return Outcome.DISK_FULL if is_disk_full(error) else Outcome.FAILED


def record_failure_of(folder: SubmissionDir, number: int, error: Exception) -> None:
    """Write a failure of a whole task down: with its runs or, if it has none, with the submission."""
    if folder.submission.job_kind.trains_runs:
        Worker(folder, number).fail(error)
    else:
        write_json(folder.failure_file(number), describe(error).model_dump(mode="json"))


def insist_on_progress(folder: SubmissionDir, number: int) -> None:
    """Count how often in a row the time of a task without runs ended without progress.

    Raises:
        NoProgressError: that was too often.
    """
    file, done = folder.progress_file(number), folder.submission.job_kind.progress(_results(folder))
    former = json.loads(file.read_bytes()) if file.exists() else {"done": -1, "cuts": 0}
    cuts = 0 if done > former["done"] else former["cuts"] + 1
    with contextlib.suppress(OSError):  # a full disk shows when the task saves
        write_json(file, {"done": done, "cuts": cuts})
    if cuts >= folder.submission.resources.attempts_without_progress:
        raise NoProgressError(
            f"its time ended {cuts} times in a row without progress: starting and saving take longer than the time "
            "limit leaves; rerun with more time"
        )


def end_grid(folder: SubmissionDir, stop: StopRequest) -> Outcome:
    """Submit what is to follow, with a job that ends the grid in place of this one; else report, and tell somebody."""
    if (outcome := submit_next_part(folder, print)) is not None:
        return outcome
    notify = ClusterFile.model_validate(folder.submission.cluster).notify
    end = GridEnd(_results(folder), _plan(folder), notify, None, print)
    code = end.report(stop)
    end.tell_unless_stopped(stop, reported=code == 0)
    return outcome_of(stop.reason()) if stop.reason() or code == 0 else Outcome.FAILED


def submit_next_part(ending: SubmissionDir, say: Say) -> Outcome | None:
    """Submit what is to follow; a refusal is said, and changes nothing else: the grid is over then.

    Args:
        ending: the submission of the job that ends the grid, which is running.

    Returns:
        None if the grid is over, COMPLETED if another job will end it, LOOK_AGAIN if there is no room for that yet, or
        Slurm does not answer, or another command has the grid.
    """
    plan, results = _plan(ending), _results(ending)
    tries = (results.run_dir(run.run_id, plan.name).tries_file for run in plan.runs)
    if not plan.rounds and not any(file.exists() for file in tries):
        return None  # as for most grids; nobody is asked
    options = LaunchOptions(ClusterFile.model_validate(ending.submission.cluster), say=say)
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            with open_session(results, plan, options) as session:
                return Outcome.COMPLETED if _go_on(session, ending) else None
        except (LockedError, UnansweredError, QueueFullError) as error:
            if isinstance(error, QueueFullError) or time.monotonic() >= end:
                say(str(error))
                return Outcome.LOOK_AGAIN if slurm_restarts() < _MOST_LOOKS else None
        except SentimentError as error:
            say(f"nothing more is submitted: {error}")
            return None
        time.sleep(_POLL_SECONDS)


def _go_on(session: GridSession, ending: SubmissionDir) -> bool:
    earlier = [folder for folder in session.jobs.submissions if folder.path != ending.path]
    session.jobs = replace(session.jobs, submissions=earlier)  # else it would replace the job that it is
    return session.go_on()


def _plan(folder: SubmissionDir) -> GridPlan:
    results, grid = _results(folder), folder.submission.grid
    plan = results.read_grid(grid)
    if plan is None:
        raise RunDirError(f"{results.grid_file(grid)}: is gone")
    return plan


def _results(folder: SubmissionDir) -> Results:
    return Results(Path(folder.submission.results))
