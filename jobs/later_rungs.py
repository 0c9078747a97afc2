"""Of a search in rungs: what follows when the current rung has ended, and after how many epochs runs pause."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from jobs.code_choice import WantedRun
from sentiment.runs.rungs import RungRanking, Rungs
from sentiment.runs.state import PRUNED


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
