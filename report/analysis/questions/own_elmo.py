"""What an own language model is worth: runs that read it against those that differ in nothing else."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from report.analysis.comparison.answers import Answers, accuracy_of, compared, spread_between
from report.analysis.questions.effects import seeds_together
from report.read.load import CompletedRun, Grid
from report.statistics import Difference
from sentiment.config import RunConfig

Both = tuple[list[CompletedRun], list[CompletedRun]]
"""The seeds of one configuration with the model, and those without it."""


@dataclass(frozen=True)
class OwnElmoGain:
    """With the model less without it, for one number of labels."""

    grid: str
    labels: int | None
    """`data.train_rows`; None where a run trains on all."""
    vectors: str | None
    """What the embedding of both starts from: `embedding.pretrained`."""
    runs: int
    """With it."""
    accuracy: float
    """With it, the mean over seeds."""
    without: float
    gap: Difference
    """Test accuracy with it less that without, for other seeds and other tweets; corrected for all gains."""


def own_elmo_gains(grids: Sequence[Grid], answers: Answers) -> list[OwnElmoGain]:
    """A comparison for each grid and number of labels, the fewest first."""
    found = [(grid.name, pairs) for grid in grids for pairs in _comparisons(grid.completed)]
    gaps = compared(
        answers.pair([own for own, _ in pairs], [plain for _, plain in pairs], spread_between(_all(pairs)))
        for _, pairs in found
    )
    return [_gain(grid, pairs, gap) for (grid, pairs), gap in zip(found, gaps, strict=True) if gap]


def _all(pairs: list[Both]) -> list[list[CompletedRun]]:
    return [runs for both in pairs for runs in both]


def _gain(grid: str, pairs: list[Both], gap: Difference) -> OwnElmoGain:
    config = pairs[0][0][0].config
    return OwnElmoGain(
        grid=grid,
        labels=config.data.train_rows,
        vectors=config.embedding.pretrained,
        runs=sum(len(own) for own, _ in pairs),
        accuracy=fmean(accuracy_of(run) for own, _ in pairs for run in own),
        without=fmean(accuracy_of(run) for _, plain in pairs for run in plain),
        gap=gap,
    )


def _comparisons(runs: Sequence[CompletedRun]) -> list[list[Both]]:
    """The seeds of each configuration with an own model and those without it, by number of labels and vectors."""
    # Not by their canonical forms: folds that are pooled have none.
    plain = {_without(seeds[0].config): seeds for seeds in seeds_together(runs) if seeds[0].config.elmo is None}
    own: dict[str, list[CompletedRun]] = defaultdict(list)
    for run in runs:
        if run.config.elmo and run.config.elmo.pretrained and _without(run.config) in plain:
            own[_without(run.config)].append(run)
    found: dict[tuple[int, str], list[Both]] = defaultdict(list)
    for key, with_it in own.items():
        config = with_it[0].config
        found[config.data.train_rows or 2**62, config.embedding.pretrained or ""].append((with_it, plain[key]))
    return [found[key] for key in sorted(found)]


def _without(config: RunConfig) -> str:
    """The fingerprint of the same question without ELMo, whatever the seed."""
    return config.model_copy(update={"seed": 0, "elmo": None, "pretraining": None}).fingerprint()
