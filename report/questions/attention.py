"""Does self-attention learn faster and overfit more; and what does it look at."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from report import statistics
from report.compare.datasets import Configuration
from report.compare.findings import Findings
from report.compare.matching import is_search, matched_runs, seeds_together
from report.questions.question import Question
from report.read.load import CompletedRun, Grid, LearningCurve, read_curve, read_each
from report.read.model import read_baseline
from report.read.predictions import AttentionSample, read_attention, read_scores
from report.render import wording
from report.render.blocks import Block, Bullets, Card, Figure, Fold, Text
from report.render.charts.heatmap import Attended, heatmap_figure
from report.render.charts.lines import Axis, Point, Series, line_figure
from report.sections.names import configuration_name
from report.statistics import Difference, Pair, Side, Values

POOLING = "model.pooling"
_EXAMPLES = 3
_REASONS = 4
_METHOD = (
    "Self-attention",
    "Best epoch and overfitting gap are compared as accuracies are, corrected together; the gap is training accuracy "
    "less whether each validation tweet is right, the best epoch varies between seeds only.",
)


@dataclass(frozen=True)
class Speed:
    """Self-attention less another pooling, over runs that differ in nothing else; corrected for both measures of all
    poolings."""

    other: str
    best_epoch: Difference
    gap: Difference
    """Training accuracy less validation accuracy at the best epoch."""
    runs: tuple[int, int]

    @property
    def sentence(self) -> str:
        """In words, with its uncertainty."""
        epoch = _by(self.best_epoch, ("epochs later", "epochs earlier"), 1)
        gap = _by(self.gap, ("points larger", "points smaller"), 100)
        return (
            f"Against {wording.parameter_value(POOLING, self.other)}, self-attention has its best epoch {epoch}, and "
            f"its overfitting gap is {gap}; {self.runs[0]:,} and {self.runs[1]:,} runs."
        )


@dataclass(frozen=True)
class Looks:
    """The best configuration with self-attention on the main data set, and what it looks at."""

    configuration: Configuration
    samples: list[AttentionSample]


def attention(findings: Findings) -> Question:
    """A card for each grid that varies the pooling, then the tweets that the best attention model was shown."""
    cards, problems = [], []
    for grid in findings.study.grids:
        poolings = {run.config.model.pooling for run in grid.completed}
        if "attention" in poolings and len(poolings) > 1 and not is_search(grid):
            card, unread = _speed_card(grid)
            cards.append(card)
            problems += unread
    methods = [_METHOD] if cards else []
    looks, unread = looks_of(findings)
    if looks:
        cards.append(Card("What does self-attention look at?", _heatmaps(looks)))
    return Question(cards, methods=methods, problems=[*problems, *unread])


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


def _pair(
    sides: Sequence[Sequence[Sequence[CompletedRun]]],
    runs: Sequence[CompletedRun],
    read: Callable[[CompletedRun], Values],
) -> Pair:
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


def _by(difference: Difference, words: tuple[str, str], scale: int) -> str:
    """`1.3 epochs earlier (-2.1 to -0.5)`.

    Args:
        words: for more and for less.
    """
    shown = f"{abs(scale * difference.value):.1f} {words[difference.value < 0]}"
    bounds = [wording.signed(scale * one) for one in (difference.low, difference.high) if one is not None]
    remarks = [" to ".join(bounds), "" if difference.is_shown else "not shown"]
    remarks += [wording.THESE_MODELS] if difference.of_these_models else []
    listed = ", ".join(one for one in remarks if one)
    return f"{shown} ({listed})" if listed else shown


def _speed_card(grid: Grid) -> tuple[Card, list[str]]:
    speeds, unread = speeds_of(grid)
    curves, problems = read_each(grid.completed, read_curve)
    content: list[Block] = [Bullets([one.sentence for one in speeds])] if speeds else []
    if curves:
        content.append(_progress(grid, list(curves.values())))
    return Card("Does self-attention learn faster, and overfit more?", content), [*unread, *problems]


def _progress(grid: Grid, curves: Sequence[LearningCurve]) -> Figure:
    """A thin line for each run, and a thick one for the mean of all runs of a pooling, as far as all of them went."""
    groups: dict[str, list[list[float]]] = defaultdict(list)
    for curve in sorted(curves, key=lambda curve: curve.run.config.model.pooling):
        name = wording.parameter_value(POOLING, curve.run.config.model.pooling)
        groups[name].append(curve.values("validation", "accuracy"))
    lines = [
        Series(f"{name} {place}", _points(f"{name} {place}", values), "thin", name)
        for name, runs in groups.items()
        for place, values in enumerate(runs, 1)
    ]
    for name, runs in groups.items():
        means = [sum(of_epoch) / len(runs) for of_epoch in zip(*runs, strict=False)]
        lines.append(Series(f"mean of {name}", _points(f"mean of {name}", means), "thick", name))
    caption = (
        f"Grid {grid.name}: validation accuracy by epoch; thin: the {len(curves)} runs; thick: mean of all of them, as "
        "far as all went."
    )
    axes = Axis("epoch", is_whole=True), Axis("validation accuracy (%)")
    return line_figure(f"progress-{grid.name}", f"Accuracy by epoch, grid {grid.name}", caption, lines, axes)


def _points(name: str, values: Sequence[float]) -> list[Point]:
    return [
        Point(epoch, 100 * one, f"{name}, epoch {epoch}: {wording.percent(one)} %")
        for epoch, one in enumerate(values, 1)
    ]


def looks_of(findings: Findings) -> tuple[Looks | None, list[str]]:
    """What the best attention model of the main data set looks at, and files that can't be read."""
    configurations = findings.main.configurations if findings.main else []
    best = next((one for one in configurations if one.config.model.pooling == "attention"), None)
    if best is None:
        return None, []
    run = best.chosen
    samples, problems = read_each([run], read_attention)
    baselines, of_baseline = read_each([run], read_baseline)
    found, baseline = samples.get(run.run_id, []), baselines.get(run.run_id)
    if baseline:
        found = [replace(one, baseline=baseline.explain(one.tokens)) for one in found]
    return Looks(best, found), [*problems, *of_baseline]


def _heatmaps(found: Looks) -> list[Block]:
    content: list[Block] = []
    names = found.configuration.config.data.label_names
    name, run_id, n = configuration_name(found.configuration), found.configuration.chosen.run_id, len(found.samples)
    for verdict in ("right", "wrong"):
        of_verdict = [one for one in found.samples if one.is_right == (verdict == "right")]
        chosen = sorted(of_verdict, key=lambda one: -one.confidence)[:_EXAMPLES]
        if not chosen:
            content.append(Text(f"None of the {n} sample tweets is {verdict}."))
            continue
        tweets = [
            Attended(_heading(one, names), one.tokens, _mean_of_hops(one), _reasons(one, names)) for one in chosen
        ]
        caption = (
            f"Test tweets that {name} (run {run_id}) has {verdict}: the {len(chosen)} it is most sure of among "
            f"{len(of_verdict)} of a random sample of n = {n}. Shade: mean weight over hops. Weights show where the "
            "net looks, not why it decides as it does."
        )
        if any(one.baseline for one in chosen):
            caption += (
                " Below each tweet the linear baseline, with the words whose absence would change its log-odds of "
                f"{names[1]} most: with a plus those that speak for it."
            )
        alt = f"Attention on tweets that are {verdict}"
        content.append(heatmap_figure(f"attention-{verdict}", alt, caption, tweets))
        if len(chosen[0].weights) > 1:
            content.append(_hops(verdict, chosen))
    return content


def _hops(verdict: str, chosen: list[AttentionSample]) -> Fold:
    """The same tweets, hop by hop."""
    tweets = [
        Attended(f"tweet {place}, hop {hop}", one.tokens, weights)
        for place, one in enumerate(chosen, 1)
        for hop, weights in enumerate(one.weights, 1)
    ]
    caption = f"n = {len(chosen)} tweets, each hop by itself: the penalty on equal hops decides how much they differ."
    figure = heatmap_figure(f"hops-{verdict}", f"Attention hop by hop, tweets that are {verdict}", caption, tweets)
    return Fold("Hop by hop", [figure])


def _mean_of_hops(sample: AttentionSample) -> list[float]:
    return [sum(column) / len(sample.weights) for column in zip(*sample.weights, strict=True)]


def _reasons(sample: AttentionSample, names: tuple[str, str]) -> list[str]:
    """What the linear baseline says of the tweet, and the words that it says so for, the strongest first."""
    if sample.baseline is None:
        return []
    pairs = sorted(zip(sample.tokens, sample.baseline.weights, strict=True), key=lambda pair: -abs(pair[1]))
    shown = [f"{wording.shortened(token, 24)} {wording.signed(by)}" for token, by in pairs[:_REASONS] if round(by, 1)]
    return [f"baseline, {names[1]} {wording.percent(sample.baseline.score)} %:", *shown]


def _heading(sample: AttentionSample, names: tuple[str, str]) -> str:
    label = names[int(sample.is_positive)]
    return f"label {label}, probability of {names[1]} {wording.percent(sample.score)} %"
