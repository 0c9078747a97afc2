"""The state of a run: what its directory shows, and the one function that decides. `jobs` adds what the queue tells."""

import contextlib
import socket
from dataclasses import dataclass, replace
from typing import Any, Literal

from sentiment.errors import KilledError, RunDirError, in_one_line
from sentiment.processes import LOCAL_JOB_PREFIX
from sentiment.runs.halving import TrialPlace
from sentiment.runs.locks import live_owner
from sentiment.runs.records import INTERRUPTED, Attempt, Failure, GridPlan, Result, RunRecord, StartCount
from sentiment.runs.run_dir import RunDir

PLANNED = "PLANNED"
RUNNING = "RUNNING"
COMPLETED = "COMPLETED"
FAILED = "FAILED"
CANCELLED = "CANCELLED"
TIMEOUT = "TIMEOUT"
OUT_OF_MEMORY = "OUT_OF_MEMORY"
LOST = "LOST"  # its process died without recording a reason, or with the one that started it; it is in no queue
HELD = "HELD"  # in a queue, but starts only when a person releases it
PENDING = "PENDING"  # in a queue, and starts by itself
UNKNOWN = "UNKNOWN"  # in a queue that does not answer, is not asked, or belongs to another user or cluster
PAUSED = "PAUSED"  # at the end of a rung, whose ranking decides whether the trial is promoted
PRUNED = "PRUNED"  # by its rung's ranking; its checkpoint is kept, and `rerun NAME` resumes it

CANCELLING = "CANCELLING"  # `sentiment cancel` has told its process to save and stop
SUSPENDED = "SUSPENDED"  # by Slurm, for a job with priority; it goes on by itself
STOPPED = "STOPPED"  # a signal stopped it, as Ctrl+C does, outside of Slurm


@dataclass(frozen=True)
class RunState:
    """A state and, if it is known, the reason in a line; `state` may also be one of Slurm's, such as NODE_FAIL.

    Attributes:
        active: the run is pending or running, and needs no command to end.
        interrupted: it ended by no fault of its own, such as a kill or a time limit, and may be retried by itself.
    """

    state: str
    reason: str = ""
    active: bool = False
    interrupted: bool = False


@dataclass(frozen=True)
class RunProgress:
    """The progress of a run, read from its directory; the defaults if there is no directory.

    Attributes:
        record, result: None if the run has not begun, or is not completed.
        epoch: epochs completed.
        score: by the grid's metric: of the best epoch once the run is completed, else the best so far.
        seen: time of the last write, in seconds since 1970; None of a completed run.
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
    newest_start: StartCount | None = None
    damage: str | None = None

    def has_paused(self, epochs: int | None) -> bool:
        """Whether the run has saved and ended after at least so many epochs because its rung ended.

        Not if another task has started it since, which trains it on, or was killed before it recorded that.
        """
        attempt = self.last_attempt
        if attempt is None or attempt.reason != "paused" or not epochs:
            return False
        is_newest = self.newest_start is None or self.newest_start.job == attempt.job
        return is_newest and (self.epoch or 0) >= epochs


Phase = Literal["none", "unknown", "queued", "ended"]


@dataclass(frozen=True)
class TaskView:
    """What a queue tells of the task that has a run, or that could take it; the defaults: it was never submitted.

    Attributes:
        phase: `unknown` if the queue does not answer; `ended` too if the queue has forgotten the task.
        state, reason: as the queue names them; of an ended task, how it ended: empty if only the run's directory says
            that.
        job: the task's id in the queue, if it is listed there.
        is_cancelled: `sentiment cancel` ended the run.
        may_retry: a task has started the run since its last submission; or none has, but one of another submission
            could: its jobs can start, and not too many of them ended before they started it.
    """

    phase: Phase = "none"
    state: str = ""
    reason: str = ""
    job: str | None = None
    is_cancelled: bool = False
    may_retry: bool = False


NEVER_SUBMITTED = TaskView()


def judge(progress: RunProgress, trial: TrialPlace | None = None, task: TaskView = NEVER_SUBMITTED) -> RunState:
    """The state of a run. The first line that fits decides:

    line | what is known | state
    ---|---|---
    1 | it has a result | COMPLETED
    2 | a process trains it, which `sentiment cancel` has told to stop | CANCELLING
    3 | a process trains it | RUNNING or SUSPENDED
    4 | its rung, which it ended or was cancelled in, is ranked, and it is in no queue | PRUNED
    5 | `sentiment cancel` ended it | CANCELLED
    6 | it failed since its last submission | as it failed
    7 | it is at the end of its rung, which is not ranked | PAUSED
    8 | the queue does not answer | UNKNOWN
    9 | its task runs, but does not train it (yet) | PENDING
    10 | its task is in the queue | as the queue says
    11 | a file is damaged | FAILED
    12 | its task has ended | as it ended
    13 | it was started by hand, on this machine or in an earlier rung | as it ended
    14 | nothing has happened | PLANNED

    *As it failed*: FAILED, or OUT_OF_MEMORY if its process was killed or main memory was full. *As it ended*: FAILED,
    TIMEOUT, OUT_OF_MEMORY, NODE_FAIL, CANCELLED by a user, STOPPED, LOST (nothing says how), PLANNED after an earlier
    rung, or if its submission was interrupted.

    Args:
        progress: what its directory holds, as far as it is of its last submission.
        trial: its place in its grid's search; None without one.
    """
    if progress.completed:
        return RunState(COMPLETED)
    if progress.locked and task.is_cancelled:
        return RunState(CANCELLING, "saves; it can be resumed when it has ended", active=True)
    if progress.locked:
        return RunState(SUSPENDED if task.state == SUSPENDED else RUNNING, active=True)
    is_at_end = trial is not None and progress.has_paused(trial.epochs)
    if trial and trial.rank and (is_at_end or task.is_cancelled) and task.phase != "queued":
        return RunState(PRUNED, trial.describe())
    if task.is_cancelled:
        return RunState(CANCELLED, "by `sentiment cancel`")
    if progress.failure:
        return _as_failed(progress.failure, task)
    if trial and is_at_end and not trial.rank:
        return RunState(PAUSED, trial.describe())
    if task.phase == "unknown":
        return RunState(UNKNOWN, task.reason)
    if task.phase == "queued" and task.state == RUNNING:
        return RunState(PENDING, "its task runs, and does not train it yet", active=True)
    if task.phase == "queued":
        return RunState(task.state, task.reason, active=task.state != HELD)
    if progress.damage:
        return RunState(FAILED, progress.damage)
    return _as_ended(progress, task)


def _as_failed(failure: Failure, task: TaskView) -> RunState:
    lacked_memory = failure.error in (KilledError.__name__, MemoryError.__name__)
    state = OUT_OF_MEMORY if lacked_memory else FAILED
    return RunState(state, failure.summary, interrupted=failure.retry and task.phase != "none")


def _as_ended(progress: RunProgress, task: TaskView) -> RunState:
    ended = RunState(PLANNED)
    if task.state:
        ended = RunState(task.state, task.reason)
    elif progress.last_attempt:
        ended = _after(progress.last_attempt)
    by_user = ended.state in (CANCELLED, STOPPED)
    return replace(ended, interrupted=task.phase == "ended" and task.may_retry and not by_user)


def judge_without_queue(progress: RunProgress, trial: TrialPlace | None, is_cancelled: bool) -> RunState:
    """The state of a run where no queue is asked, with the epoch of one that is being trained.

    A run that Slurm may start again is UNKNOWN, as is one whose process is on another host, where its lock may not be
    visible.
    """
    attempt = progress.last_attempt
    task = TaskView(is_cancelled=is_cancelled)
    if attempt and not progress.damage:
        in_slurm = attempt.job is not None and not attempt.job.startswith(LOCAL_JOB_PREFIX)
        if attempt.reason is None and attempt.host != socket.gethostname():
            task = replace(
                task, phase="unknown", reason=f"its process on {attempt.host} cannot be checked from this machine"
            )
        elif in_slurm:
            reason = f"{_after(attempt).reason}; only Slurm knows whether its job starts again"
            task = replace(task, phase="unknown", reason=reason)
    run = judge(progress, trial, task)
    if run.state == RUNNING and progress.epoch:
        score = "" if progress.score is None else f", best so far {progress.score:.3f}"
        return replace(run, reason=f"after epoch {progress.epoch}{score}")
    return run


def _after(attempt: Attempt) -> RunState:
    """The state of a run whose newest attempt is `attempt`, and which no process trains."""
    if attempt.reason is None:
        return RunState(LOST, f"its process on {attempt.host} died without recording a reason")
    if attempt.reason == "failed":
        return RunState(FAILED, attempt.detail or "without a message")
    if attempt.reason == "paused":
        return RunState(PLANNED, attempt.detail or "")
    if attempt.reason == "completed":
        return RunState(LOST, "was trained to its end, but its result.json is missing")
    if attempt.detail == "SIGHUP":  # its terminal was closed, or a local grid's process died: no user cancelled it
        return RunState(LOST, f"saved at step {attempt.last_step}, when the process that started it had died")
    ending = "interrupted" if attempt.detail == INTERRUPTED else "saved and stopped"
    return RunState(TIMEOUT if attempt.reason == "deadline" else STOPPED, f"{ending}: {attempt.detail}")


def read_progress(run_dir: RunDir, plan: GridPlan | None = None) -> RunProgress:
    """Read a run's directory. Damage is returned in the field `damage`; `score` is that of the plan's metric."""
    if not run_dir.path.exists():  # of a grid of thousands most runs may not have begun
        return RunProgress()
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
            known["score"] = plan.score(result.metrics["validation"]) if plan else None
            return RunProgress(**known)
        known["failure"] = run_dir.read(Failure)
        epochs, last = run_dir.read_epochs()
        known |= {"epoch": epochs[-1].epoch if epochs else None, "step": last.step if last else None}
        if plan:
            scores = [plan.score(row.validation) for row in epochs]
            best = min if plan.goal == "minimize" else max
            known["score"] = best(scores, default=None)
    except RunDirError as error:
        known["damage"] = in_one_line(error)
    with contextlib.suppress(RunDirError):  # a damaged count is no reason to stop
        known["newest_start"] = run_dir.read(StartCount)
    seen = [path.stat().st_mtime for path in (run_dir.record_file, run_dir.metrics_file) if path.exists()]
    return RunProgress(**known, seen=max(seen, default=None))
