"""What the job that ends a grid does first: submit again what failed, as often as `retries` in cluster.yaml says."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jobs.session import open_session
from jobs.slurm.launcher import SlurmLauncher
from jobs.slurm.resources import ClusterFile, Retries
from jobs.slurm.submissions import SubmissionDir
from jobs.status.grid_status import RunStatus
from jobs.status.selection import CAUSES
from jobs.tasks.failure import HOPELESS
from sentiment.console import Say
from sentiment.errors import LockedError, RunDirError, SentimentError
from sentiment.run_dir import Results

# By the names in the cluster's file. What is merely lost may be in the queue of another user or cluster.
_STATES = CAUSES | {"node_fail": {"NODE_FAIL", "BOOT_FAIL"}}
_LOCK_PATIENCE_SECONDS = 300.0
_POLL_SECONDS = 2.0


def retry_failures(ending: SubmissionDir, say: Say) -> bool:
    """Submit again what may be retried, and a job that ends the grid in place of this one.

    That it cannot be done is said, and changes nothing else: the grid is over then.

    Args:
        ending: the submission of the job that ends the grid, which is running.

    Returns:
        Whether anything was submitted.
    """
    file = ClusterFile.model_validate(ending.submission.cluster)
    retries = file.resources(ending.submission.grid).retries
    if retries == Retries():
        return False
    end = time.monotonic() + _LOCK_PATIENCE_SECONDS
    while True:
        try:
            return _retry(ending, file, retries, say)
        except SentimentError as error:
            if not isinstance(error, LockedError) or time.monotonic() > end:
                say(f"retries: nothing is submitted again: {error}")
                return False
        time.sleep(_POLL_SECONDS)


def _retry(ending: SubmissionDir, file: ClusterFile, retries: Retries, say: Say) -> bool:
    results, grid = Results(Path(ending.submission.results)), ending.submission.grid
    plan = results.read_grid(grid)
    if plan is None:
        raise RunDirError(f"{results.grid_file(grid)}: is gone")
    launcher = SlurmLauncher(results, plan, file, say)
    with open_session(results, plan, launcher) as session:
        launcher.retrying = _chosen(results, session.rows, retries)
        for run_id, cause in launcher.retrying.items():
            say(f"retries: {run_id} is submitted again after {cause}")
        if launcher.retrying:
            others = [folder for folder in launcher.jobs.submissions if folder.path != ending.path]
            launcher.jobs = replace(launcher.jobs, submissions=others)  # else it would replace the job that it is
            session.rerun([], {*launcher.retrying}, say)
    return bool(launcher.retrying)


def _chosen(results: Results, rows: Sequence[RunStatus], retries: Retries) -> dict[str, str]:
    """The causes for which runs may be tried again, by run id."""
    found = {}
    for row in rows:
        cause = next((name for name in Retries.model_fields if row.state in _STATES[name]), None)
        if cause is None or row.active or row.retries.count(cause) >= getattr(retries, cause):
            continue
        failure = results.run_dir(row.run_id, row.grid).read_failure()
        if failure is None or failure.error not in HOPELESS:
            found[row.run_id] = cause
    return found
