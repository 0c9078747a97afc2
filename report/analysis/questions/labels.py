"""What a label is worth: scores by the number of labelled tweets, of nets and of the baseline on the same ones."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from report import statistics
from report.analysis.comparison.answers import Answers, compared, spread_between
from report.analysis.comparison.datasets import Configuration, configurations_of, group_by_tweets
from report.analysis.questions.effects import comparable
from report.read.load import CompletedRun, Grid
from report.read.tweets import read_counts
from report.statistics import Difference, Estimate
from sentiment.run_dir import Results

TRAIN_ROWS = "data.train_rows"


@dataclass(frozen=True)
class LabelPoint:
    """A configuration with one number of labels."""

    labels: int | None
    """Training tweets; None if all there are, and their corpus is not on this machine."""
    score: Estimate
    """Test accuracy, with Student's interval over seeds."""
    baseline: Estimate
    """The linear baseline's on as many labels, with Wilson's interval."""
    gap: Difference | None
    """The net less the baseline, for other seeds and other tweets, corrected for all points of the grid; None if
    predictions cannot be read."""


@dataclass(frozen=True)
class LabelCurve:
    """A configuration with all numbers of labels, the fewest first."""

    configuration: Configuration
    points: list[LabelPoint]

    @property
    def pays_from(self) -> LabelPoint | None:
        """The fewest labels from which on the net is shown to beat the baseline at every number; None if from none."""
        place = pays_from([point.gap for point in self.points])
        return None if place is None else self.points[place]


def pays_from(gaps: Sequence[Difference | None]) -> int | None:
    """From which place on all differences are shown to be positive; None if the last one is not."""
    found = None
    for place in reversed(range(len(gaps))):
        gap = gaps[place]
        if gap is None or gap.value <= 0 or not gap.is_shown:
            break
        found = place
    return found


def label_curves(grid: Grid, answers: Answers, results: Results) -> list[LabelCurve]:
    """A curve for each configuration of a grid over numbers of labels."""
    groups = sorted(group_by_tweets(comparable(grid.completed)), key=lambda runs: -len(runs))
    curves = _by_size(groups[0] if groups else [])
    spreads = {  # seeds differ more, the fewer labels they have
        size: spread_between(sizes[size] for _, sizes in curves if size in sizes)
        for size in {size for _, sizes in curves for size in sizes}
    }
    points = [(runs, spreads[size]) for _, sizes in curves for size, runs in sorted(sizes.items())]
    gaps = iter(compared(answers.with_baseline(runs, spread) for runs, spread in points))
    return [
        LabelCurve(one, [_point(runs, next(gaps), results) for _, runs in sorted(sizes.items())])
        for one, sizes in curves
    ]


def _by_size(runs: Sequence[CompletedRun]) -> list[tuple[Configuration, dict[int, list[CompletedRun]]]]:
    """The runs of each configuration by their number of labels; all that there are count as very many."""
    found: dict[str, dict[int, list[CompletedRun]]] = defaultdict(lambda: defaultdict(list))
    names: dict[str, Configuration] = {}
    for configuration in configurations_of(runs):
        data = configuration.config.data
        whole = configuration.config.model_copy(
            update={"seed": 0, "data": data.model_copy(update={"train_rows": None})}
        )
        key = whole.fingerprint()
        settings = {name: one for name, one in configuration.distinguishing.items() if name != TRAIN_ROWS}
        names.setdefault(key, Configuration(configuration.runs, settings))
        found[key][data.train_rows or 2**62] += configuration.runs
    return [(names[key], sizes) for key, sizes in found.items()]


def _point(runs: list[CompletedRun], gap: Difference | None, results: Results) -> LabelPoint:
    labels = runs[0].config.data.train_rows
    if counts := read_counts(runs[0], results):
        labels = counts["parts"].get("train", {}).get("rows", labels)
    return LabelPoint(
        labels=labels,
        score=statistics.mean_share([run.result.metrics["test"].accuracy for run in runs]),
        baseline=statistics.measured_accuracy(runs[0].result.baseline["test"]),
        gap=gap,
    )
