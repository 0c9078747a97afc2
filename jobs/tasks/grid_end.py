"""The final job: it resubmits interrupted runs, or submits the next round of a search, with a new final job.

If nothing is left to submit, it builds the report.
"""

from dataclasses import replace

from jobs.session import LaunchOptions, build_report, lock_grid
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
    if (outcome := submit_follow_up(folder, print)) is not None:
        return outcome
    reported = build_report(folder.results, stop.reason, None)
    return outcome_of(stop.reason()) if stop.reason() or reported else Outcome.FAILED


def submit_follow_up(ending: SubmissionDir, say: Say) -> Outcome | None:
    """Submit follow-up jobs, if there are any. If Slurm refuses them, say why; the grid then counts as finished.

    Returns:
        None if the grid is finished; COMPLETED if another final job was submitted; RETRY_LATER if the queue is full,
        Slurm does not answer, or another command holds the grid's lock.
    """
    results = ending.results
    plan = read_plan(results, ending.grid)
    tries_files = (results.run_dir(run.run_id, plan.name).tries_file for run in plan.runs)
    if not plan.rounds and not any(file.exists() for file in tries_files):
        return None  # the common case: no run was interrupted, so Slurm need not be asked
    options = LaunchOptions(ClusterFile.model_validate(ending.submission.cluster), say=say)
    try:
        with lock_grid(results, plan, options) as grid:
            earlier = [folder for folder in grid.jobs.submissions if folder.path != ending.path]
            grid.jobs = replace(grid.jobs, submissions=earlier)  # else `submit_chain` would cancel this very job
            return Outcome.COMPLETED if grid.submit_follow_up() else None
    except (LockedError, UnansweredError, QueueFullError) as error:
        say(str(error))
        return Outcome.RETRY_LATER if slurm_restarts() < _MAX_RESTARTS else None
    except SentimentError as error:
        say(f"no follow-up jobs were submitted: {error}")
        return None
