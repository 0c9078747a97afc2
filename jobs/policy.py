"""What the state of a run of a grid is, and what is done with it. All commands, tasks and the job at the end ask here.

A pure function of what the run's directory says, what the queue says of the task that has the run or may take it, and
what is asked:

line | what directory and queue say | state | `submit` | `rerun` | `cancel` | a task | at the end
---|---|---|---|---|---|---|---
1 | it has a result | COMPLETED
2 | the queue is silent; a process trains it | RUNNING ||| cancels
3 | the queue is silent; it failed in its last array | as it failed | submits | submits ||| if begun
4 | the queue is silent | UNKNOWN ||| cancels
5 | a process trains it | RUNNING or SUSPENDED ||| cancels
6 | its task is queued; `sentiment cancel` ended it | CANCELLED | submits | if named
7 | its task is queued; it failed in this array | as it failed | submits | submits ||| if begun
8 | its task, or a job before, awaits a release | HELD || releases | cancels
9 | its task trains another run | PENDING ||| cancels | trains
10 | its task is queued | as the queue says ||| cancels
11 | a file is damaged | FAILED | submits | submits ||| if begun
12 | its rung's ranking ended it | PRUNED || if named
13 | `sentiment cancel` ended it | CANCELLED | submits | if named
14 | it failed, and wrote why | as it failed | submits | submits ||| if begun
15 | its rung is over; ranking tasks are queued | PENDING ||| cancels
16 | its rung is over; nothing ranks it | PAUSED | ranks
17 | its next rung is not submitted | PLANNED | submits
18 | its submission was interrupted | PLANNED | submits
19 | somebody cancelled its task | CANCELLED | submits | if named
20 | its task is over or forgotten | as it ended | submits | submits ||| if begun
21 | never queued; somebody stopped it | CANCELLED | submits | if named
22 | never queued; it has begun | as it ended | submits | submits ||| if begun
23 | nothing has happened | PLANNED | submits

The first line that fits decides; 6 to 10 are not for a trial whose rung is over. *Trains it*: a process of its task, of
another queued job, or of none. *As it failed*: FAILED, or OUT_OF_MEMORY if its process was killed. *As it ended*:
FAILED, TIMEOUT, OUT_OF_MEMORY, NODE_FAIL, LOST (nobody knows how) ... *If begun*: since it was submitted, and
not ended by itself, as when killed or short of memory, time or disk; `attempts_without_progress` limits the tries in a
row. *If named*: by an option or the run's id.
"""

from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass, replace
from typing import Literal

from sentiment.runs.records import Failure
from sentiment.runs.state import (
    BY_COMMAND,
    CANCELLED,
    COMPLETED,
    FAILED,
    HELD,
    LOST,
    PAUSED,
    PENDING,
    PLANNED,
    PRUNED,
    RUNNING,
    TIMEOUT,
    UNKNOWN,
    RunProgress,
    RunState,
    Standing,
)
from sentiment.runs.state import judge as judge_directory

Whereabouts = Literal["nowhere", "silent", "intent", "waits", "held", "runs", "gone"]
Action = Literal["", "submits", "releases", "cancels", "trains", "ranks"]

OUT_OF_MEMORY, SUSPENDED = "OUT_OF_MEMORY", "SUSPENDED"
KILLED = "KilledError"
"""The failure of a run whose process was killed, which on a machine is done for want of memory."""

CAUSES = {
    "timeout": {TIMEOUT, "DEADLINE"},
    "lost": {LOST, "NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED"},
    "oom": {OUT_OF_MEMORY},
    "failed": {FAILED, "LAUNCH_FAILED"},
    "held": {HELD},
    "cancelled": {CANCELLED},
    "pruned": {PRUNED},
}
"""The states that each cause of `rerun --only` means; the last two are meant only if they are named."""

EXIT_FAILED = 1
EXIT_RUNNING = 3


@dataclass(frozen=True)
class Queued:
    """What a queue says of the task that has a run or, of one that nobody has begun, of a task that may take it.

    Attributes:
        place: no queue has it; its queue does not answer; it is about to get there; it is in the queue (three); it has
            ended or is forgotten.
        state, reason: of a task in the queue, in the queue's words; or why there is no answer.
        job: the task's name, as in `Attempt.job`.
        trains: whether the task runs, and has begun this run and not said its end.
        cancelled: whether `sentiment cancel` ended this run.
        ended: how the task ended, by the queue and its log, which is read only if it is asked.
        lives: whether a job is in the queue.
        begun_by: whether what a job (None: no job) has begun was begun since the run was last submitted.
        ranks: whether tasks are in the queue that rank the current rung of the run's search.
    """

    place: Whereabouts = "nowhere"
    state: str = ""
    reason: str = ""
    job: str | None = None
    trains: bool = False
    cancelled: bool = False
    ended: Callable[[RunProgress], RunState | None] = lambda _progress: None
    lives: Callable[[str], bool] = lambda _job: True
    begun_by: Callable[[str | None], bool] = lambda _job: False
    ranks: bool = False


@dataclass(frozen=True)
class Verdict:
    """The state of a run.

    Attributes:
        active: whether it waits or runs, and will end by itself.
        begun: whether it has begun since it was last submitted, and has not ended by itself.
    """

    state: str
    reason: str = ""
    active: bool = False
    begun: bool = False


def judge(progress: RunProgress, queued: Queued, standing: Standing | None = None) -> Verdict:
    """The state of a run, by the table above.

    Args:
        standing: in its grid's search; None if it is in none.
    """
    verdict, tries = _judge(progress, queued, standing), progress.tries
    begun = tries is not None and queued.begun_by(tries.job)
    return replace(verdict, active=verdict.active or verdict.state in (PENDING, RUNNING), begun=begun)


def _judge(progress: RunProgress, queued: Queued, standing: Standing | None) -> Verdict:
    if progress.completed:
        return Verdict(COMPLETED)
    failure, attempt = progress.failure, progress.last_attempt
    failed_here = failure is not None and queued.job is not None and _array(failure.job) == _array(queued.job)
    if queued.place == "silent":
        if progress.locked:
            return Verdict(RUNNING)
        return _as_failed(failure) if failure and failed_here else Verdict(UNKNOWN, queued.reason)
    # Of a job the queue knows better than a lock whether it lives.
    trained = progress.locked and (progress.owner_job is None or queued.lives(progress.owner_job))
    if trained or (queued.trains and not failure):
        return Verdict(queued.state if queued.state == SUSPENDED else RUNNING, active=True)
    paused = standing is not None and progress.has_paused(standing.epochs)
    if queued.place in ("waits", "held", "runs") and not paused:
        return _in_queue(queued, failure if failed_here else None)

    def ended() -> RunState | None:
        if queued.place in ("gone", "intent") and attempt and attempt.reason == "paused" and attempt.job == queued.job:
            return RunState(PLANNED, "goes on in the next rung of its search, for which nothing is submitted")
        if queued.place == "intent":
            return RunState(PLANNED, "is being submitted, or that was interrupted: the same command goes on")
        return queued.ended(progress) if queued.place == "gone" else None

    found = judge_directory(replace(progress, locked=False), standing, queued.cancelled, ended)
    if found.state == FAILED and failure and not progress.damage:
        return _as_failed(failure)
    return Verdict(PENDING if found.state == PAUSED and queued.ranks else found.state, found.reason)


def _in_queue(queued: Queued, failure: Failure | None) -> Verdict:
    if queued.cancelled:
        return Verdict(CANCELLED, BY_COMMAND)
    if failure:
        return _as_failed(failure)
    if queued.place == "held":
        return Verdict(HELD, queued.reason)
    if queued.state == RUNNING:
        return Verdict(PENDING, "waits for its turn")
    return Verdict(queued.state, queued.reason, active=True)


def _as_failed(failure: Failure) -> Verdict:
    return Verdict(OUT_OF_MEMORY if failure.error == KILLED else FAILED, f"{failure.error}: {failure.reason}")


def _array(job: str | None) -> str:
    return (job or "").partition("_")[0]


def needs_somebody(run: Verdict) -> bool:
    """Whether a run ended without a result or is held, and not because its user wanted that."""
    return not may_go_on(run) and run.state not in (COMPLETED, CANCELLED, PLANNED, PAUSED, PRUNED)


def may_go_on(run: Verdict) -> bool:
    """Whether a run goes on by itself, as far as is known."""
    return run.active or run.state == UNKNOWN


def submit(run: Verdict) -> Action:
    if may_go_on(run) or run.state in (COMPLETED, HELD, PRUNED):
        return ""
    return "ranks" if run.state == PAUSED else "submits"


def rerun(run: Verdict, causes: Collection[str] = (), named: bool = False) -> Action:
    """What `rerun` does with a run.

    Args:
        causes: of `CAUSES`; any if empty.
        named: whether the run's id is given.
    """
    wanted: Set[str] = set().union(*(CAUSES[cause] for cause in causes or CAUSES))
    if not causes and not named:
        wanted -= {CANCELLED, PRUNED}
    if run.active or run.state not in wanted:
        return ""
    return "releases" if run.state == HELD else "submits"


def cancel(run: Verdict) -> Action:
    """What `cancel` does with a run: one that waits or runs or, as far as can be seen from here, might do so."""
    return "cancels" if may_go_on(run) or run.state == HELD else ""


def work(run: Verdict) -> Action:
    """What a task does with a run, by its own view of its array (`jobs.tasks.worker`)."""
    return "trains" if run.state == PENDING else ""


def end(run: Verdict) -> Action:
    """What the job that ends a grid does with a run, or the process that runs a grid here."""
    return "submits" if run.begun and needs_somebody(run) and run.state != HELD else ""


def helps(run: Verdict) -> str:
    """The command by which a run goes on that doesn't by itself; empty if it does, or is done."""
    if may_go_on(run) or run.state in (COMPLETED, PRUNED):
        return ""
    return "rerun" if rerun(run) else "submit"


def exit_code(runs: Iterable[Verdict]) -> int:
    """What `status` ends with: 3 while any run goes on, else 1 if any needs somebody or was cancelled, else 3 if any
    is still to be submitted."""
    every = list(runs)
    if any(map(may_go_on, every)):
        return EXIT_RUNNING
    if any(needs_somebody(run) or run.state == CANCELLED for run in every):
        return EXIT_FAILED
    return 0 if all(run.state in (COMPLETED, PRUNED) for run in every) else EXIT_RUNNING
