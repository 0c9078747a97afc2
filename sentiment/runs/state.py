"""The state of a run, from its directory; for submitted runs, `jobs.policy` adds the state of the queue."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sentiment.errors import RunDirError, in_one_line
from sentiment.runs.locks import live_owner
from sentiment.runs.records import INTERRUPTED, Attempt, Failure, GridPlan, Result, RunRecord, StalledAttempts
from sentiment.runs.run_dir import RunDir
from sentiment.runs.rungs import TrialRung, read_rungs

PLANNED = "PLANNED"
RUNNING = "RUNNING"
COMPLETED = "COMPLETED"
FAILED = "FAILED"
CANCELLED = "CANCELLED"
TIMEOUT = "TIMEOUT"
OUT_OF_MEMORY = "OUT_OF_MEMORY"
LOST = "LOST"  # its process died without recording a reason, and it is in no queue
HELD = "HELD"  # in a queue, but starts only when a person releases it
PENDING = "PENDING"  # in a queue, and starts by itself
UNKNOWN = "UNKNOWN"  # in a queue that does not answer, or that belongs to another user or cluster
PAUSED = "PAUSED"  # at the end of a rung, whose ranking decides whether the trial is promoted
PRUNED = "PRUNED"  # by its rung's ranking; its checkpoint is kept, and `rerun NAME` resumes it

# The reason of a run that a user cancelled.
BY_COMMAND = "by `sentiment cancel`"


@dataclass(frozen=True)
class RunState:
    """A state and, if it is known, the reason in a line; `state` may also be one of Slurm's, such as NODE_FAIL."""

    state: str
    reason: str = ""


@dataclass(frozen=True)
class RunProgress:
    """The progress of a run, read from its directory; the defaults if there is no directory.

    Attributes:
        record, result: None if the run has not begun, or is not completed.
        epoch: epochs completed.
        score: by the grid's metric: of the best epoch once the run is completed, else the best so far.
        seen: time of the last write, in seconds since 1970.
        locked: whether a live process holds the run's lock.
        owner_job: the Slurm job of that process; the queue knows better whether it is alive.
        damage: the file that cannot be read and why, in a line.
    """

    completed: bool = False
    record: RunRecord | None = None
    result: Result | None = None
    attempts: int = 0
    last_attempt: Attempt | None = None
    failure: Failure | None = None
    epoch: int | None = None
    step: int | None = None
    score: float | None = None
    seen: float | None = None
    locked: bool = False
    owner_job: str | None = None
    stalled: StalledAttempts | None = None
    damage: str | None = None

    def has_paused(self, epochs: int | None) -> bool:
        """Whether the run has saved and ended after at least so many epochs because its rung ended."""
        paused = self.last_attempt and self.last_attempt.reason == "paused"
        return bool(paused and epochs and self.epoch and self.epoch >= epochs)


def judge_directory(
    progress: RunProgress,
    trial_rung: TrialRung | None = None,
    cancelled: bool = False,
    ended: Callable[[], RunState | None] = lambda: None,
) -> RunState:
    """The state of a run that is neither queued nor running in Slurm, from its directory where that suffices.

    Args:
        trial_rung: its rung in its grid's search; None without a search.
        cancelled: whether `sentiment cancel` ended the run.
        ended: asks the queue how the run ended; called only if the directory does not tell.
    """
    paused = trial_rung is not None and progress.has_paused(trial_rung.epochs)
    if progress.completed:
        return RunState(COMPLETED)
    if progress.locked:
        return RunState(RUNNING)
    if progress.damage:
        return RunState(FAILED, progress.damage)
    if trial_rung and paused and trial_rung.rank:
        return RunState(PRUNED, trial_rung.describe())
    if cancelled:
        return RunState(CANCELLED, BY_COMMAND)
    if progress.failure:
        return RunState(FAILED, progress.failure.summary)
    if trial_rung and paused:
        return RunState(PAUSED, trial_rung.describe())
    return ended() or (_state_after(progress.last_attempt) if progress.last_attempt else RunState(PLANNED))


def read_progress(run_dir: RunDir, plan: GridPlan | None = None) -> RunProgress:
    """Read a run's directory. Damage is returned in the field `damage`; `score` is that of the plan's metric."""
    known: dict[str, Any] = {}
    if owner := live_owner(run_dir.lock_file):  # first: a process releases it after it has recorded how it ended
        known |= {"locked": True, "owner_job": owner.job}
    try:
        record = known["record"] = run_dir.read(RunRecord)
        result = known["result"] = run_dir.read(Result)
        if record:
            known |= {"attempts": len(record.attempts), "last_attempt": record.attempts[-1]}
        if result:
            known |= {"completed": True, "epoch": result.epochs, "step": result.steps}
            known["score"] = plan.score(result.metrics) if plan else None
            return RunProgress(**known)
        known["failure"] = run_dir.read(Failure)
        epochs, last = run_dir.read_epochs()
        known |= {"epoch": epochs[-1].epoch if epochs else None, "step": last.step if last else None}
        if plan:
            scores = [score for row in epochs if (score := plan.score(row.metrics)) is not None]
            best = min if plan.goal == "minimize" else max
            known["score"] = best(scores, default=None)
    except RunDirError as error:
        known["damage"] = in_one_line(error)
    with contextlib.suppress(RunDirError):  # a damaged count is no reason to stop
        known["stalled"] = run_dir.read(StalledAttempts)
    seen = [path.stat().st_mtime for path in (run_dir.lock_file, run_dir.metrics_file) if path.exists()]
    return RunProgress(**known, seen=max(seen, default=None))


def pruned_rung(run_dir: RunDir) -> TrialRung | None:
    """The rung and rank of a run that its grid's search has pruned; None for any other run."""
    plan = None if run_dir.completed else run_dir.results.read_grid(run_dir.grid)
    rungs = read_rungs(run_dir.results, plan) if plan else None
    trial_rung = rungs.trial_rungs.get(run_dir.path.name) if rungs else None
    return trial_rung if trial_rung and judge_directory(read_progress(run_dir), trial_rung).state == PRUNED else None


def _state_after(attempt: Attempt) -> RunState:
    """The state of a run whose newest attempt is `attempt`, and which no process trains."""
    if attempt.reason is None:
        return RunState(LOST, f"its process on {attempt.host} died without recording a reason")
    if attempt.reason == "failed":
        return RunState(FAILED, attempt.detail or "without a message")
    if attempt.reason == "paused":
        return RunState(PLANNED, f"promoted to the next rung; {attempt.detail}")
    if attempt.reason == "completed":
        return RunState(FAILED, "was completed, but its result.json is missing")
    if attempt.detail == "SIGHUP":  # sent by `jobs.tasks.task` when a local grid's process dies: no user cancelled it
        return RunState(LOST, f"saved at step {attempt.last_step}, when the process of its grid had died")
    ending = "interrupted" if attempt.detail == INTERRUPTED else "saved and stopped"
    return RunState(TIMEOUT if attempt.reason == "deadline" else CANCELLED, f"{ending}: {attempt.detail}")
