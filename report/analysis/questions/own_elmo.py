"""What an own language model is worth: runs that read it against those that differ in nothing else."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from report import statistics
from report.read.load import CompletedRun, Grid, read_each
from report.read.predictions import read_scores
from report.statistics import Difference
from sentiment.config import RunConfig


@dataclass(frozen=True)
class OwnElmoGain:
    """With the model less without it, for one number of labels."""

    grid: str
    labels: int | None
    """`data.train_rows`; None where a run trains on all."""
    vectors: str | None
    """What the embedding of both starts from: `embedding.pretrained`."""
    seeds: int
    accuracy: float
    """With it, the mean over seeds."""
    without: float
    gap: Difference
    """Each test tweet by the share of seeds that have it right, with Student's interval over tweets."""


def own_elmo_gains(grids: Sequence[Grid]) -> tuple[list[OwnElmoGain], list[str]]:
    """A comparison for each grid and number of labels, the fewest first, and the predictions that cannot be read."""
    gains: list[OwnElmoGain] = []
    problems: list[str] = []
    for grid in grids:
        pairs = _pairs(grid.completed)
        runs = {run.run_id: run for both in pairs for run in both}
        right, unread = read_each(list(runs.values()), _right)
        problems += unread
        groups: dict[tuple[int, str], list[tuple[CompletedRun, CompletedRun]]] = defaultdict(list)
        for one, other in pairs:
            if one.run_id in right and other.run_id in right and len(right[one.run_id]) == len(right[other.run_id]):
                rows = one.config.data.train_rows
                groups[rows or 2**62, one.config.embedding.pretrained or ""].append((one, other))
        gains += [_gain(grid.name, groups[key], right) for key in sorted(groups)]
    return gains, problems


def _gain(grid: str, pairs: list[tuple[CompletedRun, CompletedRun]], right: dict[str, Any]) -> OwnElmoGain:
    config = pairs[0][0].config
    shares = [np.mean([right[pair[place].run_id] for pair in pairs], axis=0) for place in range(2)]
    return OwnElmoGain(
        grid=grid,
        labels=config.data.train_rows,
        vectors=config.embedding.pretrained,
        seeds=len(pairs),
        accuracy=float(np.mean([one.result.metrics["test"].accuracy for one, _ in pairs])),
        without=float(np.mean([other.result.metrics["test"].accuracy for _, other in pairs])),
        gap=statistics.paired_difference((shares[0] - shares[1]).tolist()),
    )


def _pairs(runs: Sequence[CompletedRun]) -> list[tuple[CompletedRun, CompletedRun]]:
    # Not by their canonical forms: folds that are pooled have none.
    plain = {run.config.fingerprint(): run for run in runs if run.config.elmo is None}
    own = [run for run in runs if run.config.elmo and run.config.elmo.pretrained]
    return [(run, other) for run in own if (other := plain.get(_without(run.config)))]


def _without(config: RunConfig) -> str:
    """The fingerprint of the same question without ELMo."""
    return config.model_copy(update={"elmo": None, "pretraining": None}).fingerprint()


def _right(run: CompletedRun) -> Any:
    scores = read_scores(run, "test")
    return None if scores is None else scores.right(scores.model).astype(float)
