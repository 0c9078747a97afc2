"""Gathers the facts from which the state of a run is decided: those of its directory, its submissions and the queue."""

from jobs.grid_jobs import GridJobs
from sentiment.runs.rungs import TrialRung
from sentiment.runs.state import RUNNING, UNKNOWN, RunFacts, RunProgress


def gather(jobs: GridJobs, run_id: str, progress: RunProgress, trial_rung: TrialRung | None) -> RunFacts:
    """Gather what is known of a run; a log is read only if nothing else says how its task ended."""
    attempt = progress.last_attempt
    task = None if progress.completed else jobs.task_of(run_id, attempt)
    if task is None:
        return RunFacts.of_directory(progress, trial_rung)
    is_training = progress.locked and (progress.owner_job is None or jobs.is_alive(progress.owner_job))
    folder = task.folder
    phase, state, reason = jobs.phase(task)
    address = folder.task_address(task.number) if folder.receipt else None
    # Its lock says so too, but does not reach other hosts on some file systems.
    if state == RUNNING and attempt and attempt.job == address and not attempt.end and not progress.failure:
        is_training = True
    is_begun = jobs.has_begun(folder, progress)
    has_failed = progress.failure is not None and jobs.is_since(folder, progress.failure.job)
    # At the end of its rung a run leaves its task, which trains others: how that ended says nothing about the run.
    left_task = attempt is not None and attempt.reason == "paused" and jobs.is_since(folder, attempt.job)
    if phase == "ended" and not (has_failed or left_task or folder.submission.local):
        end = jobs.how_it_ended(task, attempt)
        state = end.state
        reason = end.reason
        if state == UNKNOWN:
            phase = "unanswered"
    return RunFacts(
        progress,
        trial_rung,
        is_training=is_training,
        is_cancelled=run_id in jobs.cancelled_runs[folder],
        has_failed=has_failed,
        phase=phase,
        task_state=state,
        task_reason=reason,
        may_retry=is_begun or jobs.may_start_again(run_id, progress),
    )
