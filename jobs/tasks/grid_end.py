"""The final job: it decides what comes next in its grid, and builds the report when the grid has ended."""

from dataclasses import replace

from jobs.launch.locked_grid import LaunchOptions, lock_grid
from jobs.launch.next_step import go_on
from jobs.session import build_report, start_waiting
from jobs.slurm.resources import ClusterFile
from jobs.status.names import read_plan
from jobs.submissions import SubmissionDir
from jobs.tasks.attempt import Outcome, outcome_of
from sentiment.console import Say
from sentiment.errors import LockedError, QueueFullError, SentimentError, UnansweredError
from sentiment.processes import slurm_restarts
from sentiment.training.stop import StopRequest

# Give up and build the report after this many requeues, although Slurm does not answer or its queue is full.
_MAX_RESTARTS = 100


def end_grid(folder: SubmissionDir, stop: StopRequest) -> Outcome:
    if (outcome := take_next_step(folder, print)) is not None:
        return outcome
    reported = build_report(folder.results, stop.reason, None)
    return outcome_of(stop.reason()) if stop.reason() or reported else Outcome.FAILED


def take_next_step(ending: SubmissionDir, say: Say) -> Outcome | None:
    """Take the next step of a grid; if there is none, submit the grids that wait for it.

    If Slurm refuses that, or a record is damaged, say why; the grid then counts as ended.

    Returns:
        None if the grid has ended; COMPLETED if it goes on, which is for another final job; RETRY_LATER if the queue is
        full, Slurm does not answer, or another command holds the grid's lock.
    """
    results = ending.results
    options = LaunchOptions(ClusterFile.model_validate(ending.submission.cluster), say=say)
    try:
        plan = read_plan(results, ending.grid)
        with lock_grid(results, plan, options) as grid:
            # This job is no final job that is still to come, and must not be cancelled when a new one is submitted.
            earlier = [folder for folder in grid.jobs.submissions if folder.path != ending.path]
            jobs = replace(grid.jobs, submissions=earlier)
            if go_on(replace(grid, jobs=jobs)):
                return Outcome.COMPLETED
        start_waiting(results, plan.name, say)
        return None
    except (LockedError, UnansweredError, QueueFullError) as error:
        say(str(error))
        return Outcome.RETRY_LATER if slurm_restarts() < _MAX_RESTARTS else None
    except SentimentError as error:
        say(f"no jobs that follow were submitted: {error}")
        return None
