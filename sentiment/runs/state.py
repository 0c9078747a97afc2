"""Where a run stands: by what its directory says, and by the rungs of its grid's search (successive halving).

Where a run was given to a queue, `jobs.policy` adds what that says.

Rung 0 of a search has all trials. At the end of a rung its trials are ranked once, by their metric logs alone; the best
go on in the next rung, and the others are pruned. The ranking is written with the values that it rests on and is never
changed, so that whatever happens to a trial later changes nothing that was decided.

W&B stops trials one by one, as their scores arrive, and thus needs a server. Here a rung ends when each of its trials
has a value or has failed by itself. One that was killed, lost its node, or ran out of memory or time has not ended: it
is trained again before the rung is ranked, so that the same trials go on whatever happens to processes.
"""

import contextlib
import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field

from sentiment.errors import RunDirError, UnfinishedRungError
from sentiment.files import as_json, write_once
from sentiment.runs.locks import live_owner
from sentiment.runs.records import (
    AT_ONCE,
    Attempt,
    Count,
    Failure,
    FileRecord,
    GridPlan,
    Halving,
    Record,
    Result,
    RunRecord,
    Tries,
)
from sentiment.runs.run_dir import MetricRow, Results, RunDir, read_record

PLANNED, RUNNING, COMPLETED = "PLANNED", "RUNNING", "COMPLETED"
FAILED, CANCELLED, TIMEOUT = "FAILED", "CANCELLED", "TIMEOUT"
LOST = "LOST"  # gone without a word, and in no queue
HELD = "HELD"  # in a queue, but begins only when somebody releases it
PENDING = "PENDING"  # in a queue, and begins by itself
UNKNOWN = "UNKNOWN"  # it was given to a queue that does not answer, or that is somebody else's
PAUSED = "PAUSED"  # at the end of a rung of a search, whose ranking decides whether it goes on
PRUNED = "PRUNED"  # by its rung's ranking; its checkpoint is kept, and `rerun NAME` continues it

# The reason of a run that a user cancelled.
BY_COMMAND = "by `sentiment cancel`"


@dataclass(frozen=True)
class RunState:
    """A state and, where there is one, the reason in a line; it may also be a state of Slurm's, such as NODE_FAIL."""

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
        damage: what could not be read, in a line.
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
        paused = self.last_attempt and self.last_attempt.reason == "paused"
        return bool(paused and epochs and self.epoch and self.epoch >= epochs)


class RankedTrial(Record):
    """A trial in a ranking.

    Attributes:
        value: of the grid's metric; None if it did not get to the rung's end (`why`), which ranks it last.
        epoch: the last one that counts here.
        loss: of validation, after the epoch whose value counts: it decides between equal values.
    """

    run_id: str
    value: float | None
    epoch: Count
    loss: float | None = None
    why: str = ""


class RungRanking(FileRecord):
    """`rung-<number>.json`: the trials of a rung that ends after `epochs`, the best first; `promoted` of them go on."""

    rung: Count
    epochs: Annotated[int, Field(ge=1)]
    promoted: Annotated[int, Field(ge=1)]
    trials: list[RankedTrial]

    @property
    def chosen(self) -> list[str]:
        return [trial.run_id for trial in self.trials[: self.promoted]]

    def describe(self) -> str:
        """What was decided, and who had no value and why, in a line."""
        told = (f"{trial.run_id} has no value ({trial.why})" for trial in self.trials if trial.value is None)
        return "; ".join([f"rung {self.rung}: of {len(self.trials)} trials {self.promoted} go on", *told])


@dataclass(frozen=True)
class Standing:
    """Where a trial stands.

    Attributes:
        rung: the last one that it is known to be in; it has so many `trials`.
        epochs: after which the rung ends; None is the last one, which trains to the end.
        rank: at the rung's end, from 1, if the trial does not go on; None if it does, or that is not decided yet.
    """

    rung: int
    epochs: int | None
    rank: int | None = None
    trials: int = 0

    def describe(self) -> str:
        """What became of the trial at the rung's end."""
        after = f"after {self.epochs} epoch{'' if self.epochs == 1 else 's'} (rung {self.rung})"
        return f"{self.rank} of {self.trials} {after}" if self.rank else f"waits for the ranking {after}"


@dataclass(frozen=True)
class Rungs:
    """The rungs of a planned search; `rankings` are those of the rungs that are decided, from the first."""

    results: Results
    plan: GridPlan
    halving: Halving
    rankings: Sequence[RungRanking]

    @property
    def current(self) -> int:
        """The first rung that is not decided."""
        return len(self.rankings)

    @property
    def last(self) -> int:
        """The rung that trains to the end."""
        return len(self.halving.epochs)

    @property
    def later(self) -> range:
        return range(self.current + 1, self.last + 1)

    def epochs(self, rung: int) -> int | None:
        """After how many epochs a rung ends; None for the last one."""
        return self.halving.epochs[rung] if rung < self.last else None

    def size(self, rung: int) -> int:
        """How many trials a rung has at most."""
        number = len(self.plan.runs)
        for one in range(rung):
            number = self.rankings[one].promoted if one < self.current else _share(number, self.halving.eta)
        return number

    def trials(self, rung: int) -> list[str]:
        """The run ids of a rung's trials, which the rung before has decided: the best first, and all for rung 0."""
        return self.rankings[rung - 1].chosen if rung else [run.run_id for run in self.plan.runs]

    @cached_property
    def standings(self) -> dict[str, Standing]:
        found: dict[str, Standing] = {}
        for ranking in self.rankings:
            for rank, trial in enumerate(ranking.trials, 1):
                found[trial.run_id] = Standing(ranking.rung, ranking.epochs, rank, len(ranking.trials))
        there, epochs = self.trials(self.current), self.epochs(self.current)
        return found | {run_id: Standing(self.current, epochs, None, len(there)) for run_id in there}

    def is_decided(self, run_id: str) -> bool:
        return run_id in self.standings and self.standings[run_id].rank is not None

    def unfinished(self, cancelled: Set[str] = frozenset()) -> list[RunDir]:
        """The trials of the current rung that have not ended, in the plan's order; what `cancelled` names has ended."""
        return [run_dir for run_dir, trial in self._measured(cancelled) if trial is None]

    def settle(self, cancelled: Set[str] = frozenset()) -> "Rungs":
        """Rank the trials of the current rung, unless another process has done so by now.

        An UnfinishedRungError says that one of them has not ended, or that none got to the rung's end.
        """
        file = self.results.ranking_file(self.plan.name, self.current)
        if not file.exists():
            write_once(file, as_json(self._rank(cancelled).model_dump(mode="json")))
        ranking = read_record(file, RungRanking)
        return replace(self, rankings=[*self.rankings, ranking]) if ranking else self

    def _measured(self, cancelled: Set[str]) -> list[tuple[RunDir, RankedTrial | None]]:
        there = {*self.trials(self.current)}
        run_dirs = [self.results.run_dir(run.run_id, self.plan.name) for run in self.plan.runs if run.run_id in there]
        return [(run_dir, self._measure(run_dir, run_dir.path.name in cancelled)) for run_dir in run_dirs]

    def _rank(self, cancelled: Set[str]) -> RungRanking:
        rung, epochs, trials = self.current, self.halving.epochs[self.current], list[RankedTrial]()
        for run_dir, trial in self._measured(cancelled):
            if trial is None:
                held = live_owner(run_dir.lock_file)
                how = "a process trains it right now" if held else "it has not ended, and `submit` goes on with it"
                raise UnfinishedRungError(f"rung {rung} cannot be ranked without {run_dir.path}: {how}")
            trials.append(trial)
        number = sum(trial.value is not None for trial in trials)
        if number == 0:
            raise UnfinishedRungError(
                f"rung {rung} cannot be ranked: none of its {len(trials)} trials got to the end of epoch {epochs}"
            )
        sign = 1 if self.plan.goal == "minimize" else -1

        def place(trial: RankedTrial) -> tuple[float, float]:
            value = math.inf if trial.value is None else sign * trial.value
            return value, math.inf if trial.loss is None else trial.loss

        promoted = min(_share(len(trials), self.halving.eta), number)
        trials.sort(key=place)  # of trials that are equal in both the first in the plan comes first
        return RungRanking(rung=rung, epochs=epochs, promoted=promoted, trials=trials)

    def _measure(self, run_dir: RunDir, cancelled: bool) -> RankedTrial | None:
        """A trial's value by the epochs of this rung, or by those that it has if it ended earlier; None: not ended."""
        run_id, epochs, why = run_dir.path.name, self.halving.epochs[self.current], "has no epoch"
        rows: dict[int, MetricRow] = {}
        completed = run_dir.completed  # asked first, since the result is written after the last row
        try:
            rows = {row["epoch"]: row for row in run_dir.read_epochs()[0] if row["epoch"] <= epochs}
            if epochs in rows or (rows and completed):
                value, loss, epoch = self._value(rows)
                return RankedTrial(run_id=run_id, value=value, epoch=epoch, loss=loss)
        except (RunDirError, LookupError) as error:
            why = " ".join(str(error).split())
        if live_owner(run_dir.lock_file):
            return None
        ended = "cancelled" if cancelled else run_dir.own_failure()
        if completed or ended:
            return RankedTrial(run_id=run_id, value=None, epoch=max(rows, default=0), why=ended or why)
        return None

    def _value(self, rows: dict[int, MetricRow]) -> tuple[float, float | None, int]:
        """The value that counts, the validation loss beside it, and the last epoch."""
        part, score = self.plan.metric.split("/")
        values, last = {epoch: float(row[part][score]) for epoch, row in rows.items()}, max(rows)
        best = min if self.plan.goal == "minimize" else max
        epoch = last if self.halving.strict else best(values, key=values.__getitem__)
        return values[epoch], rows[epoch].get("validation", {}).get("loss"), last


def read_rungs(results: Results, plan: GridPlan) -> Rungs | None:
    """The rungs of a grid; None if all of its runs are trained to their end."""
    if plan.halving is None:
        return None
    rankings: list[RungRanking] = []
    while ranking := read_record(results.ranking_file(plan.name, len(rankings)), RungRanking):
        rankings.append(ranking)
    return Rungs(results, plan, plan.halving, rankings)


def read_chosen(results: Results, grid: str, rung: int) -> list[str]:
    """The ids of the trials that go on after a rung, the best first; none while that is not decided."""
    ranking = read_record(results.ranking_file(grid, rung), RungRanking)
    return ranking.chosen if ranking else []


def _share(number: int, eta: float) -> int:
    """1/eta of a number, rounded up, so that there is always one that goes on."""
    return math.ceil(number / eta - 1e-9)  # so that a third of 9 is 3, whatever the division leaves


def judge(
    progress: RunProgress,
    standing: Standing | None = None,
    cancelled: bool = False,
    ended: Callable[[], RunState | None] = lambda: None,
) -> RunState:
    """The state of a run that waits in no queue and runs in none: its directory decides, where that says enough.

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
    if standing and paused and standing.rank:
        return RunState(PRUNED, standing.describe())
    if cancelled:
        return RunState(CANCELLED, BY_COMMAND)
    if progress.failure:
        return RunState(FAILED, f"{progress.failure.error}: {progress.failure.reason}")
    if standing and paused:
        return RunState(PAUSED, standing.describe())
    return ended() or (_after(progress.last_attempt) if progress.last_attempt else RunState(PLANNED))


def read_progress(run_dir: RunDir, plan: GridPlan | None = None) -> RunProgress:
    """Read a run's directory; damage is reported in the value, and the score is that of the grid's plan."""
    found: dict[str, Any] = {}
    if owner := live_owner(run_dir.lock_file):  # asked first, since a process writes how it ended before it lets go
        found |= {"locked": True, "owner_job": owner.job}
    try:
        record, result = run_dir.read(RunRecord), run_dir.read(Result)
        if record:
            found |= {"attempts": len(record.attempts), "last_attempt": record.attempts[-1]}
        if result:
            scores: dict[str, Any] = {part: metrics.model_dump() for part, metrics in result.metrics.items()}
            found |= {"completed": True, "epoch": result.epochs, "step": result.steps}
            return RunProgress(**found, score=_score(plan, scores))
        found["failure"] = run_dir.read(Failure)
        epochs, last = run_dir.read_epochs()
        found |= {"epoch": epochs[-1]["epoch"] if epochs else None, "step": last.get("step")}
        best = min if plan and plan.goal == "minimize" else max
        found["score"] = best((score for row in epochs if (score := _score(plan, row)) is not None), default=None)
    except RunDirError as error:
        found["damage"] = " ".join(str(error).split())
    with contextlib.suppress(RunDirError):  # a damaged count is no reason to begin again
        found["tries"] = run_dir.read(Tries)
    seen = [path.stat().st_mtime for path in (run_dir.lock_file, run_dir.metrics_file) if path.exists()]
    return RunProgress(**found, seen=max(seen, default=None))


def read_pruned(run_dir: RunDir) -> Standing | None:
    """Where a run stood when its grid's search pruned it; None for any other run."""
    plan = None if run_dir.completed else run_dir.results.read_grid(run_dir.grid)
    rungs = read_rungs(run_dir.results, plan) if plan else None
    standing = rungs.standings.get(run_dir.path.name) if rungs else None
    return standing if standing and judge(read_progress(run_dir), standing).state == PRUNED else None


def _after(attempt: Attempt) -> RunState:
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
    how = "interrupted" if attempt.detail == AT_ONCE else "saved and stopped"
    return RunState(TIMEOUT if attempt.reason == "deadline" else CANCELLED, f"{how}: {attempt.detail}")


def _score(plan: GridPlan | None, row: dict[str, Any]) -> float | None:
    if plan is None:
        return None
    part, _, name = plan.metric.partition("/")
    value = row.get(part, {}).get(name)
    return float(value) if value is not None else None
