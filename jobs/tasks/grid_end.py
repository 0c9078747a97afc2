"""What the job does that ends a grid: it submits what is to follow, with a job that ends the grid in its place; else it
builds the report."""

from dataclasses import replace

from jobs.session import LaunchOptions, build_report, open_session
from jobs.slurm.resources import ClusterFile
from jobs.submissions import SubmissionDir
from jobs.tasks.attempt import Outcome, outcome_of
from sentiment.console import Say
from sentiment.errors import LockedError, QueueFullError, RunDirError, SentimentError, UnansweredError
from sentiment.processes import slurm_restarts
from sentiment.runs.records import GridPlan
from sentiment.training.stop import StopRequest

# After so many starts of the job, hours later, the grid is over although Slurm has not answered or has no room.
_MOST_LOOKS = 100


def end_grid(folder: SubmissionDir, stop: StopRequest) -> Outcome:
    """Submit what is to follow, or build the report."""
    if (outcome := submit_next_part(folder, print)) is not None:
        return outcome
    reported = build_report(folder.results, stop.reason, None)
    return outcome_of(stop.reason()) if stop.reason() or reported else Outcome.FAILED


def submit_next_part(ending: SubmissionDir, say: Say) -> Outcome | None:
    """Submit what is to follow; a refusal is said, and changes nothing else: the grid is over then.

    Args:
        ending: the submission of the job that ends the grid, which is running.

    Returns:
        None if the grid is over, COMPLETED if another job will end it, LOOK_AGAIN if there is no room for that yet, or
        the queue does not answer, or another command has the grid.
    """
    plan, results = _plan(ending), ending.results
    tries = (results.run_dir(run.run_id, plan.name).tries_file for run in plan.runs)
    if not plan.rounds and not any(file.exists() for file in tries):
        return None  # as for most grids; nobody is asked
    options = LaunchOptions(ClusterFile.model_validate(ending.submission.cluster), say=say)
    try:
        with open_session(results, plan, options) as session:
            earlier = [folder for folder in session.jobs.submissions if folder.path != ending.path]
            session.jobs = replace(session.jobs, submissions=earlier)  # else it would replace the job that it is
            return Outcome.COMPLETED if session.go_on() else None
    except (LockedError, UnansweredError, QueueFullError) as error:
        say(str(error))
        return Outcome.LOOK_AGAIN if slurm_restarts() < _MOST_LOOKS else None
    except SentimentError as error:
        say(f"nothing more is submitted: {error}")
        return None


def _plan(folder: SubmissionDir) -> GridPlan:
    grid = folder.submission.grid
    plan = folder.results.read_grid(grid)
    if plan is None:
        raise RunDirError(f"{folder.results.grid_file(grid)}: is gone")
    return plan
