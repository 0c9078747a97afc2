"""What the job that ends a grid does first: submit what is to follow.

That is what failed, again as often as `retries` in cluster.yaml says, and when all that has ended the next round of a
search that goes in rounds.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from jobs.grids.rounds import grow
from jobs.session import GridSession, open_session
from jobs.slurm.launcher import SlurmLauncher
from jobs.slurm.resources import ClusterFile, Retries
from jobs.slurm.submissions import SubmissionDir
from jobs.status.grid_status import RunStatus
from jobs.status.selection import CAUSES
from jobs.tasks.attempt import Outcome
from jobs.tasks.failure import is_hopeless
from sentiment.allocation import slurm_restarts
from sentiment.config import RunConfig
from sentiment.console import Say
from sentiment.errors import LockedError, QueueFullError, RunDirError, SentimentError, UnansweredError
from sentiment.run_dir import Results
from sentiment.run_state import PAUSED

# By the names in the cluster's file.
_STATES = CAUSES | {"node_fail": {"NODE_FAIL", "BOOT_FAIL"}}
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
        if Slurm does not answer.
    """
    file = ClusterFile.model_validate(ending.submission.cluster)
    retries = file.resources(ending.submission.grid).retries
    if retries == Retries() and not _goes_in_rounds(ending):
        return None
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return _submit(ending, file, retries, say)
        except (LockedError, UnansweredError, QueueFullError) as error:
            if isinstance(error, QueueFullError) or time.monotonic() >= end:
                say(str(error))
                return Outcome.LOOK_AGAIN if slurm_restarts() < _MOST_LOOKS else None
        except SentimentError as error:
            say(f"nothing more is submitted: {error}")
            return None
        time.sleep(_POLL_SECONDS)


def _submit(ending: SubmissionDir, file: ClusterFile, retries: Retries, say: Say) -> Outcome | None:
    results = Results(Path(ending.submission.results))
    plan = results.read_grid(ending.submission.grid)
    if plan is None:
        raise RunDirError(f"{results.grid_file(ending.submission.grid)}: is gone")
    launcher = SlurmLauncher(results, plan, file, say)
    with open_session(results, plan, launcher) as session:
        rows = session.rows
        launcher.retrying = _chosen(results, rows, retries)
        for run_id, cause in launcher.retrying.items():
            say(f"retries: {run_id} is submitted again after {cause}")
        first: list[tuple[RunStatus, RunConfig]] = []
        if not launcher.retrying and not _any_goes_on(rows):
            session, first = _with_next_round(session, say)
        if not first and not launcher.retrying:
            return None
        earlier = [folder for folder in launcher.jobs.submissions if folder.path != ending.path]
        launcher.jobs = replace(launcher.jobs, submissions=earlier)  # else it would replace the job that it is
        session.submit_next_part(first, {*launcher.retrying}, say)
    return Outcome.COMPLETED


def _with_next_round(session: GridSession, say: Say) -> tuple[GridSession, list[tuple[RunStatus, RunConfig]]]:
    """The session of a search whose next round is planned, and that round's runs; none if there is no next round."""
    grown = grow(session.plan, session.results)
    if grown is None:
        return session, []
    plan, configs = grown
    say(f"the next round: {len(configs)} trials, suggested by {len(session.plan.runs)}")
    session.results.write_grid(plan)
    session.launcher.plan = plan
    session = replace(session, plan=plan)
    rows = {row.run_id: row for row in session.rows}
    return session, [(rows[config.run_id], config) for config in configs]


def _goes_in_rounds(ending: SubmissionDir) -> bool:
    plan = Results(Path(ending.submission.results)).read_grid(ending.submission.grid)
    return plan is not None and plan.rounds is not None


def _any_goes_on(rows: Iterable[RunStatus]) -> bool:
    """Whether any run waits or runs, or has paused without slots for the next rung of its search."""
    return any(row.active or row.state == PAUSED for row in rows)


def _chosen(results: Results, rows: Sequence[RunStatus], retries: Retries) -> dict[str, str]:
    """The causes for which runs may be tried again, by run id."""
    found = {}
    for row in rows:
        cause = next((name for name in Retries.model_fields if row.state in _STATES[name]), None)
        if cause is None or row.active or row.retries.count(cause) >= getattr(retries, cause):
            continue
        if not is_hopeless(results.run_dir(row.run_id, row.grid)):
            found[row.run_id] = cause
    return found
