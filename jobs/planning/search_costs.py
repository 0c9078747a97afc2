"""The budget of a search in rungs: epochs and, where runs alike are completed here, hours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jobs.planning.costs import Completed, epoch_seconds
from sentiment.config import RunConfig
from sentiment.rungs import Rungs

_HOUR = 3600.0


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


def show_rungs(rungs: Rungs, configs: Sequence[RunConfig], completed: Sequence[Completed]) -> Iterator[str]:
    """Lines to print.

    Args:
        configs: of all trials.
    """
    seconds, kind = epoch_seconds(configs, completed), "GPU-" if all(run.device != "cpu" for run in completed) else ""
    budgets = rung_budgets(rungs, configs)
    for one in budgets:
        decided = ", decided" if one.rung < rungs.current else ""
        yield (
            f"rung {one.rung}: {one.trials:,} trials to epoch {one.to_epoch}, {one.epochs:,} epochs"
            f"{_hours(one.epochs, seconds, kind)}{decided}"
        )
    spent, full = sum(one.epochs for one in budgets), sum(config.training.epochs for config in configs)
    yield (
        f"together {spent:,} of the {full:,} epochs that all trials would take to their end ({spent / full:.0%})"
        f"{_hours(spent, seconds, kind) or '; how many hours is unknown, since no run like these is completed here'}"
    )


def _hours(epochs: int, seconds: float | None, kind: str) -> str:
    if seconds is None:
        return ""
    time = epochs * seconds
    return f", about {time / _HOUR:.1f} {kind}hours" if time >= _HOUR else f", about {time / 60:.1f} {kind}minutes"
