"""The state of each run of a grid, and what each command, each task and the final job do with a run in that state.

They are a pure function of the run's directory, of what Slurm says about the task that owns or could take the run, and
of the command:

line | directory and queue | state | `submit` | `rerun` | `cancel` | a worker task | the final job
---|---|---|---|---|---|---|---
1 | the run has a result | COMPLETED
2 | Slurm does not answer; a process trains the run | RUNNING ||| cancels
3 | Slurm does not answer; the run failed in its last array | as it failed | submits | submits ||| if begun
4 | Slurm does not answer | UNKNOWN ||| cancels
5 | a process trains the run | RUNNING or SUSPENDED ||| cancels
6 | its task is queued; `sentiment cancel` ended the run | CANCELLED | submits | if named
7 | its task is queued; the run failed in this array | as it failed | submits | submits ||| if begun
8 | its task, or a job that this depends on, is held | HELD || releases | cancels
9 | its task trains another run | PENDING ||| cancels | trains
10 | its task is queued | as the queue says ||| cancels
11 | a file is damaged | FAILED | submits | submits ||| if begun
12 | the ranking of its rung eliminated it | PRUNED || if named
13 | `sentiment cancel` ended the run | CANCELLED | submits | if named
14 | the run failed since its last submission, and recorded why | as it failed | submits | submits ||| if begun
15 | it is at the end of its rung | PAUSED | ranks
16 | it was promoted; its next rung is not submitted | PLANNED | submits
17 | its submission was interrupted | PLANNED | submits
18 | a user cancelled its task | CANCELLED | submits | if named
19 | its task has ended, or Slurm has forgotten it | as it ended | submits | submits ||| if begun
20 | never submitted to Slurm; a user stopped it | CANCELLED | submits | if named
21 | never submitted to Slurm; it has started | as it ended | submits | submits ||| if begun
22 | nothing has happened | PLANNED | submits

The first line that fits decides. Lines 6 to 10 do not apply to a trial at the end of its rung. *A process trains the
run*: a process of a queued job, or one outside Slurm, holds its lock. *As it failed*: FAILED, or OUT_OF_MEMORY if its
process was killed or main memory was full. *As it ended*: FAILED, TIMEOUT, OUT_OF_MEMORY, NODE_FAIL, LOST (no record of
how) ... *If begun*: the run was started since its last submission and was killed, ran out of time or disk, or lacked
memory of which a retry may get more; `attempts_without_progress` limits such retries in a row. *If named*: by `--only`
or by the run's id.
"""

from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass, replace
from typing import Literal

from sentiment.errors import EXIT_FAILED, EXIT_UNFINISHED, KilledError
from sentiment.runs.records import Failure
from sentiment.runs.rungs import TrialRung
from sentiment.runs.state import (
    BY_COMMAND,
    CANCELLED,
    COMPLETED,
    FAILED,
    HELD,
    LOST,
    OUT_OF_MEMORY,
    PAUSED,
    PENDING,
    PLANNED,
    PRUNED,
    RUNNING,
    TIMEOUT,
    UNKNOWN,
    RunProgress,
    RunState,
    judge_directory,
)

Phase = Literal["not_submitted", "unanswered", "submitting", "waiting", "held", "running", "gone"]
Action = Literal["", "submits", "releases", "cancels", "trains", "ranks"]

SUSPENDED = "SUSPENDED"

CAUSES = {
    "timeout": {TIMEOUT, "DEADLINE"},
    "lost": {LOST, "NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED"},
    "oom": {OUT_OF_MEMORY},
    "failed": {FAILED, "LAUNCH_FAILED"},
    "held": {HELD},
    "cancelled": {CANCELLED},
    "pruned": {PRUNED},
}
"""The states that each cause of `rerun --only` selects; without it, only ids select cancelled and pruned runs."""


@dataclass(frozen=True)
class QueueReport:
    """What Slurm reports about the task that owns a run; for a run not started yet, about a task that could take it.

    Attributes:
        phase: how far the task is:
            `not_submitted`: the run was never submitted;
            `unanswered`: Slurm does not answer;
            `submitting`: the task is being submitted;
            `waiting`, `held`, `running`: the task is in the queue;
            `gone`: the task has ended, or Slurm has forgotten it.
        state, reason: of a task in the queue, as Slurm names them; or why Slurm does not answer.
        job: the task's Slurm id, as in `Attempt.job`.
        trains_run: the task is running and has an unfinished attempt at this run.
        cancelled: `sentiment cancel` ended this run.
        ended: returns how the task ended, from the queue and the task's log. It is called only where the answer is
            needed, because it reads the log.
        is_alive: whether a job is in the queue.
        begun_by: whether a job (None: a process outside Slurm) belongs to the run's last submission or to a later one.
    """

    phase: Phase = "not_submitted"
    state: str = ""
    reason: str = ""
    job: str | None = None
    trains_run: bool = False
    cancelled: bool = False
    ended: Callable[[RunProgress], RunState | None] = lambda _progress: None
    is_alive: Callable[[str], bool] = lambda _job: True
    begun_by: Callable[[str | None], bool] = lambda _job: False


@dataclass(frozen=True)
class JudgedState:
    """The state of a run.

    Attributes:
        active: the run is pending or running, and needs no command to end.
        begun: the run was started since its last submission, and was killed or ran out of memory, time or disk.
    """

    state: str
    reason: str = ""
    active: bool = False
    begun: bool = False


def judge(progress: RunProgress, queued: QueueReport, trial_rung: TrialRung | None = None) -> JudgedState:
    """The state of a run, by the table above.

    Args:
        trial_rung: the trial's rung and epoch limit; None outside a search.
    """
    judged = _judge(progress, queued, trial_rung)
    stalled = progress.stalled
    begun = stalled is not None and queued.begun_by(stalled.job)
    return replace(judged, active=judged.active or judged.state in (PENDING, RUNNING), begun=begun)


def _judge(progress: RunProgress, queued: QueueReport, trial_rung: TrialRung | None) -> JudgedState:
    if progress.completed:
        return JudgedState(COMPLETED)
    failure = progress.failure
    attempt = progress.last_attempt
    failed_here = failure is not None and queued.job is not None and _array(failure.job) == _array(queued.job)
    if queued.phase == "unanswered":
        if progress.locked:
            return JudgedState(RUNNING)
        return _as_failed(failure) if failure and failed_here else JudgedState(UNKNOWN, queued.reason)
    # For a Slurm job the queue is more reliable than the lock file.
    is_training = progress.locked and (progress.owner_job is None or queued.is_alive(progress.owner_job))
    if is_training or (queued.trains_run and not failure):
        return JudgedState(queued.state if queued.state == SUSPENDED else RUNNING, active=True)
    paused = trial_rung is not None and progress.has_paused(trial_rung.epochs)
    if queued.phase in ("waiting", "held", "running") and not paused:
        return _in_queue(queued, failure if failed_here else None)

    def how_it_ended() -> RunState | None:
        has_paused = attempt is not None and attempt.reason == "paused" and attempt.job == queued.job
        if has_paused and queued.phase in ("gone", "submitting"):
            return RunState(PLANNED, "is promoted to the next rung, which is not submitted")
        if queued.phase == "submitting":
            return RunState(PLANNED, "is being submitted, or its submission was interrupted; repeat the command")
        return queued.ended(progress) if queued.phase == "gone" else None

    if failure and queued.phase == "gone" and not queued.begun_by(failure.job):
        failure = None  # it is older than the last submission, whose end is the state
    known = replace(progress, locked=False, failure=failure)
    state = judge_directory(known, trial_rung, queued.cancelled, how_it_ended)
    if state.state == FAILED and failure and not progress.damage:
        return _as_failed(failure)
    return JudgedState(state.state, state.reason)


def _in_queue(queued: QueueReport, failure: Failure | None) -> JudgedState:
    if queued.cancelled:
        return JudgedState(CANCELLED, BY_COMMAND)
    if failure:
        return _as_failed(failure)
    if queued.phase == "held":
        return JudgedState(HELD, queued.reason)
    if queued.state == RUNNING:
        return JudgedState(PENDING, "its task trains another run")
    return JudgedState(queued.state, queued.reason, active=True)


def _as_failed(failure: Failure) -> JudgedState:
    lacked_memory = failure.error in (KilledError.__name__, MemoryError.__name__)
    return JudgedState(OUT_OF_MEMORY if lacked_memory else FAILED, failure.summary)


def _array(job: str | None) -> str:
    return (job or "").partition("_")[0]


def needs_attention(run: JudgedState) -> bool:
    """Whether the run failed or is held, and the user did not ask for that."""
    return not may_go_on(run) and run.state not in (COMPLETED, CANCELLED, PLANNED, PAUSED, PRUNED)


def may_go_on(run: JudgedState) -> bool:
    """Whether the run is active, or could be (UNKNOWN)."""
    return run.active or run.state == UNKNOWN


def submit(run: JudgedState) -> Action:
    if may_go_on(run) or run.state in (COMPLETED, HELD, PRUNED):
        return ""
    return "ranks" if run.state == PAUSED else "submits"


def rerun(run: JudgedState, causes: Collection[str] = (), is_named: bool = False) -> Action:
    """What `rerun` does with a run.

    Args:
        causes: keys of `CAUSES`; empty means all.
        is_named: the user gave the run's id.
    """
    selected_states: Set[str] = set().union(*(CAUSES[cause] for cause in causes or CAUSES))
    if not causes and not is_named:
        selected_states -= {CANCELLED, PRUNED}
    if run.active or run.state not in selected_states:
        return ""
    return "releases" if run.state == HELD else "submits"


def cancel(run: JudgedState) -> Action:
    """What `cancel` does with a run: it cancels one that is, or may be, queued or running."""
    return "cancels" if may_go_on(run) or run.state == HELD else ""


def worker_action(run: JudgedState) -> Action:
    """What a worker task does with a run, given the state of its own array (`jobs.tasks.worker`)."""
    return "trains" if run.state == PENDING else ""


def final_job_action(run: JudgedState) -> Action:
    """What the final job, or the local runner, does with a run when the grid has ended."""
    return "submits" if run.begun and needs_attention(run) and run.state != HELD else ""


def resume_command(run: JudgedState) -> str:
    """The command that resumes an inactive run; empty if the run is active, UNKNOWN, completed or pruned."""
    if may_go_on(run) or run.state in (COMPLETED, PRUNED):
        return ""
    return "rerun" if rerun(run) else "submit"


def exit_code(runs: Iterable[JudgedState]) -> int:
    """The exit code of `status`: 3 while any run is active; else 1 if any failed, is held or was cancelled; else 3 if
    any is not submitted; else 0."""
    judged = list(runs)
    if any(map(may_go_on, judged)):
        return EXIT_UNFINISHED
    if any(needs_attention(run) or run.state == CANCELLED for run in judged):
        return EXIT_FAILED
    return 0 if all(run.state in (COMPLETED, PRUNED) for run in judged) else EXIT_UNFINISHED
