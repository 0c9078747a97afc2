"""What the state of a run of a grid is, and what is done with it. All commands, tasks and the job at the end ask here.

A pure function of what the run's directory says, what the queue says of the task that the run was last given to, and
what is asked:

| | what the run's directory and the queue say | state | `submit` | `rerun` | `cancel` | a task | at the end |
|---|---|---|---|---|---|---|---|
| 1 | it has a result | COMPLETED | | | | | |
| 2 | the queue does not answer; a process gives signs of life | RUNNING | | | cancels | | |
| 3 | the queue does not answer; it failed in the task that it was last given to | FAILED | submits | submits | | | if begun |
| 4 | the queue does not answer | UNKNOWN | | | cancels | | |
| 5 | its task has other runs, too; a process trains this one | RUNNING | | | cancels | | |
| 6 | its task has other runs, too; `jobs cancel` ended this one | CANCELLED | submits | if named | | | |
| 7 | its task has other runs, too; this one failed in it, or in another task of the array | FAILED | submits | submits | | | if begun |
| 8 | its task, or the job that this waits for, begins only when somebody releases it | HELD | | releases | cancels | | |
| 9 | its task has other runs, too, and runs | PENDING | | | cancels | trains | |
| 10 | its task is in the queue | as the queue says | | | cancels | | |
| 11 | a process trains it: one outside of Slurm, or of another job in the queue | RUNNING | | | cancels | | |
| 12 | a file of its directory is damaged | FAILED | submits | submits | | | if begun |
| 13 | it is at the end of a rung whose ranking decided that it does not go on | PRUNED | | if named | | | |
| 14 | `jobs cancel` ended it | CANCELLED | submits | if named | | | |
| 15 | it failed, and wrote down why | FAILED | submits | submits | | | if begun |
| 16 | it is at the end of its rung, and tasks that rank it are in the queue | PENDING | | | cancels | | |
| 17 | it is at the end of its rung, and nothing is there to rank it | PAUSED | ranks | | | | |
| 18 | it was at the end of its rung and goes on in the next, for which nothing was submitted | PLANNED | submits | | | | |
| 19 | it is being submitted, or that was interrupted | PLANNED | submits | | | | |
| 20 | its task has ended, and somebody cancelled it | CANCELLED | submits | if named | | | |
| 21 | its task has ended, and accounting does not answer how | UNKNOWN | | | cancels | | |
| 22 | its task has ended, or the queue has forgotten it | as it ended | submits | submits | | | if begun |
| 23 | it was given to no queue, and somebody stopped it | CANCELLED | submits | if named | | | |
| 24 | it was given to no queue, and has begun | as it ended | submits | submits | | | if begun |
| 25 | nothing has happened to it | PLANNED | submits | | | | |

The first line that fits decides; of a trial at the end of its rung 5 to 10 say nothing where its task has other runs, too.
As it ended: FAILED, TIMEOUT, OUT_OF_MEMORY, NODE_FAIL, LOST (nobody knows how) and the like.
*If begun*: if the run has begun since it was last submitted and has not ended by itself, as when it was killed or lacked
memory, time or disk; `attempts_without_progress` says how often in a row. *If named*: by an option or the run's id.
"""  # noqa: E501

from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from sentiment.runs.rungs import Standing
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
)
from sentiment.runs.state import judge as judge_directory

Whereabouts = Literal["nowhere", "silent", "intent", "waits", "held", "runs", "gone"]
Action = Literal["", "submits", "releases", "cancels", "trains", "ranks"]

CAUSES = {
    "timeout": {TIMEOUT, "DEADLINE"},
    "lost": {LOST, "NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED"},
    "oom": {"OUT_OF_MEMORY"},
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
    """What a queue says of the task that a run was last given to."""

    place: Whereabouts = "nowhere"
    """No queue has it; its queue does not answer; it is about to get there; it is in the queue (three); it has ended or
    is forgotten."""
    state: str = ""
    """Of a task in the queue, in the queue's words."""
    reason: str = ""
    """Likewise; or why there is no answer."""
    job: str | None = None
    """The task's name, as in `Attempt.job`."""
    cancelled: bool = False
    """Whether `jobs cancel` ended the task, or this run of it."""
    shared: bool = False
    """Whether the task works off runs together with others, so that it may have another run at the moment."""
    ended: Callable[[RunProgress], RunState | None] = lambda _progress: None
    """How the task ended, by the queue, the accounting and its log, which are read only if they are asked."""
    lives: Callable[[str], bool] = lambda _job: True
    """Whether a job is in the queue."""
    begun_by: Callable[[str | None], bool] = lambda _job: False
    """Whether what a job has begun was begun since the run was last submitted; None is what no job has begun."""
    slots_wait: bool = False
    """Whether tasks are in the queue that rank the current rung of the run's search."""

    @property
    def in_queue(self) -> bool:
        """Whether the task is there, and may begin or go on."""
        return self.place in ("waits", "held", "runs")


@dataclass(frozen=True)
class Verdict:
    """The state of a run."""

    state: str
    reason: str = ""
    active: bool = False
    """Whether it waits or runs, and will end by itself."""
    begun: bool = False
    """Whether it has begun since it was last submitted, and has not ended by itself."""


class Judged(Protocol):
    """A run whose state is known."""

    @property
    def state(self) -> str:
        """As in `Verdict`, like the next two."""

    @property
    def active(self) -> bool: ...

    @property
    def begun(self) -> bool: ...


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
    failure = progress.failure
    failed = Verdict(FAILED, f"{failure.error}: {failure.reason}") if failure else None
    if queued.place == "silent":
        if progress.locked:
            return Verdict(RUNNING)
        return failed if failed and _failed_in(progress, queued) else Verdict(UNKNOWN, queued.reason)
    paused = standing is not None and progress.has_paused(standing.epochs)
    if queued.in_queue and not (paused and queued.shared):
        return _in_queue(progress, queued, failed)

    def ended() -> RunState | None:
        attempt = progress.last_attempt
        if queued.place in ("gone", "intent") and attempt and attempt.reason == "paused" and attempt.job == queued.job:
            return RunState(PLANNED, "goes on in the next rung of its search, for which nothing is submitted")
        if queued.place == "intent":
            return RunState(PLANNED, "is being submitted, or that was interrupted: the same command goes on")
        return queued.ended(progress) if queued.place == "gone" else None

    known = replace(progress, locked=_is_trained(progress, queued))
    found = judge_directory(known, standing, queued.cancelled, ended)
    return Verdict(PENDING if found.state == PAUSED and queued.slots_wait else found.state, found.reason)


def _in_queue(progress: RunProgress, queued: Queued, failed: Verdict | None) -> Verdict:
    if queued.shared and _is_trained(progress, queued):
        return Verdict(RUNNING)
    if queued.shared and queued.cancelled:
        return Verdict(CANCELLED, BY_COMMAND)
    if queued.shared and failed and _failed_in(progress, queued):
        return failed
    if queued.place == "held":
        return Verdict(HELD, queued.reason)
    if queued.shared and queued.state == RUNNING:
        return Verdict(PENDING, "waits for its turn")
    return Verdict(queued.state, queued.reason, active=True)


def _is_trained(progress: RunProgress, queued: Queued) -> bool:
    """Whether the process lives that holds the run's lock: of a job, the queue knows better."""
    return progress.locked and (progress.owner_job is None or queued.lives(progress.owner_job))


def _failed_in(progress: RunProgress, queued: Queued) -> bool:
    """Whether its newest failure is of the task that it was last given to, or of one that shares runs with that."""
    job = progress.failure.job if progress.failure else None
    if queued.shared and job and queued.job:
        return job.partition("_")[0] == queued.job.partition("_")[0]
    return job is not None and job == queued.job


def needs_somebody(run: Judged) -> bool:
    """Whether a run ended without a result or is held, and not because its user wanted that."""
    return not may_go_on(run) and run.state not in (COMPLETED, CANCELLED, PLANNED, PAUSED, PRUNED)


def may_go_on(run: Judged) -> bool:
    """Whether a run goes on by itself, as far as is known."""
    return run.active or run.state == UNKNOWN


def submit(run: Judged) -> Action:
    """What `submit` does with a run."""
    if may_go_on(run) or run.state in (COMPLETED, HELD, PRUNED):
        return ""
    return "ranks" if run.state == PAUSED else "submits"


def rerun(run: Judged, causes: Collection[str] = (), named: bool = False) -> Action:
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


def cancel(run: Judged) -> Action:
    """What `cancel` does with a run: one that waits or runs or, as far as can be seen from here, might do so."""
    return "cancels" if may_go_on(run) or run.state == HELD else ""


def work(run: Judged) -> Action:
    """What a task that works off runs does with one, by its own view of its array (`jobs.tasks.worker`)."""
    return "trains" if run.state == PENDING else ""


def end(run: Judged) -> Action:
    """What the job that ends a grid does with a run, or the process that runs a grid here."""
    return "submits" if run.begun and needs_somebody(run) and run.state != HELD else ""


def helps(run: Judged) -> str:
    """The command by which a run goes on that doesn't by itself; empty if it does, or is done."""
    if may_go_on(run) or run.state in (COMPLETED, PRUNED):
        return ""
    return "rerun" if rerun(run) else "submit"


def exit_code(runs: Iterable[Judged]) -> int:
    """What `status` ends with: 3 while any run goes on, else 1 if any needs somebody or was cancelled, else 3 if any
    is still to be submitted."""
    every = list(runs)
    if any(map(may_go_on, every)):
        return EXIT_RUNNING
    if any(needs_somebody(run) or run.state == CANCELLED for run in every):
        return EXIT_FAILED
    return 0 if all(run.state in (COMPLETED, PRUNED) for run in every) else EXIT_RUNNING
