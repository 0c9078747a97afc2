"""The state of a run by what its directory says: its result, its lock, the newest failure, the newest attempt.

The report needs no more. Where a run was given to a queue, `jobs.policy` adds what that says. Nothing here raises for
what it finds in files.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sentiment.errors import RunDirError
from sentiment.runs.attempts import live_owner
from sentiment.runs.records import Attempt, Failure, GridPlan, Tries
from sentiment.runs.run_dir import RunDir, WholeRun, refuse_mixed
from sentiment.runs.rungs import Standing, read_standing

PLANNED, RUNNING, COMPLETED = "PLANNED", "RUNNING", "COMPLETED"
FAILED, CANCELLED, TIMEOUT = "FAILED", "CANCELLED", "TIMEOUT"
LOST = "LOST"  # gone without a word, and in no queue
HELD = "HELD"  # in a queue, but begins only when somebody releases it
PENDING = "PENDING"  # in a queue, and begins by itself
UNKNOWN = "UNKNOWN"  # it was given to a queue that does not answer, or that is somebody else's
PAUSED = "PAUSED"  # at the end of a rung of a search, whose ranking decides whether it goes on
PRUNED = "PRUNED"  # its rung's ranking has decided that it does not go on; it is whole, and can be continued by name

# The reason of a run that a user cancelled.
BY_COMMAND = "by `sentiment cancel`"


@dataclass(frozen=True)
class RunState:
    """A state and, where there is one, the reason in a line; besides those named here Slurm's own words occur."""

    state: str
    reason: str = ""


@dataclass(frozen=True)
class RunProgress:
    """How far a run is, as its directory says; all defaults where there is none.

    Attributes:
        epoch: epochs completed.
        score: by the grid's metric: of the best epoch once completed, else the best so far.
        seen: the last sign of life, in seconds since 1970.
        locked: whether a live process trains it, as its lock says.
        owner_job: the job of Slurm that this process belongs to: its queue knows better whether it lives.
        tries: there if it has begun in a grid and not ended by itself: it was killed, or ran out of something.
        damage: what could not be read, in a line; None if all could.
    """

    completed: bool = False
    attempts: int = 0
    last_attempt: Attempt | None = None
    failure: Failure | None = None
    epoch: int | None = None
    step: int | None = None
    score: float | None = None
    seen: float | None = None
    locked: bool = False
    owner_job: str | None = None
    tries: Tries | None = None
    damage: str | None = None

    def has_paused(self, epochs: int | None) -> bool:
        """Whether it has saved and ended after at least so many epochs, as a search told it to."""
        attempt = self.last_attempt
        paused = attempt is not None and attempt.reason == "paused"
        return paused and epochs is not None and self.epoch is not None and self.epoch >= epochs


def judge(
    progress: RunProgress,
    standing: Standing | None = None,
    cancelled: bool = False,
    ended: Callable[[], RunState | None] = lambda: None,
) -> RunState:
    """The state of a run that waits in no queue and runs in none: what its directory says decides, where it says much.

    Args:
        standing: in its grid's search; None if it is in none.
        cancelled: whether `sentiment cancel` ended it.
        ended: what the queue that it was given to says of its end; asked only if its directory does not say it.
    """
    paused = standing is not None and progress.has_paused(standing.epochs)
    if progress.completed:
        return RunState(COMPLETED)
    if progress.locked:
        return RunState(RUNNING)
    if progress.damage:
        return RunState(FAILED, progress.damage)
    if standing and paused and standing.decided:
        return RunState(PRUNED, standing.describe())
    if cancelled:
        return RunState(CANCELLED, BY_COMMAND)
    if progress.failure:
        return RunState(FAILED, f"{progress.failure.error}: {progress.failure.reason}")
    if standing and paused:
        return RunState(PAUSED, standing.describe())
    return ended() or (_after(progress.last_attempt) if progress.last_attempt else RunState(PLANNED))


def read_progress(run_dir: RunDir, plan: GridPlan | None = None) -> RunProgress:
    """Read a run's directory; damage is reported in the value.

    Args:
        plan: of the run's grid, whose metric is the score; None leaves the score out.
    """
    found: dict[str, Any] = {}
    try:
        record, result = run_dir.read_record(), run_dir.read_result()
        if (record or not result) and run_dir.config_file.is_file():
            refuse_mixed(run_dir, WholeRun(run_dir.read_config(), record, result))
        if record and record.attempts:
            found |= {"attempts": len(record.attempts), "last_attempt": record.attempts[-1]}
        if result:
            scores: dict[str, Any] = {part: metrics.model_dump() for part, metrics in result.metrics.items()}
            found |= {"completed": True, "epoch": result.epochs, "step": result.steps}
            return RunProgress(**found, score=_score(plan, scores))
        found["failure"] = run_dir.read_failure()
        epochs, last = run_dir.read_epochs()
        found |= {"epoch": epochs[-1]["epoch"] if epochs else None, "step": last["step"] if last else None}
        found["score"] = _best(plan, [score for row in epochs if (score := _score(plan, row)) is not None])
    except RunDirError as error:
        found["damage"] = " ".join(str(error).split())
    with contextlib.suppress(RunDirError):  # a damaged count is no reason to begin again
        found["tries"] = run_dir.read_tries()
    owner = live_owner(run_dir.lock_file)
    seen = [path.stat().st_mtime for path in (run_dir.lock_file, run_dir.metrics_file) if path.exists()]
    job = owner.job if owner else None
    return RunProgress(**found, seen=max(seen, default=None), locked=owner is not None, owner_job=job)


def read_pruned(run_dir: RunDir) -> Standing | None:
    """Where a run stood when its grid's search pruned it; None for any other run.

    Raises:
        RunDirError: the grid's plan or a ranking cannot be read.
    """
    standing = None if run_dir.completed else read_standing(run_dir)
    return standing if standing and judge(read_progress(run_dir), standing).state == PRUNED else None


def _after(attempt: Attempt) -> RunState:
    """The state of a run that no queue knows, after its newest attempt."""
    if attempt.reason is None:
        return RunState(LOST, f"its process on {attempt.host} died without a word")
    if attempt.reason == "failed":
        return RunState(FAILED, attempt.detail or "without a message")
    if attempt.reason == "paused":
        return RunState(PLANNED, f"goes on in the next rung; {attempt.detail}")
    if attempt.reason == "completed":
        return RunState(FAILED, "was completed, but its result.json is missing")
    if attempt.detail == "SIGHUP":  # of a local grid, by `jobs.tasks.task`: nobody wished that
        return RunState(LOST, f"saved at step {attempt.last_step}, when the process that ran its grid had gone")
    return RunState(TIMEOUT if attempt.reason == "deadline" else CANCELLED, f"saved and stopped: {attempt.detail}")


def _score(plan: GridPlan | None, row: dict[str, Any]) -> float | None:
    if plan is None:
        return None
    part, _, name = plan.metric.partition("/")
    value = row.get(part, {}).get(name)
    return float(value) if value is not None else None


def _best(plan: GridPlan | None, scores: list[float]) -> float | None:
    choose = min if plan and plan.goal == "minimize" else max
    return choose(scores, default=None)
