"""The budget of a search in rungs or rounds: epochs and, where runs alike are completed here, hours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jobs.grids.grid import ExpandedGrid
from jobs.grids.requirements import training_tweets
from jobs.planning.costs import epoch_cost, read_completed, told_time
from sentiment.config import RunConfig
from sentiment.run_dir import Results
from sentiment.rungs import Rungs, read_rungs
from sentiment.search_plan import Rounds

_UNKNOWN = "; how many hours is unknown, since no run like these is completed here"

Epoch = tuple[float, str]
"""What an epoch costs; see `epoch_cost`."""


@dataclass(frozen=True)
class RungBudget:
    """What one rung takes at most: trials that end by themselves take less."""

    rung: int
    trials: int
    to_epoch: int
    epochs: int
    """Of all its trials together, without those of earlier rungs."""


def rung_budgets(rungs: Rungs, configs: Sequence[RunConfig]) -> list[RungBudget]:
    """The budget of each rung, those that are decided included.

    Args:
        configs: of all trials.
    """
    longest = max(config.training.epochs for config in configs)
    found, before = [], 0
    for rung in range(rungs.last + 1):
        to_epoch = rungs.epochs(rung) or longest
        found.append(RungBudget(rung, rungs.size(rung), to_epoch, rungs.size(rung) * (to_epoch - before)))
        before = to_epoch
    return found


def show_search(results: Results, grid: ExpandedGrid) -> Iterator[str]:
    """Lines to print; none for a grid whose runs are all trained to their end.

    Raises:
        RunDirError: a ranking cannot be read.
    """
    if not grid.plan.halving and not grid.plan.rounds:
        return
    epoch = epoch_cost(grid.configs, read_completed(results), training_tweets(results))
    if rungs := read_rungs(results, grid.plan):
        yield from _show_rungs(rungs, grid.configs, epoch)
    if rounds := grid.plan.rounds:
        yield from _show_rounds(rounds, grid.configs, epoch)


def _show_rounds(rounds: Rounds, configs: Sequence[RunConfig], epoch: Epoch | None) -> Iterator[str]:
    planned, trials = len(configs), rounds.rounds * rounds.per_round
    epochs = sum(config.training.epochs for config in configs) * trials // planned
    yield (
        f"rounds: {-(-planned // rounds.per_round)} of {rounds.rounds} planned, each suggested when the one before has "
        f"ended; together up to {trials:,} trials, {epochs:,} epochs{_hours(epochs, epoch) or _UNKNOWN}"
    )


def _show_rungs(rungs: Rungs, configs: Sequence[RunConfig], epoch: Epoch | None) -> Iterator[str]:
    budgets = rung_budgets(rungs, configs)
    for one in budgets:
        decided = ", decided" if one.rung < rungs.current else ""
        yield (
            f"rung {one.rung}: {one.trials:,} trials to epoch {one.to_epoch}, {one.epochs:,} epochs"
            f"{_hours(one.epochs, epoch)}{decided}"
        )
    spent, full = sum(one.epochs for one in budgets), sum(config.training.epochs for config in configs)
    yield (
        f"together {spent:,} of the {full:,} epochs that all trials would take to their end ({spent / full:.0%})"
        f"{_hours(spent, epoch) or _UNKNOWN}"
    )


def _hours(epochs: int, epoch: Epoch | None) -> str:
    if epoch is None:
        return ""
    seconds, kind = epoch
    return f", about {told_time(epochs * seconds, kind)}"
