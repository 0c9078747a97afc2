"""What the job does that ends a grid: it submits what is to follow, with a job that ends the grid in its place; else it
builds the report."""

from dataclasses import replace

from jobs.session import LaunchOptions, build_report, open_session
from jobs.slurm.resources import ClusterFile
from jobs.status import read_plan
from jobs.submissions import SubmissionDir
from jobs.tasks.attempt import Outcome, outcome_of
from sentiment.console import Say
from sentiment.errors import LockedError, QueueFullError, SentimentError, UnansweredError
from sentiment.processes import slurm_restarts
from sentiment.training.stop import StopRequest

# After so many starts of the job, hours later, the grid is over although Slurm has not answered or has no room.
_MOST_LOOKS = 100


def end_grid(folder: SubmissionDir, stop: StopRequest) -> Outcome:
    if (outcome := submit_next_part(folder, print)) is not None:
        return outcome
    reported = build_report(folder.results, stop.reason, None)
    return outcome_of(stop.reason()) if stop.reason() or reported else Outcome.FAILED


def submit_next_part(ending: SubmissionDir, say: Say) -> Outcome | None:
    """Submit what is to follow the job that ends the grid; after a refusal, which is said, the grid is over.

    Returns:
        None if the grid is over, COMPLETED if another job will end it, LOOK_AGAIN if there is no room for that yet, or
        the queue does not answer, or another command has the grid.
    """
    results = ending.results
    plan = read_plan(results, ending.submission.grid)
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
