"""Whether self-attention has its best epoch earlier than other poolings, and overfits more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from report import statistics
from report.analysis.questions.effects import matched_runs, seeds_together
from report.read.load import CompletedRun, Grid, read_each
from report.read.predictions import read_scores
from report.statistics import Difference, Pair, Side, Values

POOLING = "model.pooling"
_Read = Callable[[CompletedRun], Values]


@dataclass(frozen=True)
class Speed:
    """Self-attention less another pooling, over runs that differ in nothing else; corrected for both measures of all
    poolings."""

    other: str
    best_epoch: Difference
    gap: Difference
    """Training accuracy less validation accuracy at the best epoch."""
    runs: tuple[int, int]


def speeds_of(grid: Grid) -> tuple[list[Speed], list[str]]:
    """A comparison with each other pooling, and the predictions that can't be read."""
    gaps, problems = read_each(grid.completed, _overfitting)
    runs = [run for run in grid.completed if run.run_id in gaps]
    found, pairs = [], []
    for other in sorted({run.config.model.pooling for run in runs} - {"attention"}):
        matched = [
            one
            for one in matched_runs(runs, POOLING, "attention", other)
            if len({len(gaps[run.run_id]) for run in (*one.first, *one.second)}) == 1
        ]
        if not matched:
            continue
        sides = [[one.first for one in matched], [one.second for one in matched]]
        found.append((other, (sum(map(len, sides[0])), sum(map(len, sides[1])))))
        for read in (_best_epoch, lambda run: gaps[run.run_id]):
            pairs.append(_pair(sides, runs, read))
    claims = statistics.compare(pairs, limit=None)
    each = zip(found, claims[::2], claims[1::2], strict=True)
    return [Speed(other, epoch, gap, many) for (other, many), epoch, gap in each], problems


def _pair(sides: Sequence[Sequence[Sequence[CompletedRun]]], runs: Sequence[CompletedRun], read: _Read) -> Pair:
    first, second = (Side([np.stack([read(run) for run in seeds]) for seeds in side]) for side in sides)
    spread = statistics.spread_of([float(read(run).mean()) for run in seeds] for seeds in seeds_together(runs))
    return first, second, spread


def _best_epoch(run: CompletedRun) -> Values:
    return np.array([float(run.result.best_epoch)])


def _overfitting(run: CompletedRun) -> Values | None:
    """Training accuracy less whether each validation tweet is right: its mean is the overfitting gap."""
    scores = read_scores(run, "validation")
    if scores is None:
        return None
    return np.asarray(run.result.overfit.train_accuracy - scores.right(scores.model), np.float64)
