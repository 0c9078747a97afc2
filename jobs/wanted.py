"""Which runs of a grid are to be trained now: up to which epoch, and by which version of the code."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property

from jobs.job_kinds import steps_saved
from jobs.slurm.grid_jobs import Place
from jobs.status.grid_status import RunStatus
from sentiment.config import RunConfig
from sentiment.console import Say
from sentiment.errors import RunDirError
from sentiment.runs.code_version import CodeVersion, find_code, freeze_code, is_whole, running_code
from sentiment.runs.run_dir import Results
from sentiment.runs.rungs import RungRanking, Rungs
from sentiment.runs.state import PRUNED


@dataclass(frozen=True)
class WantedRun:
    """A run that is to be executed."""

    row: RunStatus
    config: RunConfig
    code: str | None
    """The id of the copy of the code that computes it; None executes whatever the present folder holds."""
    rung: int | None = None
    """Of a search, in which it trains; None if that is over for it, or its grid is no search."""
    epochs: int | None = None
    """After how many it pauses, where its rung ends; None trains it to its end."""


@dataclass(frozen=True)
class CodeChoice:
    """How a command chooses the code of runs.

    Attributes:
        new_code: take the code of now for all runs; those that have begun then begin anew.
    """

    results: Results
    new_code: bool = False
    _found: dict[str, tuple[str, CodeVersion] | None] = field(default_factory=dict, init=False)

    @cached_property
    def present(self) -> str:
        """The copy of the code of now, which is made if it is not there."""
        return freeze_code(self.results)

    def choose(
        self,
        runs: Sequence[tuple[RunStatus, RunConfig]],
        grid: str,
        places: Mapping[str, Place],
        say: Say,
    ) -> list[WantedRun]:
        """Give each run its code, and say which don't get that of now.

        A run that has saved steps goes on with the code that computed them, as long as a copy of it is here.

        Args:
            places: tasks that runs were given to, if the others keep the code that they were submitted with.
        """
        if not runs:
            return []
        if self.new_code:
            return [WantedRun(row, _beginning_anew(config), self.present) for row, config in runs]
        given = {row.run_id: places[row.run_id][0].submission.code for row, _ in runs if row.run_id in places}
        whole = {code for code in {*given.values()} if code and is_whole(self.results.code / code)}
        kept = {run_id: code for run_id, code in given.items() if code in whole}
        wanted = [
            WantedRun(row, config, self._that_began(row.run_id, grid) or kept.get(row.run_id) or self.present)
            for row, config in runs
        ]
        older = sorted({one.code for one in wanted if one.code and one.code != self.present})
        for code in older:
            number = sum(one.code == code for one in wanted)
            keep = (
                "run keeps the code that it began or was"
                if number == 1
                else "runs keep the code that they began or were"
            )
            say(f"{number} {keep} submitted with, {self.results.code / code}; --new-code takes that of now")
        return wanted

    def _that_began(self, run_id: str, grid: str) -> str | None:
        """The copy of the code that computed the steps that a run has saved; None if there is none to keep."""
        run_dir = self.results.run_dir(run_id, grid)
        try:
            record = run_dir.read_record()
            training = record.attempts[-1].code if record and steps_saved(run_dir) else None
        except RunDirError:
            return None  # its task finds out whether it can go on
        if training is None or training == running_code().training:
            return None
        if training not in self._found:
            self._found[training] = find_code(self.results, training)
        found = self._found[training]
        return found[0] if found else None


def _beginning_anew(config: RunConfig) -> RunConfig:
    runtime = config.runtime.model_copy(update={"other_code": "restart"})
    return config.model_copy(update={"runtime": runtime})


@dataclass(frozen=True)
class LaterRungs:
    """The rungs after the current one, whose trials its ranking decides."""

    rungs: Rungs
    candidates: Sequence[WantedRun]
    """The trials of the current rung, whether or not anything of it is left to do."""

    @property
    def numbers(self) -> range:
        """Of the rungs that are to come."""
        return range(self.rungs.current + 1, self.rungs.last + 1)

    def promote(self, cancelled: Set[str] = frozenset()) -> "tuple[RungRanking, list[WantedRun], LaterRungs | None]":
        """Rank the trials of the current rung; the ranking, those that train in the next rung, and what follows that.

        Args:
            cancelled: as for `Rungs.settle`.

        Raises:
            UnfinishedRungError: they cannot be ranked (`Rungs.settle`).
            RunDirError: the ranking cannot be read.
            OSError: it cannot be written.
        """
        rungs = self.rungs.settle(cancelled)
        candidates = {run.config.run_id: run for run in self.candidates}
        chosen = [candidates[run_id] for run_id in rungs.trials(rungs.current)]
        chosen = [replace(run, rung=rungs.current, epochs=rungs.epochs(rungs.current)) for run in chosen]
        to_train = [run for run in chosen if not self._completed(run)]
        return rungs.rankings[-1], to_train, LaterRungs(rungs, chosen) if rungs.current < rungs.last else None

    def _completed(self, run: WantedRun) -> bool:
        return self.rungs.results.run_dir(run.config.run_id, self.rungs.plan.name).completed


def later_rungs(rungs: Rungs, runs: Sequence[WantedRun]) -> LaterRungs | None:
    """What follows the current rung; None if that is the last one, which is not ranked.

    Args:
        runs: which may include others than the trials of the current rung.
    """
    if rungs.current == rungs.last:
        return None
    trials = {*rungs.trials(rungs.current)}
    return LaterRungs(rungs, with_pauses([run for run in runs if run.config.run_id in trials], rungs))


def with_pauses(runs: Sequence[WantedRun], rungs: Rungs) -> list[WantedRun]:
    """Let each run pause where its rung ends; those that are pruned are continued to their end."""
    standings = ((run, rungs.standings.get(run.config.run_id)) for run in runs)
    return [
        replace(run, rung=standing.rung, epochs=standing.epochs) if standing and run.row.state != PRUNED else run
        for run, standing in standings
    ]
