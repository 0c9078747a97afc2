"""Searches in rungs (successive halving): who is in which rung, and the rankings that decide it.

Rung 0 has all trials. At the end of a rung its trials are ranked once, by their metric logs alone; the best go on in
the next rung, and the others are pruned. The ranking is written with the values that it rests on and is never changed,
so that whatever happens to a trial later changes nothing that was decided.

W&B stops trials one by one, as their scores arrive, and thus needs a server. Here a rung ends when all of its trials
have ended: its last one waits for nobody, and the same trials go on whatever the order in which they ran.
"""

import math
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from pydantic import Field

from sentiment.allocation import slurm_job
from sentiment.errors import RunDirError, UnfinishedRungError
from sentiment.files import as_json, write_once
from sentiment.lock import seems_held
from sentiment.record_files import check_log_row, read_record
from sentiment.records import SCHEMA_VERSION, Count, FolderName, GridPlan, Moment, Record, SchemaVersion, timestamp
from sentiment.run_dir import Results, RunDir
from sentiment.search_plan import Halving

# So that 9 trials of which a third goes on are 3, whatever the division leaves.
_TOLERANCE = 1e-9


class RankedTrial(Record):
    """A trial in a ranking."""

    run_id: FolderName
    value: float | None
    """Of the grid's metric; None if it did not get to the rung's end, which ranks it last."""
    epoch: Count
    """The last one that counts here."""
    why: str = ""
    """Why it has no value."""


class RungRanking(Record):
    """`rung-<number>.json`: the trials of a rung at its end, the best first; written once."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    rung: Count
    epochs: Annotated[int, Field(ge=1)]
    """After how many epochs the rung ends."""
    metric: str
    strict: bool
    promoted: Annotated[int, Field(ge=1)]
    """How many go on."""
    trials: list[RankedTrial]
    host: str
    """Who wrote it."""
    job: str | None
    written: Moment

    @property
    def chosen(self) -> list[str]:
        """The ids of the trials that go on, the best first."""
        return [trial.run_id for trial in self.trials[: self.promoted]]


@dataclass(frozen=True)
class Standing:
    """Where a trial stands: the last rung that it is known to be in."""

    rung: int
    epochs: int | None
    """After which the rung ends; None is the last one, which trains to the end."""
    rank: int | None = None
    """At the rung's end, from 1; None if it is not decided yet."""
    trials: int = 0
    """In the rung."""
    late: bool = False
    """Whether the ranking was written before the trial got to the rung's end."""

    @property
    def decided(self) -> bool:
        """Whether the rung's ranking is written, by which the trial does not go on."""
        return self.rank is not None

    def describe(self) -> str:
        """What became of the trial at the rung's end."""
        after = f"after {self.epochs} epoch{'' if self.epochs == 1 else 's'} (rung {self.rung})"
        if self.late:
            return f"got there {after}, too late for the ranking, which stays as it is"
        return f"{self.rank} of {self.trials} {after}" if self.decided else f"waits for the ranking {after}"


@dataclass(frozen=True)
class Rungs:
    """The rungs of a planned search, as far as they are decided."""

    results: Results
    plan: GridPlan
    halving: Halving
    rankings: Sequence[RungRanking]
    """Of the rungs that are decided, from the first."""

    @property
    def current(self) -> int:
        """The first rung that is not decided."""
        return len(self.rankings)

    @property
    def last(self) -> int:
        """The number of the rung that trains to the end."""
        return len(self.halving.epochs)

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
        """Where each trial stands, by its run id."""
        found: dict[str, Standing] = {}
        for rung in range(self.current + 1):
            trials, epochs = self.trials(rung), self.epochs(rung)
            found |= {run_id: Standing(rung, epochs, None, len(trials)) for run_id in trials}
            for rank, trial in enumerate(self.rankings[rung].trials if rung < self.current else (), 1):
                found[trial.run_id] = Standing(rung, epochs, rank, len(trials), trial.value is None)
        return found

    def is_decided(self, run_id: str) -> bool:
        """Whether it is written down that a trial does not go on, wherever it is by now."""
        standing = self.standings.get(run_id)
        return standing is not None and standing.decided

    def settle(self) -> "Rungs":
        """Rank the trials of the current rung, unless another process has done so by now.

        Raises:
            UnfinishedRungError: a live process trains one of them at this moment, or none got to the rung's end.
            RunDirError: the ranking cannot be read.
            OSError: it cannot be written.
        """
        file = self.results.ranking_file(self.plan.name, self.current)
        if not file.exists():
            ranking = self._rank()
            write_once(file, as_json(ranking.model_dump(mode="json")))
        return _read(self.results, self.plan, self.halving)

    def _rank(self) -> RungRanking:
        rung, epochs = self.current, self.halving.epochs[self.current]
        order = {run.run_id: run.index for run in self.plan.runs}
        run_ids = sorted(self.trials(rung), key=order.__getitem__)  # so that of equals the first in the plan goes on
        run_dirs = [self.results.run_dir(run_id, self.plan.name) for run_id in run_ids]
        trials = [self._measure(run_dir, epochs) for run_dir in run_dirs]
        for run_dir, trial in zip(run_dirs, trials, strict=True):
            if trial.value is None and seems_held(run_dir.lock_file):
                raise UnfinishedRungError(
                    f"rung {rung} is not finished: a process trains {run_dir.path} right now", True
                )
        number = sum(trial.value is not None for trial in trials)
        if number == 0:
            raise UnfinishedRungError(
                f"rung {rung} cannot be ranked: none of its {len(trials)} trials got to the end of epoch {epochs}"
            )
        sign = 1 if self.plan.goal == "minimize" else -1
        trials.sort(key=lambda trial: math.inf if trial.value is None else sign * trial.value)
        return RungRanking(
            rung=rung,
            epochs=epochs,
            metric=self.plan.metric,
            strict=self.halving.strict,
            promoted=min(_share(len(trials), self.halving.eta), number),
            trials=trials,
            host=socket.gethostname(),
            job=slurm_job(),
            written=timestamp(),
        )

    def _measure(self, run_dir: RunDir, epochs: int) -> RankedTrial:
        """What counts of a trial: the epochs of this rung; one that has ended earlier counts by its last."""
        run_id, part, score = run_dir.path.name, *self.plan.metric.split("/")
        try:
            rows = [check_log_row(row) for row in run_dir.read_metrics() if row.get("kind") == "epoch"]
            values = {row["epoch"]: float(row[part][score]) for row in rows if row["epoch"] <= epochs}
            epoch = max(values, default=0)
            if epoch == epochs or (values and run_dir.completed):
                best = min if self.plan.goal == "minimize" else max
                value = values[epoch] if self.halving.strict else best(values.values())
                return RankedTrial(run_id=run_id, value=value, epoch=epoch)
            failure = run_dir.read_failure()
        except (RunDirError, ValueError, LookupError, TypeError) as error:
            return RankedTrial(run_id=run_id, value=None, epoch=0, why=" ".join(str(error).split()))
        why = f"{failure.error}: {failure.reason}" if failure else f"ended in epoch {epoch + 1}"
        return RankedTrial(run_id=run_id, value=None, epoch=epoch, why=why)


def read_rungs(results: Results, plan: GridPlan) -> Rungs | None:
    """The rungs of a grid; None if all of its runs are trained to their end.

    Raises:
        RunDirError: a ranking cannot be read.
    """
    return _read(results, plan, plan.halving) if plan.halving else None


def read_chosen(results: Results, grid: str, rung: int) -> list[str]:
    """The ids of the trials that go on after a rung, the best first; none while that is not decided.

    Raises:
        RunDirError: the ranking cannot be read.
    """
    ranking = read_record(results.ranking_file(grid, rung), RungRanking)
    return ranking.chosen if ranking else []


def read_standing(run_dir: RunDir) -> Standing | None:
    """Where a run stands in its grid's search; None if it is in none.

    Raises:
        RunDirError: the plan or a ranking cannot be read.
    """
    plan = run_dir.results.read_grid(run_dir.grid)
    rungs = read_rungs(run_dir.results, plan) if plan else None
    return rungs.standings.get(run_dir.path.name) if rungs else None


def _read(results: Results, plan: GridPlan, halving: Halving) -> Rungs:
    rankings = []
    for rung in range(len(halving.epochs)):
        ranking = read_record(results.ranking_file(plan.name, rung), RungRanking)
        if ranking is None:
            break
        rankings.append(ranking)
    return Rungs(results, plan, halving, rankings)


def _share(number: int, eta: float) -> int:
    """One of `eta`, rounded up, so that there is always one that goes on."""
    return max(math.ceil(number / eta - _TOLERANCE), 1)
