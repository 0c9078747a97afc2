"""Searches in rungs (successive halving): who is in which rung, and the rankings that decide it.

Rung 0 has all trials. At the end of a rung its trials are ranked once, by their metric logs alone; the best go on in
the next rung, and the others are pruned. The ranking is written with the values that it rests on and is never changed,
so that whatever happens to a trial later changes nothing that was decided.

W&B stops trials one by one, as their scores arrive, and thus needs a server. Here a rung ends when each of its trials
has a value or has failed by itself. One that was killed, lost its node, or ran out of memory or time has not ended: it
is trained again before the rung is ranked, so that the same trials go on whatever happens to processes.
"""

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from pydantic import Field

from sentiment.errors import RunDirError, UnfinishedRungError
from sentiment.files import as_json, write_once
from sentiment.runs.attempts import seems_held
from sentiment.runs.records import Count, FileRecord, FolderName, GridPlan, Halving, Record
from sentiment.runs.run_dir import Results, Row, RunDir, read_record

# So that 9 trials of which a third goes on are 3, whatever the division leaves.
_TOLERANCE = 1e-9


class RankedTrial(Record):
    """A trial in a ranking.

    Attributes:
        value: of the grid's metric; None if it did not get to the rung's end, which ranks it last.
        epoch: the last one that counts here.
        loss: of validation, after the epoch whose value counts: it decides between equal values.
        why: why it has no value.
    """

    run_id: FolderName
    value: float | None
    epoch: Count
    loss: float | None = None
    why: str = ""


class RungRanking(FileRecord):
    """`rung-<number>.json`: the trials of a rung at its end, the best first; written once.

    Attributes:
        epochs: after how many the rung ends.
        promoted: how many trials go on.
    """

    rung: Count
    epochs: Annotated[int, Field(ge=1)]
    metric: str
    strict: bool
    promoted: Annotated[int, Field(ge=1)]
    trials: list[RankedTrial]

    @property
    def chosen(self) -> list[str]:
        """The ids of the trials that go on, the best first."""
        return [trial.run_id for trial in self.trials[: self.promoted]]

    def describe_tie(self) -> str:
        """How many equal trials there were at the place where it was decided, and what decided; empty if none."""
        tied = [trial for trial in self.trials if trial.value == self.trials[self.promoted - 1].value]
        if all(trial.run_id in self.chosen for trial in tied):
            return ""
        how = "by validation loss" if len({trial.loss for trial in tied}) > 1 else "as in the plan"
        return f"{len(tied)} of {len(self.trials)} equal, ordered {how}"

    def describe(self) -> str:
        """What was decided, and who had no value and why, in a line."""
        told = [f"{trial.run_id} has no value ({trial.why})" for trial in self.trials if trial.value is None]
        decided = f"rung {self.rung}: of {len(self.trials)} trials {self.promoted} go on"
        return "; ".join(filter(None, [decided, self.describe_tie(), *told]))


@dataclass(frozen=True)
class Standing:
    """Where a trial stands.

    Attributes:
        rung: the last one that it is known to be in.
        epochs: after which the rung ends; None is the last one, which trains to the end.
        rank: at the rung's end, from 1; None if it is not decided yet, or the trial goes on.
        trials: how many are in the rung.
    """

    rung: int
    epochs: int | None
    rank: int | None = None
    trials: int = 0

    @property
    def decided(self) -> bool:
        """Whether the rung's ranking is written, by which the trial does not go on."""
        return self.rank is not None

    def describe(self) -> str:
        """What became of the trial at the rung's end."""
        after = f"after {self.epochs} epoch{'' if self.epochs == 1 else 's'} (rung {self.rung})"
        return f"{self.rank} of {self.trials} {after}" if self.decided else f"waits for the ranking {after}"


@dataclass(frozen=True)
class Rungs:
    """The rungs of a planned search, as far as they are decided.

    Attributes:
        rankings: of the rungs that are decided, from the first.
    """

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
        for ranking in self.rankings:
            for rank, trial in enumerate(ranking.trials, 1):
                found[trial.run_id] = Standing(ranking.rung, ranking.epochs, rank, len(ranking.trials))
        there, epochs = self.trials(self.current), self.epochs(self.current)
        return found | {run_id: Standing(self.current, epochs, None, len(there)) for run_id in there}

    def is_decided(self, run_id: str) -> bool:
        """Whether it is written down that a trial does not go on, wherever it is by now."""
        standing = self.standings.get(run_id)
        return standing is not None and standing.decided

    def unfinished(self, cancelled: Set[str] = frozenset()) -> list[RunDir]:
        """The trials of the current rung that have not ended, in the order of the plan.

        Args:
            cancelled: ids of the runs that a user has cancelled: these have ended.
        """
        return [run_dir for run_dir, trial in self._measured(cancelled) if trial is None]

    def settle(self, cancelled: Set[str] = frozenset()) -> "Rungs":
        """Rank the trials of the current rung, unless another process has done so by now.

        Args:
            cancelled: as for `unfinished`.

        Raises:
            UnfinishedRungError: one of them has not ended, or none got to the rung's end.
            RunDirError: the ranking cannot be read.
            OSError: it cannot be written.
        """
        file = self.results.ranking_file(self.plan.name, self.current)
        if not file.exists():
            write_once(file, as_json(self._rank(cancelled).model_dump(mode="json")))
        return _read(self.results, self.plan, self.halving)

    def _measured(self, cancelled: Set[str]) -> list[tuple[RunDir, RankedTrial | None]]:
        """The trials of the current rung in the order of the plan, and what counts of those that have ended."""
        order = {run.run_id: run.index for run in self.plan.runs}
        run_ids = sorted(self.trials(self.current), key=order.__getitem__)
        run_dirs = [self.results.run_dir(run_id, self.plan.name) for run_id in run_ids]
        return [(run_dir, self._measure(run_dir, run_dir.path.name in cancelled)) for run_dir in run_dirs]

    def _rank(self, cancelled: Set[str]) -> RungRanking:
        rung, epochs = self.current, self.halving.epochs[self.current]
        trials = []
        for run_dir, trial in self._measured(cancelled):
            if trial is None:
                held = seems_held(run_dir.lock_file)
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

        return RungRanking(
            rung=rung,
            epochs=epochs,
            metric=self.plan.metric,
            strict=self.halving.strict,
            promoted=min(_share(len(trials), self.halving.eta), number),
            trials=sorted(trials, key=place),  # of trials that are equal in both the first in the plan comes first
        )

    def _measure(self, run_dir: RunDir, cancelled: bool) -> RankedTrial | None:
        """A trial's value by the epochs of this rung, or by those that it has if it ended earlier; None: not ended."""
        run_id, epochs, why = run_dir.path.name, self.halving.epochs[self.current], "has no epoch"
        rows: dict[int, Row] = {}
        try:
            rows = {row["epoch"]: row for row in run_dir.read_epochs()[0] if row["epoch"] <= epochs}
            if epochs in rows or (rows and run_dir.completed):
                value, loss, epoch = self._value(rows)
                return RankedTrial(run_id=run_id, value=value, epoch=epoch, loss=loss)
        except (RunDirError, LookupError) as error:
            why = " ".join(str(error).split())
        if seems_held(run_dir.lock_file):
            return None
        ended = "cancelled" if cancelled else run_dir.own_failure()
        if run_dir.completed or ended:
            return RankedTrial(run_id=run_id, value=None, epoch=max(rows, default=0), why=ended or why)
        return None

    def _value(self, rows: dict[int, Row]) -> tuple[float, float | None, int]:
        """The value that counts, the validation loss beside it, and the last epoch."""
        part, score = self.plan.metric.split("/")
        values, last = {epoch: float(row[part][score]) for epoch, row in rows.items()}, max(rows)
        best = min if self.plan.goal == "minimize" else max
        epoch = last if self.halving.strict else best(values, key=values.__getitem__)
        return values[epoch], rows[epoch].get("validation", {}).get("loss"), last


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
    """1/eta of a number, rounded up, so that there is always one that goes on."""
    return max(math.ceil(number / eta - _TOLERANCE), 1)
