"""What each command, each task and the final job do with a run, by its state (`sentiment.runs.state.judge`):

state | `submit` | `rerun` | `cancel` | a worker task | the final job
---|---|---|---|---|---
COMPLETED
RUNNING, SUSPENDED, CANCELLING, another state of the queue ||| cancels
PENDING ||| cancels | trains
UNKNOWN ||| cancels
HELD || releases | cancels
PAUSED | ranks
PLANNED | submits |||| if interrupted
CANCELLED | submits | if named
STOPPED | submits | submits
PRUNED || if named
FAILED, TIMEOUT, OUT_OF_MEMORY, NODE_FAIL, LOST ... | submits | submits ||| if interrupted

*If named*: the run, and not its grid alone. *If interrupted*: the run ended by no fault of its own, such as a kill, a
time limit, a full disk, or want of memory; `attempts_without_progress` limits such retries in a row.
"""

from typing import Literal

from sentiment.errors import EXIT_FAILED, EXIT_UNFINISHED
from sentiment.runs.state import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    HELD,
    PAUSED,
    PENDING,
    PLANNED,
    PRUNED,
    STOPPED,
    UNKNOWN,
    RunState,
)

Action = Literal["", "submits", "releases", "cancels", "trains", "ranks"]


def needs_attention(run: RunState) -> bool:
    """Whether the run failed or is held, and the user did not ask for that."""
    return not may_go_on(run) and run.state not in (COMPLETED, CANCELLED, STOPPED, PLANNED, PAUSED, PRUNED)


def may_go_on(run: RunState) -> bool:
    """Whether the run is active, or could be (UNKNOWN)."""
    return run.active or run.state == UNKNOWN


def submit(run: RunState) -> Action:
    if may_go_on(run) or run.state in (COMPLETED, HELD, PRUNED):
        return ""
    return "ranks" if run.state == PAUSED else "submits"


def rerun(run: RunState, is_named: bool = False) -> Action:
    """What `rerun` does with a run.

    Args:
        is_named: the user named the run, and not its grid alone.
    """
    if may_go_on(run) or run.state in (COMPLETED, PLANNED, PAUSED):
        return ""
    if run.state in (CANCELLED, PRUNED) and not is_named:
        return ""
    return "releases" if run.state == HELD else "submits"


def cancel(run: RunState) -> Action:
    """What `cancel` does with a run: it cancels one that is, or may be, queued or running."""
    return "cancels" if may_go_on(run) or run.state == HELD else ""


def worker_action(run: RunState) -> Action:
    """What a worker task does with a run, given the state of its own array (`jobs.tasks.worker`)."""
    return "trains" if run.state == PENDING else ""


def final_job_action(run: RunState) -> Action:
    """What the final job, or the local runner, does with a run when the grid has ended."""
    return "submits" if run.interrupted else ""


def shortfall(run: RunState, is_queued: bool) -> int:
    """What a run that was asked for, and is not submitted now, makes of a command's exit code: 0 if it lacks nothing.

    Args:
        is_queued: whether something of its grid is in Slurm's queue, so that the final job goes on with the grid.
    """
    if run.state in (COMPLETED, PRUNED):
        return 0
    goes_on = run.active and run.state != CANCELLING
    if is_queued and (goes_on or run.state in (HELD, PAUSED) or final_job_action(run)):
        return 0
    return EXIT_UNFINISHED if run.active or run.state in (PLANNED, PAUSED, CANCELLED, STOPPED) else EXIT_FAILED


def resume_command(run: RunState) -> str:
    """The command that resumes an inactive run; empty if the run is active, UNKNOWN, completed or pruned."""
    if may_go_on(run) or run.state in (COMPLETED, PRUNED):
        return ""
    return "rerun" if needs_attention(run) else "submit"
