"""What the job that ends a grid does first: submit what is to follow.

That is what has begun and has not ended, with the later rungs of its search: it was killed, or ran out of something.
And when all that has ended, the next round of a search that goes in rounds.
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from jobs import policy
from jobs.grids.rounds import grow
from jobs.session import GridSession, open_session
from jobs.slurm.launcher import SlurmLauncher
from jobs.slurm.resources import ClusterFile
from jobs.slurm.submissions import SubmissionDir
from jobs.status.grid_status import RunStatus
from jobs.tasks.attempt import Outcome
from sentiment.console import Say
from sentiment.errors import LockedError, QueueFullError, RunDirError, SentimentError, UnansweredError
from sentiment.processes import slurm_restarts
from sentiment.runs.run_dir import Results
from sentiment.runs.state import PAUSED, PLANNED

_PATIENCE_SECONDS = 300.0
# After so many starts of the job, hours later, the grid is over although Slurm has not answered or has no room.
_MOST_LOOKS = 24
_POLL_SECONDS = 2.0


def submit_next_part(ending: SubmissionDir, say: Say) -> Outcome | None:
    """Submit what is to follow, and a job that ends the grid in place of this one.

    A refusal is said, and changes nothing else: the grid is over then.

    Args:
        ending: the submission of the job that ends the grid, which is running.

    Returns:
        None if the grid is over, COMPLETED if another job will end it, LOOK_AGAIN if there is no room for that yet, or
        Slurm does not answer, or another command has the grid.
    """
    file = ClusterFile.model_validate(ending.submission.cluster)
    if not _may_go_on(ending):
        return None
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return _submit(ending, file, say)
        except (LockedError, UnansweredError, QueueFullError) as error:
            if isinstance(error, QueueFullError) or time.monotonic() >= end:
                say(str(error))
                return Outcome.LOOK_AGAIN if slurm_restarts() < _MOST_LOOKS else None
        except SentimentError as error:
            say(f"nothing more is submitted: {error}")
            return None
        time.sleep(_POLL_SECONDS)


def _submit(ending: SubmissionDir, file: ClusterFile, say: Say) -> Outcome | None:
    results = Results(Path(ending.submission.results))
    plan = results.read_grid(ending.submission.grid)
    if plan is None:
        raise RunDirError(f"{results.grid_file(ending.submission.grid)}: is gone")
    launcher = SlurmLauncher(results, plan, file, say)
    with open_session(results, plan, launcher) as session:
        jobs, rows = session.jobs, session.rows
        again = [row for row in rows if policy.end(row) and session.can_be_trained(row, say)]
        for row in again:
            say(f"{row.run_id} has not ended, and is submitted again: {row.state} {row.reason}".rstrip())
        run_ids = {row.run_id for row in again}
        if plan.rounds and not again and not _any_goes_on(rows):
            session = _with_next_round(session, say)
            run_ids = {row.run_id for row in session.rows if row.state == PLANNED and row.run_id not in jobs.places}
        if not run_ids:
            return None
        earlier = [folder for folder in jobs.submissions if folder.path != ending.path]
        launcher.jobs = replace(jobs, submissions=earlier)  # else it would replace the job that it is
        session.submit_next_part(run_ids, say)
    return Outcome.COMPLETED


def _with_next_round(session: GridSession, say: Say) -> GridSession:
    """The session of a search whose next round is planned, if there is one and it was not planned before."""
    grown = grow(session.plan, session.results)
    if grown is None:
        return session
    plan, configs = grown
    say(f"the next round: {len(configs)} trials, suggested by {len(session.plan.runs)}")
    session.results.write_grid(plan)
    session.launcher.plan = plan
    return replace(session, plan=plan)


def _may_go_on(ending: SubmissionDir) -> bool:
    """Whether anything can follow; asks nobody, since for most grids nothing does."""
    results = Results(Path(ending.submission.results))
    plan = results.read_grid(ending.submission.grid)
    if plan is None or plan.rounds:
        return plan is not None
    return any(results.run_dir(run.run_id, plan.name).tries_file.exists() for run in plan.runs)


def _any_goes_on(rows: Iterable[RunStatus]) -> bool:
    """Whether any run waits or runs, or has paused without slots for the next rung of its search."""
    return any(row.active or row.state == PAUSED for row in rows)
