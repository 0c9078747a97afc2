"""The final job: it decides what comes next in its grid, and builds the report when the grid has ended."""

from functools import partial

from jobs.launch.advance import Course, Wish, build_report, carry_on, go_on
from jobs.launch.locked_grid import LaunchOptions
from jobs.slurm.resources import ClusterFile
from jobs.submissions import SubmissionDir, read_submissions
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
    """Take the next step of a grid; if it has none, start those that follow it.

    If Slurm refuses that, or a record is damaged, say why; the grid then counts as ended.

    Returns:
        None if the grid has ended; COMPLETED if it goes on, which is for another final job; RETRY_LATER if that was
        refused, the queue is full, Slurm does not answer, or another command holds the grid's lock.
    """
    results = ending.results
    options = LaunchOptions(ClusterFile.model_validate(ending.submission.cluster), say=say)
    course = Course(results, options, ending=ending)
    try:
        steps = carry_on(course, [Wish(ending.grid, partial(go_on, name=ending.grid))])
        if steps[ending.grid].answer in ("stopped", "ended"):
            return None
        if _has_successor(ending):
            return Outcome.COMPLETED
    except (LockedError, UnansweredError, QueueFullError) as error:
        say(str(error))
    except SentimentError as error:
        say(f"no jobs that follow were submitted: {error}")
        return None
    return Outcome.RETRY_LATER if slurm_restarts() < _MAX_RESTARTS else None


def _has_successor(ending: SubmissionDir) -> bool:
    """Whether Slurm has accepted a later final job of the grid; it may have had room for training jobs only."""
    later = [folder for folder in read_submissions(ending.results, ending.grid) if folder.number > ending.number]
    return any(folder.submission.job_kind.final and folder.receipt for folder in later)
