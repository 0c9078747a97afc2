"""The rungs of a search by successive halving: which trials each has, how they rank, and which are promoted.

Rung 0 of a search has all trials. At the end of a rung its trials are ranked once, by their metric logs alone; the best
are promoted to the next rung, and the others are pruned. The ranking is written with its values and is never changed,
so that nothing that happens to a trial later changes a decision.

W&B's Hyperband stops trials one by one, as their scores arrive, for which it needs a server. Here, a rung ends when
each of its trials has a value or has failed by itself. A trial that was cancelled or killed, lost its node, or ran out
of time, or of memory of which it may get more, has not ended: it is trained again before the rung is ranked, so that
the same trials are promoted whatever happens to processes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pydantic import PositiveInt

from sentiment.errors import RunDirError, UnrankedError, in_one_line
from sentiment.files import write_once
from sentiment.runs.locks import live_owner
from sentiment.runs.records import Count, EpochRow, GridPlan, Halving, Record, RunId
from sentiment.runs.run_dir import Results, RunDir, read_record, sealed


class RankedTrial(Record):
    """A trial in a ranking.

    Attributes:
        value: of the grid's metric; None, ranked last, if the trial did not reach the end of the rung (`why`).
        epoch: the last epoch that the trial has within the rung.
        loss: the validation loss after the epoch of `value`; it breaks ties.
    """

    run_id: RunId
    value: float | None
    epoch: Count
    loss: float | None = None
    why: str = ""


class RungRanking(Record):
    """`rung-<number>.json`: the ranked trials of a rung that ends after `epochs`; the first `promoted` continue."""

    rung: Count
    epochs: PositiveInt
    promoted: PositiveInt
    trials: list[RankedTrial]

    @property
    def promoted_ids(self) -> list[str]:
        return [trial.run_id for trial in self.trials[: self.promoted]]

    @property
    def tied_at_cut(self) -> int:
        """How many trials have the value of the last promoted one, if some of them were pruned; else 0."""
        pruned = self.trials[self.promoted :]
        value = self.trials[self.promoted - 1].value
        if not pruned or pruned[0].value != value:
            return 0
        return sum(trial.value == value for trial in self.trials)

    def describe(self) -> str:
        """Summarise the ranking in a line: how many trials continue, and which have no value and why."""
        parts = [f"rung {self.rung}: of {len(self.trials)} trials {self.promoted} continue"]
        if self.tied_at_cut:
            parts.append(f"{self.tied_at_cut} trials are tied at the cut, and validation loss decides")
        parts += [f"{trial.run_id} has no value ({trial.why})" for trial in self.trials if trial.value is None]
        return "; ".join(parts)


@dataclass(frozen=True)
class TrialPlace:
    """How far a run of a search is trained: its rung, and its rank in it.

    Attributes:
        rung: the latest rung of the trial.
        epochs: after how many epochs the rung ends; None for the last rung, which trains to the end.
        rank: the final rank, from 1, of a trial that was not promoted; None if it was, or if the rung is not ranked.
        trials: how many trials the rung has.
    """

    rung: int
    epochs: int | None
    rank: int | None = None
    trials: int = 0

    def describe(self) -> str:
        """Describe the trial's rank at the end of the rung."""
        after = f"after {self.epochs} epoch{'' if self.epochs == 1 else 's'} (rung {self.rung})"
        return f"{self.rank} of {self.trials} {after}" if self.rank else f"is to be ranked {after}"


@dataclass(frozen=True)
class HalvingSearch:
    """The rungs of a planned search; `rankings` holds the rankings of the decided rungs, from the first."""

    results: Results
    plan: GridPlan
    halving: Halving
    rankings: Sequence[RungRanking]

    @property
    def current(self) -> int:
        """The first rung that is not ranked yet."""
        return len(self.rankings)

    @property
    def last(self) -> int:
        """The rung that trains to the end."""
        return len(self.halving.epochs)

    def epochs(self, rung: int) -> int | None:
        """After how many epochs a rung ends; None for the last one."""
        return self.halving.epochs[rung] if rung < self.last else None

    def size(self, rung: int) -> int:
        """The largest number of trials that a rung can have."""
        number = len(self.plan.runs)
        for earlier in range(rung):
            if earlier < self.current:
                number = self.rankings[earlier].promoted
            else:
                number = _promoted_count(number, self.halving.eta)
        return number

    def trials(self, rung: int) -> list[str]:
        """The run ids of a rung's trials, the best of the previous rung first; all trials for rung 0."""
        return self.rankings[rung - 1].promoted_ids if rung else [run.run_id for run in self.plan.runs]

    @cached_property
    def trials_by_id(self) -> dict[str, TrialPlace]:
        """The latest rung of each trial by its run id; those of the current rung have no rank yet."""
        trials_by_id: dict[str, TrialPlace] = {}
        for ranking in self.rankings:
            for rank, trial in enumerate(ranking.trials, 1):
                trials_by_id[trial.run_id] = TrialPlace(ranking.rung, ranking.epochs, rank, len(ranking.trials))
        current_trials = self.trials(self.current)
        unranked = TrialPlace(self.current, self.epochs(self.current), None, len(current_trials))
        return trials_by_id | dict.fromkeys(current_trials, unranked)

    def describe(self, epochs: int) -> str:
        """The rungs in a line, of trials of up to so many epochs."""
        sizes = [f"{self.size(rung):,} trials to epoch {self.epochs(rung) or epochs}" for rung in range(self.last + 1)]
        return f"rungs (at most): {', '.join(sizes)}; rungs ranked so far: {self.current}"

    def is_decided(self, run_id: str) -> bool:
        return run_id in self.trials_by_id and self.trials_by_id[run_id].rank is not None

    def rank_current(self) -> "HalvingSearch":
        """Rank the trials of the current rung and write the ranking, unless another process has done so by now.

        Returns:
            The rungs with this ranking.

        Raises:
            UnrankedError: a trial has not ended, or none reached the end of the rung.
        """
        file = self.results.ranking_file(self.plan.name, self.current)
        if not file.exists():
            write_once(file, sealed(self._rank()))
        ranking = _read_ranking(self.results, self.plan.name, self.current)
        return replace(self, rankings=[*self.rankings, ranking]) if ranking else self

    def _rank(self) -> RungRanking:
        rung = self.current
        epochs = self.halving.epochs[rung]
        trials: list[RankedTrial] = []
        current = {*self.trials(rung)}
        for run_id in [run.run_id for run in self.plan.runs if run.run_id in current]:
            run_dir = self.results.run_dir(run_id, self.plan.name)
            trial = self.measure(run_dir)
            if trial is None:
                is_trained = live_owner(run_dir.lock_file) is not None
                state = "a process trains it right now" if is_trained else "it is unfinished; `submit` resumes it"
                raise UnrankedError(f"rung {rung} cannot be ranked without {run_dir.path}: {state}")
            trials.append(trial)
        number = sum(trial.value is not None for trial in trials)
        if number == 0:
            raise UnrankedError(
                f"rung {rung} cannot be ranked: none of its {len(trials)} trials reached the end of epoch {epochs}"
            )
        sign = 1 if self.plan.goal == "minimize" else -1

        def sort_key(trial: RankedTrial) -> tuple[float, float]:
            value = math.inf if trial.value is None else sign * trial.value
            return value, math.inf if trial.loss is None else trial.loss

        promoted = min(_promoted_count(len(trials), self.halving.eta), number)
        trials.sort(key=sort_key)  # stable: equal trials keep the plan's order
        return RungRanking(rung=rung, epochs=epochs, promoted=promoted, trials=trials)

    def measure(self, run_dir: RunDir) -> RankedTrial | None:
        """Measure a trial of the current rung by its epochs up to the rung's end; None if it is unfinished."""
        run_id = run_dir.path.name
        epochs = self.halving.epochs[self.current]
        reason = "has no epoch"
        rows: dict[int, EpochRow] = {}
        completed = run_dir.completed  # checked before the rows are read, since the result is written after them
        try:
            rows = {row.epoch: row for row in run_dir.read_epochs()[0] if row.epoch <= epochs}
            if epochs in rows or (rows and completed):
                last = rows[max(rows)]
                value = self.plan.score(last.validation)
                return RankedTrial(run_id=run_id, value=value, epoch=last.epoch, loss=last.validation.loss)
        except RunDirError as error:
            reason = in_one_line(error)
        if live_owner(run_dir.lock_file):
            return None
        failure = run_dir.own_failure()
        if completed or failure:
            return RankedTrial(run_id=run_id, value=None, epoch=max(rows, default=0), why=failure or reason)
        return None


def read_search(results: Results, plan: GridPlan) -> HalvingSearch | None:
    """The rungs of a grid; None if all of its runs are trained to their end."""
    if plan.halving is None:
        return None
    rankings: list[RungRanking] = []
    while ranking := _read_ranking(results, plan.name, len(rankings)):
        rankings.append(ranking)
    planned = {run.run_id for run in plan.runs}
    for ranking in rankings:
        file = results.ranking_file(plan.name, ranking.rung)
        if ranking.rung >= len(plan.halving.epochs):
            raise RunDirError(f"{file}: the grid's plan has no such rung")
        if unplanned := {trial.run_id for trial in ranking.trials} - planned:
            raise RunDirError(f"{file}: ranks {min(unplanned)}, which is not in the grid's plan")
    return HalvingSearch(results, plan, plan.halving, rankings)


def _read_ranking(results: Results, grid: str, rung: int) -> RungRanking | None:
    file = results.ranking_file(grid, rung)
    ranking = read_record(file, RungRanking, "delete it, and `submit` ranks the trials again by their logs")
    if ranking and ranking.rung != rung:
        raise RunDirError(f"{file}: is the ranking of rung {ranking.rung}, not of {rung}")
    return ranking


def _promoted_count(number: int, eta: float) -> int:
    """1/eta of a number of trials, rounded up, so that at least one continues."""
    return math.ceil(number / eta - 1e-9)  # tolerates the division's rounding error: a third of 9 is 3
