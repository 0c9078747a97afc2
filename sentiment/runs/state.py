"""The state of a run: the facts of its directory, and the one function that decides. `jobs` adds the queue's facts."""

import contextlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from sentiment.errors import KilledError, RunDirError, in_one_line
from sentiment.runs.locks import live_owner
from sentiment.runs.records import INTERRUPTED, Attempt, Failure, GridPlan, Result, RunRecord, StartCount
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.rungs import TrialRung, read_rungs

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
UNKNOWN = "UNKNOWN"  # in a queue that does not answer, or that belongs to another user or cluster
PAUSED = "PAUSED"  # at the end of a rung, whose ranking decides whether the trial is promoted
PRUNED = "PRUNED"  # by its rung's ranking; its checkpoint is kept, and `rerun NAME` resumes it

SUSPENDED = "SUSPENDED"  # by Slurm, for a job with priority; it goes on by itself

Phase = Literal["none", "unanswered", "submitting", "waiting", "held", "running", "ended"]
_IN_QUEUE: tuple[Phase, ...] = ("waiting", "held", "running")


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


@dataclass(frozen=True)
class RunFacts:
    """All that the state of a run is decided from; the defaults are for a run that was never submitted.

    Attributes:
        progress: what its directory holds.
        trial_rung: its rung in its grid's search; None without a search.
        is_training: a process trains it; the queue knows better than a lock whether the process of a job is alive.
        is_cancelled: `sentiment cancel` ended it.
        has_failed: it failed since its last submission, and recorded why.
        phase: how far the task is that has the run, or that could take it:
            `none`: the run was never submitted;
            `unanswered`: the queue does not answer;
            `submitting`: the task is being submitted;
            `waiting`, `held`, `running`: the task is in the queue;
            `ended`: the task has ended, or the queue has forgotten it.
        task_state, task_reason: of a task in the queue, as the queue names them; of an ended task, how it ended; or why
            the queue does not answer. Empty if only the run's directory says how the task ended.
        may_retry: a task has started the run since its last submission; or none has, but one of another submission
            could: its jobs can start, and not too many of them ended before they started it.
    """

    progress: RunProgress
    trial_rung: TrialRung | None = None
    is_training: bool = False
    is_cancelled: bool = False
    has_failed: bool = False
    phase: Phase = "none"
    task_state: str = ""
    task_reason: str = ""
    may_retry: bool = False

    @classmethod
    def of_directory(cls, progress: RunProgress, trial_rung: TrialRung | None = None) -> Self:
        """The facts of a run without those of a queue."""
        return cls(progress, trial_rung, is_training=progress.locked, has_failed=progress.failure is not None)


def judge(facts: RunFacts) -> RunState:
    """The state of a run. The first line that fits decides:

    line | what is known | state
    ---|---|---
    1 | it has a result | COMPLETED
    2 | a process trains it | RUNNING or SUSPENDED
    3 | its rung, which it ended or was cancelled in, is ranked, and it is in no queue | PRUNED
    4 | `sentiment cancel` ended it | CANCELLED
    5 | it failed since its last submission | as it failed
    6 | it is at the end of its rung, which is not ranked | PAUSED
    7 | the queue does not answer | UNKNOWN
    8 | its task, or a job that this depends on, is held | HELD
    9 | its task runs, but does not train it (yet) | PENDING
    10 | its task is in the queue | as the queue says
    11 | a file is damaged | FAILED
    12 | its submission was interrupted | PLANNED
    13 | its task has ended | as it ended
    14 | it was started by hand, on this machine or in an earlier rung | as it ended
    15 | nothing has happened | PLANNED

    *As it failed*: FAILED, or OUT_OF_MEMORY if its process was killed or main memory was full. *As it ended*: FAILED,
    TIMEOUT, OUT_OF_MEMORY, NODE_FAIL, CANCELLED by a user, LOST (nothing says how), PLANNED after an earlier rung.
    """
    progress = facts.progress
    trial_rung = facts.trial_rung
    if progress.completed:
        return RunState(COMPLETED)
    if facts.is_training:
        return RunState(SUSPENDED if facts.task_state == SUSPENDED else RUNNING, active=True)
    is_ranked = trial_rung is not None and trial_rung.rank is not None
    is_at_end = trial_rung is not None and progress.has_paused(trial_rung.epochs)
    if trial_rung and is_ranked and (is_at_end or facts.is_cancelled) and facts.phase not in _IN_QUEUE:
        return RunState(PRUNED, trial_rung.describe())
    if facts.is_cancelled:
        return RunState(CANCELLED, "by `sentiment cancel`")
    if facts.has_failed and progress.failure:
        return _as_failed(progress.failure, facts)
    if trial_rung and is_at_end and not is_ranked:
        return RunState(PAUSED, trial_rung.describe())
    if facts.phase == "unanswered":
        return RunState(UNKNOWN, facts.task_reason)
    if facts.phase == "held":
        return RunState(HELD, facts.task_reason)
    if facts.phase in ("waiting", "running"):
        if facts.task_state == RUNNING:
            return RunState(PENDING, "its task runs, and does not train it yet", active=True)
        return RunState(facts.task_state, facts.task_reason, active=True)
    if progress.damage:
        return RunState(FAILED, progress.damage)
    if facts.phase == "submitting":
        return RunState(PLANNED, "is being submitted, or its submission was interrupted; repeat the command")
    return _as_ended(facts)


def _as_failed(failure: Failure, facts: RunFacts) -> RunState:
    lacked_memory = failure.error in (KilledError.__name__, MemoryError.__name__)
    state = OUT_OF_MEMORY if lacked_memory else FAILED
    return RunState(state, failure.summary, interrupted=failure.retry and facts.phase != "none")


def _as_ended(facts: RunFacts) -> RunState:
    if facts.task_state:
        ended = RunState(facts.task_state, facts.task_reason)
    elif facts.progress.last_attempt:
        ended = _after(facts.progress.last_attempt)
    else:
        ended = RunState(PLANNED)
    interrupted = facts.phase == "ended" and facts.may_retry and ended.state != CANCELLED
    return replace(ended, interrupted=interrupted)


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
    if attempt.detail == "SIGHUP":  # sent by `jobs.tasks.task` when a local grid's process dies: no user cancelled it
        return RunState(LOST, f"saved at step {attempt.last_step}, when the process of its grid had died")
    ending = "interrupted" if attempt.detail == INTERRUPTED else "saved and stopped"
    return RunState(TIMEOUT if attempt.reason == "deadline" else CANCELLED, f"{ending}: {attempt.detail}")


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
    seen = [path.stat().st_mtime for path in (run_dir.lock_file, run_dir.metrics_file) if path.exists()]
    return RunProgress(**known, seen=max(seen, default=None))


def pruned_rung(run_dir: RunDir) -> TrialRung | None:
    """The rung and rank of a run that its grid's search has pruned; None for any other run."""
    plan = None if run_dir.completed else run_dir.results.read_grid(run_dir.grid)
    rungs = read_rungs(run_dir.results, plan) if plan else None
    trial_rung = rungs.trial_rungs.get(run_dir.path.name) if rungs else None
    if trial_rung and judge(RunFacts.of_directory(read_progress(run_dir), trial_rung)).state == PRUNED:
        return trial_rung
    return None


def find_copies(results: Results, grid: str, planned: Collection[str] = ()) -> dict[str, str]:
    """The folders of a grid that are named otherwise than the run in them, such as copies: they are no runs.

    Args:
        planned: the folders that are not looked into.

    Returns:
        For each, by its name, a line on what it holds.
    """
    copies = {}
    for path in sorted((results.runs / grid).glob("[!.]*/")):
        if path.name not in planned:
            run_id = _recorded_id(RunDir(path))
            if run_id not in (None, path.name):
                copies[path.name] = f"{path}: holds run {run_id}; a folder that is not named as its run is left out"
    return copies


def _recorded_id(run_dir: RunDir) -> str | None:
    """The run that a folder holds; None if it holds none, or one that cannot be read."""
    with contextlib.suppress(RunDirError):
        record = run_dir.read(RunRecord)
        return record.run_id if record else run_dir.read_config().run_id
    return None
